"""The process dies in the middle of its work: nothing that was answered is lost."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from ocp_node.base.clock import Clock
from ocp_node.base.ids import Ids
from ocp_node.base.log import silent
from ocp_node.store.opening import open_store

ROOT = Path(__file__).parents[2]
PROGRAM = '''
import os, sys, threading
from pathlib import Path
from ocp_node.base.clock import Clock
from ocp_node.base.errors import Busy
from ocp_node.base.ids import Ids
from ocp_node.base.log import silent
from ocp_node.store.opening import open_store

store = open_store(Path(sys.argv[1]), Clock(), Ids(), silent(), lambda act: act())
room = threading.Semaphore(200)

def change(name):
    def write(connection):
        connection.event("mesh.said", subject=name + " one")
        connection.event("mesh.said", subject=name + " two", payload={"filler": "x" * 500})
    return write

def answered(name):
    def settle(result, fault):
        if fault is None:
            os.write(1, (name + "\\n").encode())
        room.release()
    return settle

def client(who):
    number = 0
    while True:
        room.acquire()
        name = f"{who}-{number}"
        store.writer.submit(change(name), answered(name))
        number += 1

threads = [threading.Thread(target=client, args=(who,)) for who in range(3)]
for thread in threads:
    thread.start()
'''


@pytest.mark.parametrize("seed", range(2))
def test_a_killed_process_loses_nothing_that_was_answered_and_keeps_no_half_change(tmp_path: Path, seed: int) -> None:
    child = subprocess.Popen([sys.executable, "-c", PROGRAM, str(tmp_path)], stdout=subprocess.PIPE, cwd=ROOT)
    assert child.stdout is not None
    output, wanted = b"", random.Random(seed).randrange(500, 10_000)
    while output.count(b"\n") < wanted:
        piece = os.read(child.stdout.fileno(), 65_536)
        assert piece, "the child ended by itself"
        output += piece
    child.send_signal(signal.SIGKILL)
    child.wait()
    while piece := os.read(child.stdout.fileno(), 65_536):
        output += piece
    child.stdout.close()
    answered = set(output[:output.rfind(b"\n")].decode().split("\n"))

    store = open_store(tmp_path, Clock(), Ids(), silent(), lambda act: act())
    with store.reader.snapshot() as connection:
        kept = [subject for (subject,) in connection.execute("SELECT subject FROM event ORDER BY seq")]
        numbers = [seq for (seq,) in connection.execute("SELECT seq FROM event ORDER BY seq")]
    store.close()
    firsts = {subject[:-4] for subject in kept if subject.endswith(" one")}
    seconds = {subject[:-4] for subject in kept if subject.endswith(" two")}
    assert len(answered) >= wanted and answered <= firsts
    assert firsts == seconds and len(kept) == 2 * len(firsts)
    assert numbers == list(range(1, len(kept) + 1))
