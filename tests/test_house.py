"""The rules of the house, read from the sources: who imports whom, which doors stand where, and what is never left behind.

Every rule is a function from a source to its offences, so each is also shown a source that breaks it.
"""

from __future__ import annotations

import ast
import functools
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from ocp_node.base import settings

ROOT = Path(__file__).resolve().parent.parent


class Source(NamedTuple):
    """One Python file: `name` is its path from the checkout, `room` its package (`store`, `mesh.jobs`)."""
    name: str
    text: str

    @property
    def tree(self) -> ast.Module:
        return parsed(self)

    @property
    def room(self) -> str:
        parts = self.name.removesuffix(".py").split("/")
        if parts[0] != "ocp_node":
            return parts[0]
        if len(parts) == 2:
            return {"core": "core", "__init__": "base"}.get(parts[1], parts[1])
        return parts[1]

    @property
    def package(self) -> list[str]:
        """The dotted package that relative imports start from."""
        return self.name.removesuffix(".py").split("/")[:-1]


@functools.cache
def parsed(found: Source) -> ast.Module:
    return ast.parse(found.text, found.name)


Rule = Callable[[Source], Iterator[str]]

PRODUCT = sorted([ROOT / "ocp.py", ROOT / "server_contract.py", *(ROOT / "ocp_node").rglob("*.py")])
SCRIPTS = sorted(path for folder in ("scripts", "tests") for path in (ROOT / folder).rglob("*.py"))
KINDS = ("*.py", "*.md", "*.toml", "*.sql", "*.html", "*.css", "*.js", "*.svg", "*.txt", ".ci/run")


def ours(path: Path) -> bool:
    """Written here: not an environment, a cache, a vendored package, or data of a protocol."""
    parts = path.relative_to(ROOT).parts
    return not {"vendor", "node_modules", "data"} & set(parts) and all(part == ".ci" or part[0] != "." for part in parts[:-1])


WRITTEN = sorted(path for kind in KINDS for path in ROOT.rglob(kind) if ours(path))


@functools.cache
def source(path: Path) -> Source:
    return Source(str(path.relative_to(ROOT)), path.read_text("utf-8"))


def told(rule: Rule, paths: list[Path]) -> list[str]:
    """The offences of all these files, each with its place."""
    return [f"{found.name}: {offence}" for path in paths for found in [source(path)] for offence in rule(found)]


# --- who imports whom ------------------------------------------------------------------------------------------------

INFRASTRUCTURE = {"crypto", "store", "http", "processes", "engines"}
SURFACES = {"mesh", "directory", "appmesh", "oscp"}
OUTER = {"node", "client", "cli"}
BELOW = {"base": set(), "contract": {"base"}, **{room: {"base", "contract"} for room in INFRASTRUCTURE},
         "core": {"base", "contract"} | INFRASTRUCTURE,
         **{room: {"base", "contract", "core"} | INFRASTRUCTURE for room in SURFACES},
         **{room: {"base", "contract", "core"} | INFRASTRUCTURE | SURFACES | OUTER for room in OUTER},
         "server_contract": {"base", "contract", "core"} | INFRASTRUCTURE | SURFACES | OUTER,
         "ocp": {"base", "contract", "core", "server_contract"} | INFRASTRUCTURE | SURFACES | OUTER}


class Import(NamedTuple):
    module: str             # dotted, from the checkout: ocp_node.store.writer
    line: int
    lazy: bool              # inside a function


def imports(found: Source) -> Iterator[Import]:
    """What a source imports when it runs; what stands under TYPE_CHECKING is for the type checker alone."""
    def walk(node: ast.AST, lazy: bool) -> Iterator[Import]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
                for other in child.orelse:
                    yield from walk(other, lazy)
            elif isinstance(child, ast.Import):
                yield from (Import(alias.name, child.lineno, lazy) for alias in child.names)
            elif isinstance(child, ast.ImportFrom):
                start = found.package[:len(found.package) - child.level + 1] if child.level else []
                module = [*start, *(child.module.split(".") if child.module else [])]
                yield from (Import(".".join([*module, alias.name]), child.lineno, lazy) for alias in child.names)
            else:
                yield from walk(child, lazy or isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda))
    yield from walk(found.tree, False)


