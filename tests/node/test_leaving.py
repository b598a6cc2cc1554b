"""What rooms want done at the end is done while it still can be."""

from __future__ import annotations

from pathlib import Path

from tests.support.node import TrialNode


def test_rooms_act_at_the_end_while_the_store_is_open_and_one_fault_keeps_no_other_from_it(tmp_path: Path) -> None:
    acted: list[str] = []

    def stumble() -> None:
        acted.append("first")
        raise RuntimeError("of the first room")

    def write() -> None:
        node.core.writer.run(lambda connection: acted.append(connection.execute("SELECT 'second'").fetchone()[0]))

    with TrialNode(tmp_path) as node:
        node.core.on_leave(stumble)
        node.core.on_leave(write)
        assert not acted
    assert acted == ["first", "second"]
