"""The entry as a person meets it: another folder, a link, an old Python, wrong words."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


Done = subprocess.CompletedProcess[str]


def run(command: list[str], cwd: Path = ROOT, **environ: str) -> Done:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("OCP_")}
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=60, env={**clean, **environ}, check=False,
                          stdin=subprocess.DEVNULL)


def ocp(*argv: str, cwd: Path = ROOT, program: Path = ROOT / "ocp.py", flags: tuple[str, ...] = (), **environ: str) -> Done:
    return run([sys.executable, *flags, str(program), *argv], cwd, **environ)


def test_it_runs_from_any_folder_and_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "node").symlink_to(ROOT / "ocp.py")
    (tmp_path / "link").symlink_to(tmp_path / "deep" / "node")
    for flags in ((), ("-I",), ("-P",)):
        done = ocp("help", cwd=tmp_path, program=tmp_path / "link", flags=flags)
        assert (done.returncode, done.stderr) == (0, "") and "serve" in done.stdout


@pytest.mark.parametrize("argv, code, words", [
    (("help",), 0, "exit codes"), (("--help",), 0, "serve"), (("serve", "--help"), 0, "--port"),
    (("--port", "1", "--help"), 0, "--port"),
    (("version",), 0, "python"), (("--version",), 0, "python"), (("help", "config"), 0, "examples:"),
    (("--prot", "1"), 2, "did you mean --port?"), (("statsu",), 2, "did you mean status?"), (("--port", "x"), 2, "whole number"),
    (("job",), 3, "planned"), (("simulate", "--json"), 3, "planned"), (("call", "mesh.no.such"), 2, "no route"),
    (("call", "mesh.jobs.show"), 2, "needs job_id"), (("config", "show", "prot"), 2, "no setting"),
    (("backup", "--whole"), 2, "--whole"),
])
def test_every_outcome_has_its_exit_code(tmp_path: Path, argv: tuple[str, ...], code: int, words: str) -> None:
    done = ocp(*argv, OCP_DATA_DIR=str(tmp_path))
    assert (done.returncode, words in done.stdout + done.stderr) == (code, True), done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    if code:
        assert done.stdout == "" and done.stderr.startswith("ocp: ") and done.stderr.count("\n") == 1


CLOSED = """
import os, sys
import ocp
ocp.streams()
sys.stdout.write("to nobody")
sys.stderr.write("to nobody")
with open(sys.argv[1], "w") as file:
    file.write(f"{file.fileno() > 2} {sys.stdin.read()!r}")
"""


def test_standard_streams_that_were_closed_lead_nowhere(tmp_path: Path) -> None:
    run(["sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh", sys.executable, "-c", CLOSED, str(tmp_path / "told")])
    assert (tmp_path / "told").read_text() == "True ''"


def test_a_reader_that_leaves_early_is_no_fault(tmp_path: Path) -> None:
    command = f"'{sys.executable}' '{ROOT}/ocp.py' contract --data-dir '{tmp_path}' | head -c 10; exit ${{PIPESTATUS[0]}}"
    done = run(["bash", "-c", command])
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("name", ["ocp.py", "scripts/test.py"])
def test_an_older_python_can_read_what_tells_it_that_it_is_too_old(name: str) -> None:
    text = (ROOT / name).read_text("utf-8")
    for minor in (7, 8, 10):
        ast.parse(text, name, feature_version=(3, minor))
    newer = ast.JoinedStr | ast.NamedExpr | ast.Match | ast.AnnAssign
    assert not any(isinstance(node, newer) for node in ast.walk(ast.parse(text)))


SERVE = """
import sys
sys.path.insert(0, sys.argv[1])
import ocp_node.cli, ocp_node.cli.serve
from ocp_node.base import sources
from ocp_node.node import bootstrap
sources.load(["--data-dir", sys.argv[2]], {})
bootstrap.look(sys.argv[1], sys.argv[2])
"""
LOADED = "import sys; print(*sys.modules)"
HEAVY = {"argparse", "subprocess", "venv", "tomllib", "difflib", "textwrap", "shutil", "ipaddress", "pathlib", "dataclasses",
         "logging", "asyncio", "uuid", "tempfile", "ssl", "http.client"}


def test_a_start_imports_nothing_heavy_before_it_serves() -> None:
    alone = set(run([sys.executable, "-I", "-c", LOADED]).stdout.split())
    serving = set(run([sys.executable, "-I", "-c", SERVE + LOADED, str(ROOT), "/nonexistent"]).stdout.split())
    assert "ocp_node.base.settings" in serving
    assert HEAVY & (serving - alone) == set()