def import_order(found: Source) -> Iterator[str]:
    """The order of CONTRIBUTING.md, from `base`, which imports nothing of ours, to `ocp.py`, which may import everything."""
    for item in imports(found):
        parts = item.module.split(".")
        if parts[0] == "server_contract":
            if found.room in OUTER and not item.lazy:
                yield f"line {item.line}: {found.room} imports server_contract when it is loaded; only inside a function"
            elif found.room not in OUTER | {"ocp"}:
                yield f"line {item.line}: {found.room} must not import server_contract"
        elif parts[0] == "ocp":
            yield f"line {item.line}: nothing imports the entry"
        elif parts[0] == "ocp_node" and len(parts) > 1:
            target = parts[1] if (ROOT / "ocp_node" / parts[1]).is_dir() or parts[1] == "core" else "base"
            if target != found.room and target not in BELOW.get(found.room, set()):
                yield f"line {item.line}: {found.room} must not import {item.module}"


def test_the_imports_go_one_way() -> None:
    assert told(import_order, PRODUCT) == []


@pytest.mark.parametrize("name, text, offends", [
    ("ocp_node/base/x.py", "from ..store.writer import Writer", True),
    ("ocp_node/base/x.py", "from .errors import Refusal", False),
    ("ocp_node/store/x.py", "from ..http.server import NodeServer", True),
    ("ocp_node/store/x.py", "from ocp_node.core import Core", True),
    ("ocp_node/store/x.py", "from ..base import limits", False),
    ("ocp_node/mesh/jobs/room.py", "from ...appmesh.apps import rules", True),
    ("ocp_node/mesh/jobs/room.py", "def later():\n    import ocp_node.oscp.power.rules", True),
    ("ocp_node/mesh/jobs/room.py", "from ...core import Core", False),
    ("ocp_node/mesh/jobs/room.py", "from ...node.node import Node", True),
    ("ocp_node/mesh/jobs/room.py",
     "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from ...appmesh.apps.room import Apps", False),
    ("ocp_node/contract/x.py", "from ..crypto import keys", True),
    ("ocp_node/core.py", "from .mesh.surface import ROUTES", True),
    ("ocp_node/cli/x.py", "from server_contract import ROUTES", True),
    ("ocp_node/cli/x.py", "def run():\n    from server_contract import ROUTES", False),
    ("ocp_node/mesh/x.py", "def run():\n    from server_contract import ROUTES", True),
    ("ocp_node/cli/x.py", "import ocp", True),
    ("server_contract.py", "from ocp_node.mesh.surface import ROUTES", False),
])
def test_the_import_rule_can_fail(name: str, text: str, offends: bool) -> None:
    assert bool(list(import_order(Source(name, text)))) is offends


def strangers(found: Source) -> Iterator[str]:
    """Two rooms of a surface meet through `rooms[...]` in `build`: neither imports the other's room.py."""
    parts = found.name.removesuffix(".py").split("/")
    if len(parts) < 4 or parts[0] != "ocp_node" or parts[1] not in SURFACES:
        return
    for item in imports(found):
        there = item.module.split(".")
        if there[:2] == parts[:2] and len(there) >= 4 and there[2] != parts[2] and there[3] == "room":
            yield (f"line {item.line}: {item.module} belongs to another room; meet it through rooms[...] in build, "
                   "or move what is pure into its rules.py")


def test_rooms_meet_only_through_each_other() -> None:
    assert told(strangers, PRODUCT) == []


@pytest.mark.parametrize("text, offends", [
    ("from ..queue.room import Queue", True), ("from ..queue import room", True), ("import ocp_node.mesh.queue.room", True),
    ("from . import table", False), ("from ..queue.records import Message", False), ("from ..surface import ROUTES", False),
])
def test_the_room_rule_can_fail(text: str, offends: bool) -> None:
    assert bool(list(strangers(Source("ocp_node/mesh/jobs/room.py", text)))) is offends


# --- doors -----------------------------------------------------------------------------------------------------------

