"""`ocp.py version`: the versions of the program and of what it runs on."""

from __future__ import annotations

import platform
import sqlite3
from collections.abc import Mapping, Sequence

from .. import VERSION
from . import arguments, outcome, output


def run(argv: Sequence[str], environ: Mapping[str, str]) -> int:
    """What a report of a fault should name."""
    own, _ = arguments.parse(arguments.Parser("version", examples=("version", "version --json")), argv, environ)
    found = {"ocp": VERSION, "python": platform.python_version(), "sqlite": sqlite3.sqlite_version,
             "system": f"{platform.system()} {platform.release()} {platform.machine()}"}
    if own.json:
        output.document(found)
    else:
        output.columns(found.items())
    return outcome.OK
