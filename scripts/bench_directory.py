#!/usr/bin/env python3
"""Fills a seed directory and measures it: `python3 scripts/bench_directory.py [--nodes 1000,1000000] [--folder DIR]`.

Every artifact is truly signed.  Printed are bytes on the disk for each node, the time of one page of the feed and of one look-up
(inside the node, and over HTTP on a kept connection), and publications a second.  A million nodes take some ten minutes and 2 GB.
"""

from __future__ import annotations

import argparse
import http.client
import os
import random
import sys
import tempfile
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from ocp_node.base import settings as settings_table
from ocp_node.base.clock import SetClock, instant_text
from ocp_node.base.ids import Ids
from ocp_node.base.log import silent
from ocp_node.crypto import keys, node_did
from ocp_node.directory import artifact, table
from ocp_node.directory.admission import Admission
from ocp_node.directory.feed import read_page
from ocp_node.directory.rules import Policy
from ocp_node.node.node import Node
from ocp_node.store.opening import open_store

NOON = 1_774_289_280.0
UNBOUNDED = {"directory_max_nodes": 0, "directory_source_writes_burst": 0, "directory_source_reads_burst": 0,
             "directory_publisher_writes_burst": 0, "directory_new_nodes_burst": 0}
BATCH = 2_000


def advertisement(number: int, sequence: int = 1) -> artifact.Advertisement:
    """A usual artifact of about 730 bytes, from a key of its own."""
    secret = keys.secret_key(number.to_bytes(32, "big"))
    key = node_did.key_text(secret[32:])
    members = {"schema/v": 1, "advertisement/id": f"adv:{number:026d}", "node/id": node_did.NODE + key, "sequence/no": sequence,
               "advertised-at": instant_text(NOON), "expires-at": instant_text(NOON + 86_400), "key/alg": "ed25519",
               "key/public": key, "federation/id": "fed:example",
               "endpoints": [{"endpoint/url": f"wss://n{number}.nodes.example.org:8421/mesh/stream", "endpoint/transport": "wss",
                              "endpoint/role": "listener", "endpoint/priority": 0}], "transports/supported": ["wss"]}
    value = node_did.signature_text(keys.sign_with(secret, node_did.signing_input(node_did.ADVERTISEMENT, members)))
    made = artifact.Advertisement({**members, "signature": {"alg": "ed25519", "value": value}})
    made.prepare()
    return made


def fill(folder: Path, nodes: int) -> None:
    """A database with so many nodes, and what each costs on the disk."""
    clock = SetClock(NOON)
    store = open_store(folder, clock, Ids(), silent(), lambda act: act())
    admission = Admission(Policy(settings_table.of(folder, **UNBOUNDED)), clock, silent(), lambda stored: None)
    spent = 0.0
    with store.reader.snapshot() as connection:
        there = table.state(connection).nodes
    for start in range(there, nodes, BATCH):
        changes = [admission.change(advertisement(number), "") for number in range(start, min(nodes, start + BATCH))]
        before = time.perf_counter()
        store.writer.run(lambda connection, changes=changes: [change(connection) for change in changes], timeout=600)
        spent += time.perf_counter() - before
    if nodes > there:
        say(f"{nodes:>9} nodes: one stored change {spent / (nodes - there) * 1e6:.0f} us of the writer")
    inside(store, nodes, admission.now_us())
    store.close()
    say(f"{nodes:>9} nodes: {os.path.getsize(folder / 'ocp.db') / nodes:.0f} bytes of database for each")