BOOTSTRAP = {"ocp.py", "ocp_node/node/bootstrap.py"}
PRINTERS = (*BOOTSTRAP, "ocp_node/cli/", "ocp_node/node/serve.py", "scripts/", "tests/")
DOORS: dict[str, tuple[str, ...]] = {            # a name as it is written in full -> files or folders that may use it
    "sqlite3.connect": ("ocp_node/store/",),
    "socket.socket": ("ocp_node/http/",),
    "socket.create_connection": ("ocp_node/http/",),
    "socket.create_server": ("ocp_node/http/",),
    "socket.socketpair": ("ocp_node/http/",),
    "threading.Thread": ("ocp_node/http/lanes.py", "ocp_node/store/writer.py", "ocp_node/base/ticker.py"),
    "threading.Timer": (),
    "concurrent.futures": (),
    "_thread": (),
    "multiprocessing": (),
    "asyncio": (),
    "subprocess": ("ocp_node/processes/", *BOOTSTRAP),
    "os.posix_spawn": ("ocp_node/processes/",),
    "os.fork": ("ocp_node/processes/",),
    "os.system": (),
    "os.popen": (),
    "os.execv": tuple(BOOTSTRAP),
    "pty": ("ocp_node/processes/",),
    "nacl": ("ocp_node/crypto/",),
    "ctypes": ("ocp_node/crypto/", "ocp_node/processes/"),
    "time.time": ("ocp_node/base/clock.py",),
    "time.time_ns": ("ocp_node/base/clock.py",),
    "time.monotonic": ("ocp_node/base/clock.py",),
    "time.monotonic_ns": ("ocp_node/base/clock.py",),
    "time.perf_counter": ("ocp_node/base/clock.py",),
    "datetime.datetime.now": ("ocp_node/base/clock.py",),
    "datetime.datetime.utcnow": (),
    "datetime.date.today": (),
    "os.environ": ("ocp.py",),
    "os.getenv": ("ocp.py",),
    "os.environb": (),
    "urllib.request": (),
    "http.client": (),
    "pickle": (),
    "marshal": (),
    "eval": (),
    "exec": (),
    "print": PRINTERS,
}
NOT_FOR_SCRIPTS = ("urllib.request", "eval", "exec", "os.system", "os.popen", "pickle", "marshal")     # of a development tool too


