"""`kill -9` in the middle of work: what was answered is there afterwards, and nothing is there twice."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.scenarios.network import GOOD, HANGING, Network
from tests.support.process_node import Asking, ProcessNode, until
from tests.support.processes import alive

ROUNDS = 3
ANSWERS_BEFORE_KILL = 60          # of every writer together; the kill then comes wherever the others are


class Writer(threading.Thread):
    """Posts one durable submission after the other on a kept connection, until the node is gone."""

    def __init__(self, node: ProcessNode, path: str, bodies: Iterator[tuple[str, dict[str, Any]]]) -> None:
        super().__init__(daemon=True)
        self._port, self._path, self._bodies = node.port, path, bodies
        self.answered: dict[str, dict[str, Any]] = {}
        self.unanswered: list[str] = []
        self.odd: list[Any] = []
        self.start()

    def run(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=20)
        try:
            for name, body in self._bodies:
                self.unanswered = [name]
                connection.request("POST", self._path, json.dumps(body), {"Content-Type": "application/json"})
                answer = connection.getresponse()
                told = json.loads(answer.read())
                if answer.status != 200:
                    self.odd.append((name, answer.status, told))
                self.answered[name] = told
                self.unanswered = []
        except (OSError, http.client.HTTPException, ValueError):
            pass                                              # the kill came
        finally:
            connection.close()


def leases(round_number: int, writer: int) -> Iterator[tuple[str, dict[str, Any]]]:
    for number in range(1_000_000):
        name = f"lease-{round_number}-{writer}-{number}"
        yield name, {"peer_id": "p", "resource": name}


def jobs(round_number: int, writer: int) -> Iterator[tuple[str, dict[str, Any]]]:
    for number in range(1_000_000):
        name = f"job-{round_number}-{writer}-{number}"
        yield name, {"job": {"kind": "shell.command", "payload": {"command": "true"}}, "request_id": name}


def killed_while_writing(node: ProcessNode, writers: list[Writer]) -> None:
    """The node has ended in the middle of the writers' submissions."""
    until(lambda: sum(len(writer.answered) for writer in writers) >= ANSWERS_BEFORE_KILL, "enough answers")
    node.kill()
    for writer in writers:
        writer.join(20)
        assert not writer.is_alive() and not writer.odd, writer.odd


def events(node: ProcessNode) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    while True:
        page = node.get(f"/mesh/stream?limit=500&since={found[-1]['seq'] if found else 0}").json["events"]
        if not page:
            return found
        found += page


def test_what_was_answered_survives_a_kill_and_nothing_is_doubled(tmp_path: Path) -> None:
    answered: dict[str, dict[str, Any]] = {}
    sent: set[str] = set()
    with ProcessNode(tmp_path / "state", "--workers", "0") as node:
        for round_number in range(ROUNDS):
            writers = [*(Writer(node, "/mesh/lease/acquire", leases(round_number, number)) for number in range(3)),
                       *(Writer(node, "/mesh/jobs/submit", jobs(round_number, number)) for number in range(3))]
            killed_while_writing(node, writers)
            for writer in writers:
                answered |= writer.answered
                sent |= {*writer.answered, *writer.unanswered}
            node.start()
        log = events(node)
        assert [event["seq"] for event in log] == list(range(1, len(log) + 1))
        found = Counter(event["payload"]["resource"] for event in log if event["event_type"] == "mesh.lease.acquired")
        found += Counter(event["request_id"] for event in log if event["event_type"] == "mesh.job.queued")
        assert set(answered) <= set(found) <= sent and set(found.values()) == {1}
        for name, told in answered.items():
            if name.startswith("job-"):
                assert node.get(f"/mesh/jobs/{told['job']['id']}").json["request_id"] == name
            else:
                freed = node.post("/mesh/lease/release", {"lease_id": told["id"], "lock_token": told["lock_token"]})
                assert (freed.status, freed.json["resource"]) == (200, name)
        node.stop()


def test_a_submission_whose_answer_was_lost_can_be_repeated(tmp_path: Path) -> None:
    with ProcessNode(tmp_path / "state", "--workers", "0") as node:
        writers = [Writer(node, "/mesh/jobs/submit", jobs(0, number)) for number in range(4)]
        killed_while_writing(node, writers)
        node.start()
        for number, writer in enumerate(writers):
            asked = dict(body for body, _ in zip(jobs(0, number), range(len(writer.answered) + 1)))
            for name, body in asked.items():
                again = node.post("/mesh/jobs/submit", body).json["job"]
                first = writer.answered[name]["job"] if name in writer.answered else None
                assert first is None or (again["id"], again["deduped"]) == (first["id"], True)
        made = Counter(event["request_id"] for event in events(node) if event["event_type"] == "mesh.job.queued")
        assert set(made.values()) == {1} and len(made) >= ANSWERS_BEFORE_KILL
        node.stop()


