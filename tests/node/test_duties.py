"""Rooms that nobody has to ask for: built once the node answers, before any handler of a surface works."""

from __future__ import annotations

import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ocp_node.core import Rooms
from ocp_node.mesh import surface
from ocp_node.node.node import Node
from tests.support.node import TrialNode


@pytest.fixture
def rooms(monkeypatch: pytest.MonkeyPatch) -> Rooms:
    """Rooms made of their names; what was built, in order, stands in `rooms._core.built`."""
    core = SimpleNamespace(built=[], faults={})

    def module(name: str) -> Any:
        def build(core: Any, rooms: Rooms) -> str:
            if name in core.faults:
                raise core.faults[name]
            core.built.append(name)
            return name

        return SimpleNamespace(build=build)

    monkeypatch.setattr("ocp_node.core.importlib.import_module", module)
    return Rooms(core)           # type: ignore[arg-type]


def test_expected_rooms_are_built_once_and_in_order(rooms: Rooms) -> None:
    rooms.expect(["b", "a"])
    rooms.expect(["c"])
    assert rooms._core.built == []
    rooms.complete()
    rooms.complete()
    assert rooms._core.built == [f"ocp_node.{name}.room" for name in "bac"]


def test_whoever_comes_while_rooms_are_built_waits_for_all(rooms: Rooms) -> None:
    began, go, seen = threading.Event(), threading.Event(), []
    built: list[str] = rooms._core.built

    class Slow(list[str]):
        def append(self, name: str) -> None:
            began.set()
            go.wait(20)
            built.append(name)

    rooms._core.built = Slow()
    rooms.expect(["a", "b"])
    first = threading.Thread(target=rooms.complete)
    first.start()
    assert began.wait(20)
    second = threading.Thread(target=lambda: (rooms.complete(), seen.append(len(built))))
    second.start()
    assert seen == []
    go.set()
    first.join()
    second.join()
    assert seen == [2]


def test_a_room_that_cannot_be_built_stays_a_fault(rooms: Rooms) -> None:
    rooms._core.faults["ocp_node.b.room"] = RuntimeError("no room")
    rooms.expect(["a", "b", "c"])
    for _ in range(2):
        with pytest.raises(RuntimeError, match="no room"):
            rooms.complete()
    assert rooms._core.built == ["ocp_node.a.room"]


def test_the_first_request_of_a_surface_finds_all_of_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Node, "_begin_duties", lambda node: None)            # the background has not come to it yet
    with TrialNode(tmp_path, duties=False) as node:
        assert node.get("/healthz").status == 200
        assert not set(surface.DUTIES) & set(node.rooms._built)
        assert node.get("/mesh/peers").status == 200
        assert set(surface.DUTIES) <= set(node.rooms._built)


def test_a_node_without_one_of_its_rooms_ends_and_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(surface, "DUTIES", ("mesh.artifacts", "mesh.nowhere"))
    caught: list[BaseException] = []
    run = Node.run

    def noting(node: Node) -> None:
        try:
            run(node)
        except BaseException as fault:
            caught.append(fault)

    monkeypatch.setattr(Node, "run", noting)
    node = TrialNode(tmp_path, duties=False)
    node.thread.join(20)
    node.node.close()
    assert not node.thread.is_alive() and isinstance(caught[0], ModuleNotFoundError)
