"""The verbs: what each does, and where.  A module `cli/<name>.py` has `run(argv, environ) -> exit code`."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Mapping, Sequence

from ..base.setting import WrongUse
from . import outcome

PLANNED = ""
VERBS: Mapping[str, tuple[str, str]] = {            # verb -> module, summary
    "serve": ("serve", "run the node (the verb may be left out)"),
    "status": ("status", "whether the node lives and is ready, and who it is"),
    "call": ("call", "call any route by its id"),
    "job": (PLANNED, "submit and follow jobs"),
    "app": (PLANNED, "supervise programs"),
    "peer": (PLANNED, "connect to other nodes"),
    "oscp": (PLANNED, "OSCP peers, groups and limits"),
    "directory": ("directory", "dump, verify and load a seed directory, and see how it does"),
    "backup": ("backup", "copy the node's state into one folder, while it runs"),
    "restore": ("restore", "put a backup back in place"),
    "doctor": ("doctor", "check this machine and the data folder"),
    "invite": ("invite", "make an invitation for another device"),
    "join": ("join", "accept an invitation"),
    "simulate": (PLANNED, "run a mesh of several nodes in one process"),
    "config": ("config", "every setting, its value and where it came from"),
    "contract": ("contract", "the published contract, without a node"),
    "install-service": (PLANNED, "run the node at every start of this machine"),
    "completion": ("completion", "completion for bash, zsh or fish"),
    "version": ("version", "the versions of the program and of what it runs on"),
    "help": ("help", "this overview, or the help of a verb"),
}


def run(verb: str, argv: Sequence[str], environ: Mapping[str, str]) -> int:
    """The exit code of a verb; an unknown one names the nearest."""
    if verb not in VERBS:
        from ..base.sources import nearest
        near = nearest(verb, VERBS, 0.6)
        raise WrongUse(f"there is no verb {verb[:40]!r}" + (f"; did you mean {near}?" if near else "; see `ocp.py help`"))
    module, summary = VERBS[verb]
    if module == PLANNED:
        print(f"ocp: {verb} ({summary}) is planned, it is not built yet", file=sys.stderr)
        return outcome.PLANNED
    return int(importlib.import_module(f"ocp_node.cli.{module}").run(argv, environ))
