"""`ocp.py backup`: one checked file with the node's state, also while the node runs."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from ..base.clock import Clock
from ..base.settings import Settings
from ..store import backup
from . import arguments, outcome, output


def run(argv: Sequence[str], environ: Mapping[str, str]) -> int:
    """The new file's path is on standard output."""
    parser = arguments.Parser("backup", description="Copies database, identity and settings into one file; the node may run.  "
                              "The file holds private keys: keep it like a key.",
                              examples=("backup", "backup /media/stick --blobs", "backup node.tar --data-dir ./state"))
    parser.add_argument("target", nargs="?", default=".", help="a folder, or the name of the new file (default: here)")
    parser.add_argument("--blobs", action="store_true", help="the bytes of artifacts too")
    own, settings = arguments.parse(parser, argv, environ)
    made = backup.backup(Path(settings.data_dir), Path(own.target).absolute(), Clock(), places=places(settings), blobs=own.blobs)
    left_out = outside(settings)
    if left_out:
        print(f"ocp: not in the backup, copy it yourself: {left_out}", file=sys.stderr)
    if own.json:
        output.document({"file": str(made), "bytes": made.stat().st_size, "left_out": left_out})
    else:
        print(made)
    return outcome.OK


def places(settings: Settings) -> backup.Places:
    """Where the settings say that the parts of the state live."""
    return backup.Places(Path(settings.data_dir), database=Path(settings.db_path), identity=Path(settings.identity_dir))


def outside(settings: Settings) -> str:
    """The key file of stored secrets, where a setting keeps it apart from the identity; else ""."""
    key = Path(settings.secrets_key_file)
    return "" if key.is_relative_to(settings.identity_dir) else str(key)
