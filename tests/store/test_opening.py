"""Opening and leaving a data folder."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from ocp_node.base.clock import SetClock
from ocp_node.base.errors import Unusable
from ocp_node.base.ids import Ids
from ocp_node.base.log import silent
from ocp_node.store import facts
from ocp_node.store.opening import Store, open_store


def opened(data: Path, **named: object) -> Store:
    return open_store(data, SetClock(), Ids(), silent(), lambda act: act(), **named)  # type: ignore[arg-type]


def test_every_file_of_the_store_is_private(tmp_path: Path) -> None:
    store = opened(tmp_path / "data")
    store.writer.run(lambda connection: connection.event("mesh.x"))
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "data").iterdir()}
    store.close()
    assert modes == {"ocp.db": 0o600, "ocp.db-wal": 0o600, "ocp.db-shm": 0o600, "node.lock": 0o600}


def test_a_second_node_is_refused_and_the_first_goes_on(tmp_path: Path) -> None:
    first = opened(tmp_path)
    with pytest.raises(Unusable, match="already uses"):
        opened(tmp_path)
    first.writer.run(lambda connection: connection.event("mesh.x"))
    first.close()
    opened(tmp_path).close()


def test_a_start_that_fails_gives_the_folder_back(tmp_path: Path) -> None:
    (tmp_path / "ocp.db").write_bytes(b"not a database" * 100)
    for _ in range(2):
        with pytest.raises(Unusable, match="not a database"):
            opened(tmp_path)


def test_a_stop_in_order_leaves_the_database_alone_in_the_folder(tmp_path: Path) -> None:
    store = opened(tmp_path)
    store.writer.run(lambda connection: connection.event("mesh.x"))
    with store.reader.snapshot() as connection:
        connection.execute("SELECT * FROM event").fetchall()
    store.close()
    assert sorted(os.listdir(tmp_path)) == ["node.lock", "ocp.db"]


def test_the_database_can_stand_elsewhere(tmp_path: Path) -> None:
    store = opened(tmp_path / "data", database=tmp_path / "elsewhere" / "mine.db")
    store.close()
    assert (tmp_path / "elsewhere" / "mine.db").exists() and not (tmp_path / "data" / "ocp.db").exists()


def test_facts_and_switches_are_kept(tmp_path: Path) -> None:
    store = opened(tmp_path)
    store.writer.run(lambda connection: facts.put(connection, "a", "1"))
    store.writer.run(lambda connection: facts.put(connection, "a", "2"))
    store.writer.run(lambda connection: facts.put_switch(connection, "remote", {"on": True}, "2027-01-15T08:00:00Z", "operator"))
    store.writer.run(lambda connection: facts.put_switch(connection, "remote", False, "2027-01-15T08:00:01Z"))
    with store.reader.snapshot() as connection:
        assert facts.get(connection, "a") == "2" and facts.get(connection, "b", "none") == "none"
        assert facts.switches(connection) == {"remote": False}
    assert store.writer.run(lambda connection: facts.drop_switch(connection, "remote")) is True
    assert store.writer.run(lambda connection: facts.drop_switch(connection, "remote")) is False
    store.close()
