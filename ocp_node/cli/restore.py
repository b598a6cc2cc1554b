"""`ocp.py restore FILE`: the node's state is that of a backup again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from ..base.clock import Clock
from ..base.ids import Ids
from ..store import restore
from . import arguments, outcome, output
from .backup import places


def run(argv: Sequence[str], environ: Mapping[str, str]) -> int:
    """What was replaced is on standard output; it stays beside as `NAME.before-restore-TIME`."""
    parser = arguments.Parser("restore", description="Puts a backup back; the node must not run.  What it replaces is kept as "
                              "NAME.before-restore-TIME.",
                              examples=("restore ocp-backup-20270115T080000Z.tar", "restore node.tar --data-dir ./other-node"))
    parser.add_argument("file", help="a file made by `ocp.py backup`")
    own, settings = arguments.parse(parser, argv, environ)
    source, folder = Path(own.file).absolute(), Path(settings.data_dir)
    items = restore.restore(folder, source, Clock(), Ids(), places=places(settings))
    if own.json:
        output.document({"data_dir": str(folder), "restored": items})
    else:
        output.columns(("restored", item, str(places(settings).of(item))) for item in items)
    return outcome.OK
