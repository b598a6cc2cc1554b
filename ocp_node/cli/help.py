"""`ocp.py help`: the overview, and the help of a verb."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence

from ..base.setting import Setting
from ..base.settings import SETTINGS
from . import outcome, verbs

SURFACES = {"node": "The node", "mesh": "The mesh", "directory": "The seed directory (0 = no bound)", "appmesh": "App Mesh",
            "oscp": "OSCP 2.0"}
WIDTH = 110
COLUMN = 34

OVERVIEW = """usage: python3 ocp.py [VERB] [FLAGS]
"""
EXAMPLES = """examples:
  python3 ocp.py
  python3 ocp.py --port 8500 --data-dir ~/second-node
  python3 ocp.py status --json
  python3 ocp.py call mesh.peers.list

`ocp.py VERB --help` says more; `ocp.py serve --help` lists every setting."""
SERVE = """usage: python3 ocp.py [serve] [FLAGS]

Runs the node until it is told to stop (TERM or Ctrl-C).  Every setting is a flag --some-name, a variable
OCP_SOME_NAME and a key some_name of ocp.toml in the data folder; the first of these that is given counts.
`ocp.py config show` tells which did.  A switch is turned off by --no-some-name.
OCP_NO_BOOTSTRAP=1 forbids to install PyNaCl when there is nothing for signatures."""
SERVE_EXAMPLES = """examples:
  python3 ocp.py
  python3 ocp.py --host 0.0.0.0 --tls-self-signed --operator-token-file token
  OCP_WORKERS=0 python3 ocp.py --data-dir ./state
"""


def run(argv: Sequence[str], environ: Mapping[str, str]) -> int:
    """The overview, or for `help VERB` what `VERB --help` says."""
    if argv and argv[0] not in ("help", "-h", "--help"):
        from . import main
        return main([argv[0], "--help"], environ)
    print(overview())
    return outcome.OK


def overview() -> str:
    """Every verb with its summary."""
    built = [_row(name, summary) for name, (module, summary) in verbs.VERBS.items() if module != verbs.PLANNED]
    planned = [_row(name, summary) for name, (module, summary) in verbs.VERBS.items() if module == verbs.PLANNED]
    return "\n".join([OVERVIEW, *built, *(["", "planned:", *planned] if planned else []), "", EXAMPLES, outcome.text()])


def serve() -> str:
    """Every setting, by surface."""
    lines = [SERVE]
    for surface, title in SURFACES.items():
        rows = [_row(_flag(setting), _about(setting)) for setting in SETTINGS if setting.surface == surface]
        lines += ["", title + ":", *rows]
    return "\n".join([*lines, "", SERVE_EXAMPLES, outcome.text()])


def _flag(setting: Setting) -> str:
    if setting.secret:
        return setting.variable
    return setting.flag if setting.kind == "bool" else f"{setting.flag} {setting.kind.upper()}"


def _about(setting: Setting) -> str:
    choices = f" ({' '.join(setting.choices)})" if setting.choices else ""
    return f"{setting.about}{choices}; default: {setting.default_text()}"


def _row(name: str, text: str) -> str:
    head = f"  {name} ".ljust(COLUMN)
    if len(head) > COLUMN:
        return head.rstrip() + "\n" + textwrap.fill(text, WIDTH, initial_indent=" " * COLUMN, subsequent_indent=" " * COLUMN)
    return textwrap.fill(text, WIDTH, initial_indent=head, subsequent_indent=" " * COLUMN)
