"""Arguments of the verbs other than `serve`: their own options by `argparse`, and every setting's flag besides."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from typing import NoReturn

from ..base import sources
from ..base.setting import WrongUse
from ..base.settings import Settings
from . import outcome, verbs


AMOUNT_MAX = 1e9


class Parser(argparse.ArgumentParser):
    """The parser of one verb; wrong use is raised, not printed."""

    def __init__(self, verb: str, *, description: str = "", examples: Sequence[str] = ()) -> None:
        note = "The flags of `ocp.py serve` that say where the node is (--data-dir, --host, --port …) are understood too."
        lines = ["examples:", *(f"  python3 ocp.py {example}" for example in examples), "", note, outcome.text()]
        super().__init__(prog=f"ocp.py {verb}", description=description or verbs.VERBS[verb][1] + ".", epilog="\n".join(lines),
                         formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False)
        self.add_argument("--json", action="store_true", help="one JSON document on standard output")

    def error(self, message: str) -> NoReturn:
        raise WrongUse(f"{self.prog}: {message}; see {self.prog} --help")


def amount(text: str) -> float:
    """The number above zero, and within reason, that an option was given."""
    value = float(text)
    if not 0 < value <= AMOUNT_MAX:
        raise argparse.ArgumentTypeError("must be a number above 0, and not beyond a thousand million")
    return value


def parse(parser: Parser, argv: Sequence[str], environ: Mapping[str, str]) -> tuple[argparse.Namespace, Settings]:
    """The verb's own arguments and the node's settings; what the settings warn of is said on standard error."""
    flags, rest = sources.take_flags(argv)
    own = parser.parse_args(rest)
    settings = sources.from_sources(flags, environ)
    for line in settings.warnings:
        print(f"ocp: {line}", file=sys.stderr)
    return own, settings