def inside(store: object, nodes: int, now_us: int) -> None:
    """A page and a look-up without HTTP."""
    with store.reader.snapshot() as connection:  # type: ignore[attr-defined]
        for name, position in (("first", 0), ("middle", nodes // 2), ("last", nodes - 1)):
            taken = sorted(timed(lambda position=position: read_page(connection, position, 100, 1 << 20, now_us).body("0" * 16,
                                                                                                                      100))
                           for _ in range(300))
            say(f"{nodes:>9} nodes: {name} page in the node {taken[150] * 1e6:.0f} us, 99 % {taken[297] * 1e6:.0f} us")
        chance = random.Random(1)
        positions = [chance.randint(1, nodes) for _ in range(500)]
        ids = [connection.execute("SELECT node_id FROM adv_current WHERE position >= ? LIMIT 1", (at,)).fetchone()[0]
               for at in positions]
        spent = timed(lambda: [table.fetch(connection, node_id, now_us) for node_id in ids])
        say(f"{nodes:>9} nodes: one look-up in the node {spent / len(ids) * 1e6:.0f} us")
        for name in ("adv_current", "adv_highwater", "event"):
            size = connection.execute("SELECT sum(pgsize) FROM dbstat WHERE name = ?", (name,)).fetchone()[0]
            say(f"{nodes:>9} nodes: table {name} {size / nodes:.0f} bytes each")


def timed(act: object) -> float:
    before = time.perf_counter()
    act()  # type: ignore[operator]
    return time.perf_counter() - before


def over_http(folder: Path, nodes: int, seconds: float) -> None:
    """The same by a whole node, with its address limits switched off."""
    import server_contract
    node = Node(settings_table.of(folder, port=0, workers=0, **UNBOUNDED), server_contract.ROUTES,
                environment={"PATH": "/usr/bin:/bin"},
                clock=SetClock(NOON), log=silent())
    node.open()
    thread = threading.Thread(target=node.run, daemon=True)
    thread.start()
    try:
        epoch = node.rooms["directory"].feed.epoch
        chance = random.Random(2)
        cursors = [f"cur:{epoch}-{chance.randint(0, nodes - 1):016x}" for _ in range(50_000)]
        tail = f"cur:{epoch}-{node.rooms['directory'].position:016x}"
        asked(node, seconds, f"{nodes:>9} nodes: GET /adv?since= anywhere", lambda at: ("GET", f"/adv?since={cursors[at]}", None))
        asked(node, seconds, f"{nodes:>9} nodes: GET /adv?since= at the end", lambda at: ("GET", f"/adv?since={tail}", None))
        asked(node, seconds, f"{nodes:>9} nodes: GET /adv (the same page)", lambda at: ("GET", "/adv", None))
        known = [advertisement(chance.randrange(nodes)).node_id for _ in range(2_000)]
        asked(node, seconds, f"{nodes:>9} nodes: GET /adv/{{node_id}}", lambda at: ("GET", f"/adv/{known[at % len(known)]}",
                                                                                    None))
        newer = int(time.time())          # than what an earlier run has left
        replaced = [advertisement(number, newer) for number in chance.sample(range(nodes), min(nodes, 6_000))]
        asked(node, seconds, f"{nodes:>9} nodes: PUT /adv/{{node_id}}",
              lambda at: ("PUT", f"/adv/{replaced[at].node_id}", replaced[at].text) if at < len(replaced) else None)
    finally:
        node.stop()
        thread.join(10)
        node.close()


def asked(node: Node, seconds: float, what: str, request: object, clients: int = 1) -> None:
    """Requests one after the other on one kept connection, for so long or until there are no more."""
    connection = http.client.HTTPConnection("127.0.0.1", node.server.server_port, timeout=30)
    taken: list[float] = []
    size, until = 0, time.perf_counter() + seconds
    while time.perf_counter() < until:
        wanted = request(len(taken))  # type: ignore[operator]
        if wanted is None:
            break
        before = time.perf_counter()
        connection.request(wanted[0], wanted[1], wanted[2], {"Content-Type": "application/json"} if wanted[2] else {})
        answer = connection.getresponse()
        size = len(answer.read())
        taken.append(time.perf_counter() - before)
        assert answer.status in (200, 201), answer.status
    connection.close()
    taken.sort()
    say(f"{what}: {taken[len(taken) // 2] * 1e6:.0f} us, 99 % {taken[len(taken) * 99 // 100] * 1e6:.0f} us, {size} bytes")


def say(line: str) -> None:
    print(line, flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--nodes", default="1000,1000000")
    parser.add_argument("--folder", default="", help="keep the databases here, and fill them only once")
    parser.add_argument("--seconds", type=float, default=3.0)
    asked_for = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="ocp-directory-") as scratch:
        for nodes in map(int, asked_for.nodes.split(",")):
            folder = Path(asked_for.folder or scratch) / f"nodes-{nodes}"
            folder.mkdir(parents=True, exist_ok=True)
            fill(folder, nodes)
            over_http(folder, nodes, asked_for.seconds)
    return 0


if __name__ == "__main__":
    sys.exit(main())
