"""`ocp.py config show`: every setting, its value and where it came from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..base.setting import WrongUse
from ..base.settings import BY_NAME
from . import arguments, outcome, output


def run(argv: Sequence[str], environ: Mapping[str, str]) -> int:
    """The settings as `serve` would take them with the same flags, environment and file."""
    parser = arguments.Parser("config", description="Every setting, its value and where it came from; secrets are hidden.",
                              examples=("config show", "config show port host --json", "config show --given --data-dir ./state"))
    parser.add_argument("action", nargs="?", choices=("show",), default="show")
    parser.add_argument("names", nargs="*", metavar="NAME", help="only these settings")
    parser.add_argument("--given", action="store_true", help="leave out settings that have their default")
    own, settings = arguments.parse(parser, argv, environ)
    names = {name.lstrip("-").replace("-", "_") for name in own.names}
    if unknown := names - BY_NAME.keys():
        raise WrongUse(f"there is no setting {min(unknown)}")
    rows = [row for row in settings.table() if not names or row["name"] in names]
    if own.given:
        rows = [row for row in rows if row["origin"] != "default"]
    if own.json:
        output.document({"settings": rows, "warnings": list(settings.warnings)})
    else:
        output.columns((row["name"], _text(row["value"]), row["origin"]) for row in rows)
    return outcome.OK


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, list):
        return ",".join(map(str, value)) or "-"
    return f"{value:g}" if isinstance(value, float) else str(value) or "-"
