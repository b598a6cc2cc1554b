"""The command line: `python3 ocp.py [VERB] ...`.  Without a verb it serves."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Mapping, Sequence

from ..base.errors import Unusable
from ..base.setting import WrongUse
from . import outcome


def main(argv: Sequence[str], environ: Mapping[str, str]) -> int:
    """The exit code of one command; what went wrong stands in one line on standard error."""
    verb, rest = _verb(argv)
    try:
        return _run(verb, rest, environ)
    except WrongUse as fault:
        return _said(fault, outcome.USAGE)
    except outcome.Unreachable as fault:
        return _said(fault, outcome.UNREACHABLE)
    except Unusable as fault:
        return _said(fault, outcome.FAILED)
    except KeyboardInterrupt:
        return outcome.INTERRUPTED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)        # `| head` has what it wanted; the flush at exit must not complain
        return outcome.OK
    except SystemExit as leave:                             # a parser has shown its help
        return leave.code if isinstance(leave.code, int) else outcome.OK


def _verb(argv: Sequence[str]) -> tuple[str, Sequence[str]]:
    if argv and argv[0] in ("-h", "--help", "--version"):
        return "version" if argv[0] == "--version" else "help", argv[1:]
    return ("serve", argv) if not argv or argv[0].startswith("-") else (argv[0], argv[1:])


def _run(verb: str, rest: Sequence[str], environ: Mapping[str, str]) -> int:
    if verb == "serve":
        gc.disable()                    # a start makes much and throws little away; `Node.run` lets the collector work again
        try:
            from .serve import run
            return run(rest, environ)
        finally:
            gc.enable()
    from . import verbs
    return verbs.run(verb, rest, environ)


def _said(fault: Exception, code: int) -> int:
    print(f"ocp: {fault}", file=sys.stderr)
    return code