def names(found: Source) -> Iterator[tuple[str, int]]:
    """Every name as it is written in full: through `import x as y`, `from x import y as z`, and chains of attributes."""
    full: dict[str, str] = {}
    for node in ast.walk(found.tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                full[alias.asname or alias.name.partition(".")[0]] = alias.name if alias.asname else alias.name.partition(".")[0]
                yield alias.name, node.lineno
        elif isinstance(node, ast.ImportFrom) and not node.level:
            for alias in node.names:
                full[alias.asname or alias.name] = f"{node.module}.{alias.name}"
                yield f"{node.module}.{alias.name}", node.lineno
    for node in ast.walk(found.tree):
        if isinstance(node, ast.Attribute | ast.Name):
            written = chain(node)
            first, dot, rest = written.partition(".")
            yield full.get(first, first) + dot + rest, node.lineno


def chain(node: ast.expr) -> str:
    """`a.b.c` of nested attributes; something else at the root is `?`."""
    if isinstance(node, ast.Attribute):
        return f"{chain(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else "?"


def doors(found: Source) -> Iterator[str]:
    """What only some files may touch is touched only there."""
    checking = set(_checking_lines(found))
    for name, line in dict.fromkeys(names(found)):
        for door, keepers in DOORS.items():
            if line not in checking and through(name, door) and not found.name.startswith(keepers or ("?",)):
                yield f"line {line}: {name} belongs into {', '.join(sorted(keepers)) or 'no file at all'}"


def through(name: str, door: str) -> bool:
    """Whether a name is a door, or something behind it."""
    return name == door or name.startswith(door + ".")


def _checking_lines(found: Source) -> Iterator[int]:
    for node in ast.walk(found.tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            for child in node.body:
                yield from range(child.lineno, (child.end_lineno or child.lineno) + 1)


def script_doors(found: Source) -> Iterator[str]:
    """Scripts and tests may start processes, threads and sockets, but a few things nobody needs."""
    for name, line in dict.fromkeys(names(found)):
        for door in NOT_FOR_SCRIPTS:
            if through(name, door):
                yield f"line {line}: {name} belongs into no file at all"


def test_doors_are_used_only_where_they_belong() -> None:
    assert told(doors, PRODUCT) == []


def test_scripts_and_tests_do_without_what_nobody_needs() -> None:
    assert told(script_doors, SCRIPTS) == []


@pytest.mark.parametrize("name, text", [
    ("ocp_node/mesh/jobs/table.py", "import sqlite3\nsqlite3.connect('x')"),
    ("ocp_node/mesh/jobs/table.py", "from sqlite3 import connect as open_it\nopen_it('x')"),
    ("ocp_node/mesh/jobs/room.py", "import socket\ndef f():\n    return socket.socket()"),
    ("ocp_node/http/server.py", "import threading as t\nt.Thread(target=print)"),
    ("ocp_node/store/reader.py", "from threading import Thread"),
    ("ocp_node/cli/x.py", "import subprocess"),
    ("ocp_node/cli/x.py", "from subprocess import run"),
    ("ocp_node/mesh/jobs/room.py", "import os\nos.posix_spawn('a', [], {})"),
    ("ocp_node/mesh/jobs/room.py", "from os import fork"),
    ("ocp_node/store/x.py", "from nacl.signing import SigningKey"),
    ("ocp_node/http/x.py", "import ctypes"),
    ("ocp_node/processes/x.py", "from nacl import _sodium"),
    ("ocp_node/mesh/jobs/room.py", "import time\nprint(time.time())"),
    ("ocp_node/mesh/jobs/room.py", "from time import monotonic as now"),
    ("ocp_node/mesh/jobs/room.py", "from datetime import datetime\ndatetime.now()"),
    ("ocp_node/mesh/jobs/room.py", "import datetime\ndatetime.datetime.utcnow()"),
    ("ocp_node/cli/x.py", "import os\nos.environ['A']"),
    ("ocp_node/cli/x.py", "from os import environ"),
    ("ocp_node/cli/x.py", "import os\nos.getenv('A')"),
    ("ocp_node/http/outbound.py", "import urllib.request"),
    ("ocp_node/http/outbound.py", "from urllib import request"),
    ("ocp_node/cli/x.py", "eval('1')"),
    ("ocp_node/cli/x.py", "exec('1')"),
    ("ocp_node/store/writer.py", "print('x')"),
    ("ocp_node/store/x.py", "import pickle"),
    ("ocp_node/http/loop.py", "import asyncio"),
])
def test_every_door_can_be_found_open(name: str, text: str) -> None:
    assert list(doors(Source(name, text)))


@pytest.mark.parametrize("name, text", [
    ("ocp_node/store/connection.py", "import sqlite3\nsqlite3.connect('x')"),
    ("ocp_node/mesh/jobs/table.py", "import sqlite3\ndef f(c: sqlite3.Connection): pass"),
    ("ocp_node/base/clock.py", "import time\ntime.time()"),
    ("ocp_node/mesh/jobs/room.py", "def f(room):\n    return room.clock.time(), room.time.time"),
    ("ocp_node/mesh/jobs/room.py", "from datetime import datetime\ndatetime.fromisoformat('x')"),
    ("ocp.py", "import os\ndict(os.environ)"),
    ("ocp_node/cli/x.py", "print('x')"),
    ("ocp_node/http/x.py", "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import subprocess"),
    ("ocp_node/http/x.py", "from urllib.parse import quote\nfrom http.server import ThreadingHTTPServer"),
])
def test_doors_stand_open_where_they_belong(name: str, text: str) -> None:
    assert list(doors(Source(name, text))) == []


# --- settings --------------------------------------------------------------------------------------------------------

NOT_SETTINGS = {"origin", "shown", "table", "warnings"}


def unknown_settings(found: Source) -> Iterator[str]:
    """`settings.name` names a row of the table: its values are of many types, so no type checker sees a slip.

    `settings` alone is taken for the node's where the file knows the class.
    """
    known = "import Settings" in found.text
    for node in ast.walk(found.tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Attribute if not known else ast.expr):
            if chain(node.value).rpartition(".")[2] in ("settings", "_settings") and not named_by_settings(node.attr):
                yield f"line {node.lineno}: there is no setting {node.attr}"


def named_by_settings(name: str) -> bool:
    return name in settings.BY_NAME or name in NOT_SETTINGS or hasattr(settings, name)


def test_every_setting_that_is_read_is_in_the_table() -> None:
    assert told(unknown_settings, PRODUCT) == []


@pytest.mark.parametrize("text, offends", [
    ("core.settings.prot", True), ("self._settings.prot + 1", True), ("core.settings.port", False), ("settings.prot", False),
    ("from ...base.settings import Settings\nsettings.prot", True),
    ("from ...base.settings import Settings\nsettings.port", False),
    ("core.settings.origin('port')", False), ("settings.BY_NAME", False), ("room.prot", False),
])
def test_the_rule_of_settings_can_fail(text: str, offends: bool) -> None:
    assert bool(list(unknown_settings(Source("ocp_node/mesh/jobs/room.py", text)))) is offends


# --- what is never left behind ---------------------------------------------------------------------------------------

LEFTOVERS = re.compile(r"\b(?:TO" "DO|FIX" r"ME|XX" r"X|HA" r"CK)\b")
MACHINE_PATHS = re.compile(r"(?<![\w.~-])/(?:wo" "rk|ro" "ot|ho" r"me|Use" r"rs)/\w")
EXAMPLE_HOMES = re.compile(r"/(?:ho" r"me|Use" r"rs)/\w")        # what a test gives a child as HOME is no folder of ours


def leftovers(found: Source) -> Iterator[str]:
    """What is not built says so (501 `planned`); a note to oneself is not left in a file."""
    for number, line in enumerate(found.text.splitlines(), 1):
        yield from (f"line {number}: {match[0]}" for match in LEFTOVERS.finditer(line))


def machine_paths(found: Source) -> Iterator[str]:
    """No folder of the machine that a file was written on."""
    for number, line in enumerate(found.text.splitlines(), 1):
        for match in MACHINE_PATHS.finditer(line):
            if not (found.name.startswith("tests/") and EXAMPLE_HOMES.match(match[0])):
                yield f"line {number}: {match[0]}"


def undocumented(found: Source) -> Iterator[str]:
    """Every module says what it is for."""
    if found.text.strip() and not ast.get_docstring(found.tree):
        yield "no docstring"


def test_nothing_is_left_behind() -> None:
    assert told(leftovers, WRITTEN) == []


def test_no_file_names_a_folder_of_one_machine() -> None:
    assert told(machine_paths, WRITTEN) == []


def test_every_module_says_what_it_is_for() -> None:
    assert told(undocumented, [*PRODUCT, *(path for path in SCRIPTS if not path.name.startswith("test_"))]) == []


@pytest.mark.parametrize("text", ["x = 1  # TO" "DO later", "# FIX" "ME", "'''XX" "X'''"])
def test_the_rule_of_leftovers_can_fail(text: str) -> None:
    assert list(leftovers(Source("ocp_node/base/x.py", text)))


@pytest.mark.parametrize("text, offends", [
    ("path = '/wo" "rk/main'", True), ("see /ro" "ot/x", True), ("`/ho" "me/someone`", True),
    ("GET /mesh/wo" "rkers/x", False), ("https://a.example/ho" "me/x", False), ("~/ho" "me", False), ("/wo" "rk", False),
])
def test_the_rule_of_machine_paths_can_fail(text: str, offends: bool) -> None:
    assert bool(list(machine_paths(Source("docs/x.md", text)))) is offends


def test_the_rule_of_docstrings_can_fail() -> None:
    assert list(undocumented(Source("ocp_node/base/x.py", "x = 1\n")))
    assert not list(undocumented(Source("ocp_node/base/x.py", "'''What it is for.'''\n")))


# --- the test reads what it thinks it reads --------------------------------------------------------------------------

def test_the_sources_are_found() -> None:
    product = {source(path).name for path in PRODUCT}
    assert {"ocp.py", "server_contract.py", "ocp_node/core.py", "ocp_node/base/settings.py"} <= product
    assert "scripts/test.py" in {source(path).name for path in SCRIPTS}
    assert {"CONTRIBUTING.md", "pyproject.toml", ".ci/run"} <= {str(path.relative_to(ROOT)) for path in WRITTEN}


def test_every_folder_of_the_program_has_a_place_in_the_order() -> None:
    folders = {path.name for path in (ROOT / "ocp_node").iterdir() if path.is_dir() and not path.name.startswith("__")}
    assert folders <= set(BELOW)
