"""A disk that fills up under a running node: what was answered is kept, what cannot be kept is refused, and it goes on later."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.process_node import ProcessNode

DISK_BYTES = 24 * 1024 * 1024


@pytest.fixture()
def disk(tmp_path: Path) -> Iterator[Path]:
    """A small file system of its own."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "none", str(folder)]
    if os.geteuid() or shutil.which("mount") is None or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("a small file system cannot be mounted here (needs root)")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def fill(path: Path) -> None:
    """Not a byte is left."""
    with open(path, "wb", buffering=0) as file:
        for piece in (65_536, 4_096, 1):
            while True:
                try:
                    file.write(bytes(piece))
                except OSError:
                    break


def lease(node: ProcessNode, name: str) -> int:
    return node.post("/mesh/lease/acquire", {"peer_id": "p", "resource": name}).status


def leased(node: ProcessNode) -> list[str]:
    return [event["payload"]["resource"] for event in node.get("/mesh/stream?limit=500").json["events"]
            if event["event_type"] == "mesh.lease.acquired"]


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_a_node_on_a_full_disk_refuses_changes_and_loses_nothing(disk: Path, end: str) -> None:
    with ProcessNode(disk / "state", "--workers", "0") as node:
        answered = [name for name in ("a", "b", "c") if lease(node, name) == 200]
        fill(disk / "filler")
        refused = 0
        for number in range(300):                               # the log may have room for some more
            status = lease(node, f"full-{number}")
            assert status in (200, 503)
            answered += [f"full-{number}"] if status == 200 else []
            refused += status != 200
            if refused == 3:
                break
        assert refused == 3 and leased(node) == answered        # reading goes on
        upload = node.request("PUT", "/mesh/artifacts/content", raw=bytes(200_000), headers={"Content-Type": "text/plain"})
        assert upload.status == 503 and node.get("/mesh/artifacts").json["count"] == 0
        job = node.post("/mesh/jobs/submit", {"job": {"kind": "demo", "command": "echo hello"}})
        assert (job.status, job.json["code"]) == (503, "busy") and node.get("/mesh/queue").json["count"] == 0
        assert (node.get("/healthz").status, node.get("/readyz").status) == (200, 503)
        if end == "kill":
            node.kill()
        (disk / "filler").unlink()
        if end == "kill":
            node.start()
        assert lease(node, "after") == 200 and leased(node) == [*answered, "after"]
        done = node.post("/mesh/jobs/submit", {"job": {"kind": "demo", "command": "echo hello"}})
        assert done.json["status"] == "completed", done
        node.signal(15)
        assert node.wait() == 0
