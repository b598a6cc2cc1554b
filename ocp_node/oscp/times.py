"""Date-times of OSCP messages: read strictly, written in one form."""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone

from ..base.clock import EPOCH, instant_text

_INSTANT = re.compile(r"(\d{4}-\d{2}-\d{2})[Tt ](\d{2}):(\d{2}):(\d{2})(?:\.(\d+))?(?:([Zz])|([+-])(\d{2}):(\d{2}))", re.ASCII)
_NAIVE = re.compile(r"(\d{4}-\d{2}-\d{2})[Tt ](\d{2}:\d{2}:\d{2})", re.ASCII)


def seconds(text: str) -> float:
    """The instant a date-time names (RFC 3339, a blank for the T allowed), in seconds since 1970.  ValueError when it is none.

    Second 60 counts as the next full second.
    """
    match = _INSTANT.fullmatch(text)
    if match is None:
        raise ValueError("not a date-time with a zone")
    day, hour, minute, second, fraction, _, sign, zone_hours, zone_minutes = match.groups()
    if int(hour) > 23 or int(minute) > 59 or int(second) > 60 or (sign and (int(zone_hours) > 23 or int(zone_minutes) > 59)):
        raise ValueError("no such time")
    at = datetime.fromisoformat(f"{day}T{hour}:{minute}:00+00:00")
    offset = timedelta(hours=int(zone_hours), minutes=int(zone_minutes)) if sign else timedelta()
    whole = (at - EPOCH - (offset if sign != "-" else -offset)).total_seconds() + int(second)
    return whole + (int(fraction[:6].ljust(6, "0")) / 1e6 if fraction and int(second) < 60 else 0.0)


def is_instant(text: str) -> bool:
    try:
        seconds(text)
    except ValueError:
        return False
    return True


def with_zone(text: str, offset_minutes: int) -> str:
    """A time without zone as one known peer writes it, with that peer's offset; any other text as it is."""
    match = _NAIVE.fullmatch(text)
    if match is None:
        return text
    sign, minutes = ("-" if offset_minutes < 0 else "+"), abs(offset_minutes)
    return f"{match[1]}T{match[2]}{sign}{minutes // 60:02d}:{minutes % 60:02d}"


def text(at: float, *, naive_offset_minutes: int | None = None) -> str:
    """`YYYY-MM-DDTHH:MM:SSZ`, with milliseconds only when there are any; or, for one known peer, its local time without zone."""
    if naive_offset_minutes is not None:
        local = datetime.fromtimestamp(int(at), timezone.utc) + timedelta(minutes=naive_offset_minutes)
        return local.strftime("%Y-%m-%d %H:%M:%S")
    milliseconds = round((at - int(at)) * 1000) % 1000
    whole = instant_text(at)
    return f"{whole[:-1]}.{milliseconds:03d}Z" if milliseconds else whole
