"""One program run to its end, before or without a loop: for commands of ours such as `openssl` that take a moment."""

from __future__ import annotations

from collections.abc import Sequence

from .rules import base_environment

SECONDS_MAX = 60.0
TIMED_OUT = 124                   # what timeout(1) says


def run(command: Sequence[str], seconds: float = SECONDS_MAX) -> tuple[int, str]:
    """The exit code and all that the program said.  FileNotFoundError when there is no such program.

    It gets nothing on its standard input, nothing of our environment, and is ended when it takes too long.
    """
    import subprocess
    try:
        done = subprocess.run(list(command), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              timeout=seconds, env=base_environment({}), start_new_session=True, check=False)
    except subprocess.TimeoutExpired:
        return TIMED_OUT, f"{command[0]} did not end within {seconds:g} seconds"
    return done.returncode, done.stdout.decode("utf-8", "replace")
