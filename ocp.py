#!/usr/bin/env python3
"""The entry: `python3 ocp.py` runs a node, `python3 ocp.py help` names everything else.

This file alone must be readable by an older Python, so that one says what is missing instead of pointing at a line.
"""

import os
import sys


def streams():
    # type: () -> None
    """The three standard streams are open: where our starter closed one it leads nowhere, for else the next file or socket
    would get its number, and who writes a line would break."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)          # the lowest number that is free: this one
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, "w" if number else "r", closefd=False))


def main():
    # type: () -> int
    """The exit code of the command that this process was started with."""
    streams()
    if sys.version_info < (3, 11):
        sys.stderr.write("ocp: Python 3.11 or newer is needed, this is %d.%d (%s)\n"
                         % (sys.version_info[0], sys.version_info[1], sys.executable))
        return 1
    here = os.path.dirname(os.path.realpath(__file__))
    if here not in sys.path:                # started through a link, or with -P or -I
        sys.path.insert(0, here)
    from ocp_node.cli import main as command
    return command(sys.argv[1:], dict(os.environ))


if __name__ == "__main__":
    sys.exit(main())
