"""Exit codes of every verb."""

from ..base.errors import Unusable

OK = 0
FAILED = 1
USAGE = 2
PLANNED = 3
UNREACHABLE = 4
REFUSED = 5
INTERRUPTED = 130


class Unreachable(Unusable):
    """No answer came from the node."""


MEANINGS = {OK: "done", FAILED: "failed", USAGE: "wrong use or wrong setting", PLANNED: "not built yet",
            UNREACHABLE: "the node cannot be reached", REFUSED: "the node refused", INTERRUPTED: "interrupted"}


def text() -> str:
    """The exit codes as one line of a help text."""
    return "exit codes: " + " · ".join(f"{code} {meaning}" for code, meaning in MEANINGS.items())
