"""How many durable changes a second this machine stores: printed (`pytest -s`), never asserted as a time."""

from __future__ import annotations

import queue
import time
from collections.abc import Callable
from typing import Any

import pytest

from ocp_node.store.writer import WriteConnection
from tests.support.store import Trial, note


def event(connection: WriteConnection) -> None:
    connection.event("mesh.note.added", subject="note", payload={"text": "x" * 150})


@pytest.mark.parametrize("clients, changes", [(1, 500), (8, 2_000), (32, 8_000), (128, 16_000)])
@pytest.mark.parametrize("change", [note("x" * 200), event], ids=["row", "event"])
def test_every_change_of_many_clients_is_stored(
        made: Callable[..., Trial], clients: int, changes: int, change: Callable[..., Any]) -> None:
    """Each client sends its next change when the last was answered, from one loop, as the edge does."""
    loop: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
    trial = made(settle_on=loop.put).start()
    sent, done, faults = 0, 0, []

    def send() -> None:
        nonlocal sent
        if sent < changes:
            sent += 1
            trial.writer.submit(change, settle)

    def settle(result: object, fault: BaseException | None) -> None:
        nonlocal done
        done += 1
        if fault is not None:
            faults.append(fault)
        send()

    start = time.perf_counter()
    for _ in range(clients):
        send()
    while done < changes:
        loop.get(timeout=30)()
    seconds = time.perf_counter() - start
    with trial.reader.snapshot() as connection:
        stored = connection.execute("SELECT (SELECT count(*) FROM note) + (SELECT count(*) FROM event)").fetchone()[0]
    print(f"\n{clients:>4} clients: {changes / seconds:>9,.0f} durable changes a second, "
          f"{changes / trial.writer.commits:.1f} a commit")
    assert stored == changes and not faults
