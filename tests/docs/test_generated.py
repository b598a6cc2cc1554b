"""What is made from routes, records and settings is committed as it is made."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent


@pytest.fixture(scope="module")
def generate_docs() -> ModuleType:
    place = importlib.util.spec_from_file_location("generate_docs", ROOT / "scripts/generate_docs.py")
    assert place is not None and place.loader is not None
    module = importlib.util.module_from_spec(place)
    place.loader.exec_module(module)
    return module


def test_the_generated_pages_are_current(generate_docs: ModuleType) -> None:
    assert generate_docs.stale(generate_docs.pages()) == [], "run python3 scripts/generate_docs.py"


def test_a_stale_a_missing_and_a_foreign_page_are_noticed(generate_docs: ModuleType, tmp_path: Path,
                                                          monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(generate_docs, "FOLDER", tmp_path)
    monkeypatch.setattr(generate_docs, "pages", lambda: {"a.md": "new", "b.md": "same", "c.md": "made"})
    (tmp_path / "a.md").write_text("old")
    (tmp_path / "b.md").write_text("same")
    (tmp_path / "d.md").write_text("foreign")
    assert generate_docs.main(["--check"]) == 1
    assert (tmp_path / "a.md").read_text() == "old"
    assert generate_docs.main([]) == 0
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"a.md": "new", "b.md": "same", "c.md": "made"}
    assert generate_docs.main(["--check"]) == 0


def test_every_route_is_in_the_pages(generate_docs: ModuleType) -> None:
    from server_contract import ROUTES
    pages = generate_docs.pages()
    for route in ROUTES:
        assert f"`{route.method} {route.path}`" in pages["routes.md"]
        assert f"### {route.id}\n" in pages[f"{route.surface}.md"]


def export(*arguments: str, folder: Path) -> str:
    return subprocess.run([sys.executable, str(ROOT / "scripts/export_contract.py"), *arguments], cwd=folder, capture_output=True,
                          text=True, timeout=60, check=True).stdout


def test_the_contract_is_exported_from_anywhere(tmp_path: Path) -> None:
    committed = (ROOT / "docs/generated/OCP_CONTRACT_v0.1.json").read_text()
    assert export("--pretty", folder=tmp_path) == committed
    assert export("--pretty", "--output", "made/contract.json", folder=tmp_path) == ""
    assert (tmp_path / "made/contract.json").read_text() == committed
    assert json.loads(export(folder=tmp_path)) == json.loads(committed)
    assert [path.name for path in (tmp_path / "made").iterdir()] == ["contract.json"]
