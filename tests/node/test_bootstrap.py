"""How signatures are found; each case in a Python of its own that has no packages, as on a fresh machine."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from ocp_node.base.errors import Unusable
from ocp_node.node import bootstrap

ROOT = Path(__file__).resolve().parent.parent.parent
VERSION = f"python{sys.version_info[0]}.{sys.version_info[1]}"
NO_LIBRARY = """
def no_library():
    raise OSError("no libsodium here")
"""


def bare(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """`code` in this Python without site packages."""
    text = f"import sys\nsys.path.insert(0, {str(ROOT)!r})\nfrom ocp_node.node import bootstrap\n{NO_LIBRARY}{code}"
    environ = {"PATH": os.environ.get("PATH", ""), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-S", "-I", "-c", text, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, env=environ, check=False)


@pytest.fixture
def pynacl(tmp_path: Path) -> Path:
    """A folder with PyNaCl's compiled part, as an unpacked package has it."""
    folder = tmp_path / "packages"
    for name in ("nacl", "_cffi_backend", "cffi"):
        found = importlib.util.find_spec(name)
        if found is None or not found.origin:
            pytest.skip(f"{name} is not installed here")
        origin = Path(found.origin)
        folder.mkdir(exist_ok=True)
        if origin.name == "__init__.py":
            shutil.copytree(origin.parent, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(origin, folder)
    return folder


LOOK = "print(bootstrap.look(sys.argv[1], sys.argv[2], no_library), bootstrap.sodium.first_of([bootstrap.sodium.PyNaCl]).name)"


def test_nothing_is_found_where_nothing_is(tmp_path: Path) -> None:
    done = bare("print(bootstrap.look(sys.argv[1], sys.argv[2], no_library))", str(tmp_path), str(tmp_path))
    assert (done.stdout.strip(), done.stderr) == ("None", "")


def test_a_vendored_package_is_found_and_stays_loadable(tmp_path: Path, pynacl: Path) -> None:
    pynacl.rename(tmp_path / "vendor")
    done = bare(LOOK, str(tmp_path), str(tmp_path / "state"))
    assert done.stdout.strip() == f"signatures by PyNaCl in {tmp_path}/vendor pynacl", done.stderr


def test_the_private_environment_is_found_again_without_network(tmp_path: Path, pynacl: Path) -> None:
    packages = tmp_path / "state" / "python" / "lib" / VERSION / "site-packages"
    packages.parent.mkdir(parents=True)
    pynacl.rename(packages)
    done = bare(LOOK, str(tmp_path), str(tmp_path / "state"))
    assert done.stdout.strip() == f"signatures by PyNaCl in {tmp_path}/state/python pynacl", done.stderr


def test_an_environment_of_another_python_is_not_used(tmp_path: Path, pynacl: Path) -> None:
    packages = tmp_path / "state" / "python" / "lib" / "python3.2" / "site-packages"
    packages.parent.mkdir(parents=True)
    pynacl.rename(packages)
    done = bare("print(bootstrap.look(sys.argv[1], sys.argv[2], no_library))", str(tmp_path), str(tmp_path / "state"))
    assert done.stdout.strip() == "None"


def test_a_vendored_package_for_another_machine_is_passed_over(tmp_path: Path, pynacl: Path) -> None:
    packages = tmp_path / "state" / "python" / "lib" / VERSION / "site-packages"
    packages.parent.mkdir(parents=True)
    shutil.copytree(pynacl, packages)
    pynacl.rename(tmp_path / "vendor")
    for compiled in (tmp_path / "vendor" / "nacl").glob("_sodium*"):
        compiled.write_bytes(b"for another processor")
    done = bare(LOOK, str(tmp_path), str(tmp_path / "state"))
    assert done.stdout.strip() == f"signatures by PyNaCl in {tmp_path}/state/python pynacl", done.stderr


def test_the_systems_library_comes_before_the_private_environment(tmp_path: Path, pynacl: Path) -> None:
    packages = tmp_path / "state" / "python" / "lib" / VERSION / "site-packages"
    packages.parent.mkdir(parents=True)
    pynacl.rename(packages)
    done = bare("print(bootstrap.look(sys.argv[1], sys.argv[2], lambda: None))", str(tmp_path), str(tmp_path / "state"))
    assert done.stdout.strip() == "signatures by the system's libsodium"


@pytest.mark.parametrize("word", ["1", "true", "Yes", " on "])
def test_installing_can_be_forbidden_and_the_line_names_the_commands(tmp_path: Path, word: str) -> None:
    with pytest.raises(Unusable) as caught:
        bootstrap._make(str(tmp_path / "state"), {"OCP_NO_BOOTSTRAP": word})
    line = str(caught.value)
    assert "pip install pynacl" in line and "apt install python3-nacl" in line and "\n" not in line
    assert not (tmp_path / "state").exists()


def test_the_program_never_starts_again_into_what_did_not_help(tmp_path: Path) -> None:
    (tmp_path / "python").symlink_to(sys.prefix)
    with pytest.raises(Unusable) as caught:
        bootstrap._make(str(tmp_path), {})
    assert "does not load" in str(caught.value)


def test_a_data_folder_that_cannot_be_made_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(Unusable) as caught:
        bootstrap._make(str(tmp_path / "file" / "state"), {})
    assert "cannot be used" in str(caught.value)


def test_the_environment_is_made_with_whatever_pip_there_is() -> None:
    whole = bootstrap._steps("new", lambda module: True)
    assert whole[0] == [sys.executable, "-m", "venv", "new"] and whole[1][:3] == ["new/bin/python", "-m", "pip"]
    borrowed = bootstrap._steps("new", lambda module: module != "ensurepip")
    assert "--without-pip" in borrowed[0] and list(borrowed[1][:5]) == [sys.executable, "-m", "pip", "--python", "new/bin/python"]
    assert all("--only-binary=:all:" in steps[1] for steps in (whole, borrowed))


@pytest.mark.parametrize("there", [(), ("venv",), ("pip",)])
def test_a_python_that_cannot_install_names_the_packages_of_the_system(there: tuple[str, ...]) -> None:
    with pytest.raises(Unusable) as caught:
        bootstrap._steps("new", lambda module: module in there)
    assert "apt install python3-nacl" in str(caught.value) and "apt install python3-venv" in str(caught.value)


def test_a_failing_step_is_quoted_by_its_last_line() -> None:
    with pytest.raises(Unusable) as caught:
        bootstrap._run([sys.executable, "-c", "print('first'); print('no such package'); print(); raise SystemExit(3)"])
    assert "(no such package)" in str(caught.value) and "first" not in str(caught.value)


def test_a_failed_installation_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(Unusable):
        bootstrap._install(str(tmp_path / "python"))
    assert list(tmp_path.iterdir()) == []
