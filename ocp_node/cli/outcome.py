"""Exit codes of every verb."""

OK = 0
FAILED = 1
USAGE = 2
PLANNED = 3
UNREACHABLE = 4
REFUSED = 5
INTERRUPTED = 130

MEANINGS = {OK: "done", FAILED: "failed", USAGE: "wrong use or wrong setting", PLANNED: "not built yet",
            UNREACHABLE: "the node cannot be reached", REFUSED: "the node refused", INTERRUPTED: "interrupted"}


def text() -> str:
    """The exit codes as one line of a help text."""
    return "exit codes: " + " · ".join(f"{code} {meaning}" for code, meaning in MEANINGS.items())