def test_work_goes_on_after_a_kill_and_what_was_done_is_not_done_again(tmp_path: Path) -> None:
    ledger = tmp_path / "ledger"
    with ProcessNode(tmp_path / "state", "--workers", "2") as node:
        ids = {f"work-{number}": node.post("/mesh/jobs/submit", {
            "job": {"kind": "shell.command", "payload": {"command": f"echo work-{number} >> {ledger}"}},
            "request_id": f"work-{number}"}).json["job"]["id"] for number in range(24)}
        for _ in range(2):
            until(lambda: len(done(node, ids)) >= 4, "some work")
            before = done(node, ids)
            counted = Counter(ledger.read_text().split())
            node.kill()
            node.start()
        until(lambda: len(done(node, ids)) == len(ids), "the end of all work")
        counts = Counter(ledger.read_text().split())
        assert set(counts) == set(ids)
        assert all(counts[name] == counted[name] for name in before)
        node.stop()


def test_a_copy_that_was_cut_off_by_a_kill_leaves_nothing_half(tmp_path: Path) -> None:
    data = os.urandom(3_000_000)
    with ProcessNode(tmp_path / "from", "--node-id", "from") as source, ProcessNode(tmp_path / "to", "--node-id", "to") as node, \
            contextlib.closing(Network(source.port, 0, GOOD)) as network:
        artifact = source.request("PUT", "/mesh/artifacts/content?classification=public", raw=data,
                                  headers={"Content-Type": "application/octet-stream"}).json["artifact"]["id"]
        assert node.post("/mesh/peers/connect", {"base_url": network.url}).status == 200
        body = {"peer_id": "from", "artifact_id": artifact}
        seen = len(network.passed)
        network.weather = lambda request: HANGING if b"include_content=1" in request else GOOD
        asking = Asking(lambda: node.post("/mesh/artifacts/replicate", body))
        until(lambda: any(each.fate == "hang" and each.answer for each in network.passed[seen:]), "the transfer")
        until(lambda: sum(path.stat().st_size for path in incoming(node)) > 100_000, "some of it")
        node.kill()
        asking.join(20)
        assert asking.answer is None
        network.clear_up()
        node.start()
        assert node.get("/mesh/artifacts").json["count"] == 0
        copy = node.post("/mesh/artifacts/replicate", body).json["artifact"]["id"]
        assert node.get(f"/mesh/artifacts/{copy}?raw=1").body == data and incoming(node) == []
        node.stop()
        source.stop()


def incoming(node: ProcessNode) -> list[Path]:
    """Transfers that have not ended."""
    return [path for path in (node.folder / "artifacts" / "incoming").glob("*") if path.is_file()]


def done(node: ProcessNode, ids: dict[str, str]) -> list[str]:
    return [name for name, job_id in ids.items() if node.get(f"/mesh/jobs/{job_id}").json["status"] == "completed"]


@pytest.mark.parametrize(("end", "error"), [("stop", "node stopping"), ("kill", "node restarted")])
def test_a_job_that_somebody_waited_for_has_failed_when_its_node_comes_back(tmp_path: Path, end: str, error: str) -> None:
    """A stop waits a while for it and then says how it stands, a kill does neither; nothing of it runs on."""
    started = tmp_path / "started"
    with ProcessNode(tmp_path / "state") as node:
        command = f"echo $$ > {started}.new; mv {started}.new {started}; sleep 600"
        body = {"job": {"kind": "demo", "command": command, "timeout_seconds": 900}}
        asking = Asking(lambda: node.post("/mesh/jobs/submit", body))
        until(started.exists, "the run")
        getattr(node, end)()
        asking.join(20)
        assert (asking.answer.json["job"]["status"] == "running") if end == "stop" else asking.fault is not None
        node.start()
        failed = until(lambda: [event for event in events(node) if event["event_type"] == "mesh.job.failed"], "its failure")
        assert node.get(f"/mesh/jobs/{failed[0]['payload']['job_id']}").json["metadata"]["error"] == error
        until(lambda: not alive(int(started.read_text())), "the end of its process")
        node.stop()
