"""`ocp.py [serve]`: runs the node.  No argument parser of the standard library: it costs more than the node's own start."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence

from ..base import sources
from ..base.setting import WrongUse
from . import outcome

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))      # the folder of ocp.py


def run(argv: Sequence[str], environ: Mapping[str, str]) -> int:
    """The exit code of the node once it has been stopped."""
    flags, rest = sources.take_flags(argv)
    if "-h" in rest or "--help" in rest:
        from . import help
        print(help.serve())
        return outcome.OK
    if rest:
        raise WrongUse(sources.unknown_argument(rest[0]))
    settings = sources.from_sources(flags, environ)
    for line in settings.warnings:
        print(f"ocp: {line}", file=sys.stderr)
    from ..node import bootstrap
    bootstrap.signatures(ROOT, settings.data_dir, environ)
    from ..node.serve import serve
    return serve(settings, environ)
