"""Instants that callers name, in the one form that is kept and compared."""

from __future__ import annotations

from datetime import datetime

from ..base.clock import EPOCH, UTC, instant_text
from ..base.errors import Refusal

TEXT_LENGTH_MAX = 64
SECONDS_MAX = 253_402_300_799.0      # the last second of the year 9999: texts of one length compare like their instants


def instant(value: object, field: str) -> str:
    """The instant as `YYYY-MM-DDTHH:MM:SSZ`, "" for none; offsets are worked in, fractions cut off, no zone means UTC.

    `Refusal` for what is no ISO-8601 timestamp.  An instant before 1970 counts as its first second: both are long over.
    """
    if value is None or value == "":
        return ""
    text = value.strip() if isinstance(value, str) and len(value) <= TEXT_LENGTH_MAX else "?"
    if not text:
        return ""
    try:
        at = datetime.fromisoformat(text)
        seconds = ((at if at.tzinfo else at.replace(tzinfo=UTC)) - EPOCH).total_seconds()
    except (ValueError, OverflowError):
        raise Refusal("invalid_request", f"{field} must be an ISO-8601 timestamp") from None
    if seconds >= SECONDS_MAX + 1:            # its text would be later than any other and compare as earlier
        raise Refusal("invalid_request", f"{field} must be an ISO-8601 timestamp")
    return instant_text(max(0.0, seconds))
