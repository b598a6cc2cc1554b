"""Rows about durable writes: plain ones, leases, and signed advertisements."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from . import machine
from .comparing import Bench, Measured, compared, post
from .machine import Missing, Process, wrk

WORKERS = 32
UNLIMITED = {f"OCP_DIRECTORY_{name}_{part}": "0" for name in ("SOURCE_READS", "SOURCE_WRITES", "PUBLISHER_WRITES", "NEW_NODES")
             for part in ("BURST", "PER_SECOND")}
ADVERTS_A_SECOND = 9_000             # prepared for each second of load; who writes faster meets the first ones again
HEAD = """
local n = 0
function init(args) wrk.method = "POST" wrk.headers["Content-Type"] = "application/json" seed = args[1] or "a" base = args[2] end
"""
HEARTBEAT_SCRIPT = HEAD + """
function request()
  n = n + 1
  return wrk.format(nil, base .. (n % 32) .. "/heartbeat", nil,
    '{"status":"active","metadata":{"beat":' .. n .. ',"note":"' .. string.rep("x", 120) .. '"}}')
end
"""
LEASE_SCRIPT = HEAD + """
function request()
  n = n + 1
  return wrk.format(nil, nil, nil, '{"peer_id":"bench","resource":"r-' .. seed .. '-' .. n ..
    '","ttl_seconds":300,"metadata":{"note":"' .. string.rep("x", 120) .. '"}}')
end
"""
LINES_SCRIPT = """
local lines, n = {}, 0
function init(args)
  wrk.method = "PUT" wrk.headers["Content-Type"] = "application/json"
  for line in io.lines(args[1]) do lines[#lines + 1] = line end
end
function request()
  n = n % #lines + 1
  local tab = string.find(lines[n], "\\t", 1, true)
  return wrk.format(nil, string.sub(lines[n], 1, tab - 1), nil, string.sub(lines[n], tab + 1))
end
"""
CEILING = """
import time
from nacl.signing import SigningKey
key, end, count = SigningKey.generate(), time.perf_counter() + 1.0, 0
signed, verify = key.sign(b"x" * 600), key.verify_key.verify
while time.perf_counter() < end:
    verify(signed)
    count += 1
print(count)
"""


def g7_g8(bench: Bench) -> list[Measured]:
    """Durable writes, on this disk and on one whose syncs take 5 ms longer."""
    beat, lease = bench.folder / "beat.lua", bench.folder / "lease.lua"
    beat.write_text(HEARTBEAT_SCRIPT)
    lease.write_text(LEASE_SCRIPT)
    rows = []
    for what, delay, clients, must, aim in (("G7 32 clients", 0, 32, 8.0, 14.0),
                                            ("G8 32 clients, +5 ms a sync", 5000, 32, 12.0, 17.0),
                                            ("G8 128 clients, +5 ms a sync", 5000, 128, 40.0, 65.0)):
        environment = machine.slow_sync(bench.folder, delay) if delay else {}
        node = bench.node(f"write-{delay}-{clients}", environment=environment)
        fastapi = bench.start(machine.uvicorn("fastapi_app", bench.folder, environment), "/small")
        for number in range(WORKERS):
            worker = {"worker_id": f"w-{number}", "agent_id": "bench", "capabilities": ["shell"]}
            post(node.port, "/mesh/workers/register", worker)
        seed = iter(range(1000))
        load = partial(wrk, clients=clients, seconds=bench.seconds)
        ours, theirs, leases, inserts = bench.turns(
            partial(load, node, "/", script=str(beat), arguments=["", "/mesh/workers/w-"]),
            partial(load, fastapi, "/", script=str(beat), arguments=["", "/workers/w-"]),
            partial(_leased, load, node, "/mesh/lease/acquire", str(lease), seed),
            partial(_leased, load, fastapi, "/lease", str(lease), seed))
        rows.append(compared(f"{what}: a worker's heartbeat (one row rewritten) beside FastAPI+SQLite", ours, theirs, must, aim))
        rows.append(compared(f"{what}: a lease with its event (two rows, six indexes) beside FastAPI+SQLite inserting one row",
                             leases, inserts, must, aim))
        bench.close()
    return rows


def _leased(load: partial[machine.Load], process: Process, path: str, script: str, seed: Iterator[int]) -> machine.Load:
    return load(process, path, script=script, arguments=[f"{next(seed)}"])


def g10(bench: Bench) -> list[Measured]:
    """Signed advertisements: verified, stored, durable."""
    node = bench.node("adverts", environment=UNLIMITED)
    fastapi = bench.start(machine.uvicorn("fastapi_app", bench.folder), "/small")
    script = bench.folder / "lines.lua"
    script.write_text(LINES_SCRIPT)
    papers = [adverts(bench.folder / f"adverts-{number}", number, round(ADVERTS_A_SECOND * max(1, round(bench.seconds))))
              for number in range(bench.rounds)]
    ceiling = _verified_a_second()
    one, other = iter(papers), iter(papers)
    ours, theirs = bench.turns(lambda: wrk(node, "/", seconds=bench.seconds, script=str(script), arguments=[str(next(one))]),
                               lambda: wrk(fastapi, "/", seconds=bench.seconds, script=str(script), arguments=[str(next(other))]))
    row = compared("G10 PUT /adv/{node_id}, each of a node of its own, beside FastAPI+PyNaCl+SQLite", ours, theirs, 3.0, 5.0)
    rates = sorted(load.rate for load in ours)
    if ceiling:
        row["note"] = f"{rates[len(rates) // 2] / ceiling:.2f}x of the {ceiling:,} signatures one core verifies in a second"
    return [row]


def adverts(path: Path, batch: int, count: int) -> Path:
    """A file of ready-signed advertisements of so many keys: path, tab, body on each line."""
    sys.path.insert(0, str(machine.ROOT))
    try:
        from ocp_node.base.clock import instant_text
        from ocp_node.crypto import keys, node_did
    except ImportError:
        raise Missing("PyNaCl for this Python") from None
    now = time.time()
    with open(path, "w", encoding="utf-8") as file:
        for number in range(count):
            seed = (batch * 1_000_000 + number + 1).to_bytes(32, "big")
            text = node_did.key_text(keys.public_key(seed))
            name = node_did.NODE + text
            members = {"schema/v": 1, "advertisement/id": f"adv:{number}", "node/id": name, "sequence/no": 1,
                       "advertised-at": instant_text(now), "expires-at": instant_text(now + 600),
                       "key/alg": "ed25519", "key/public": text,
                       "endpoints": [{"endpoint/url": "wss://node.example/peer", "endpoint/transport": "wss",
                                      "endpoint/role": "listener", "endpoint/priority": 0}], "transports/supported": ["wss"]}
            value = node_did.signature_text(keys.sign(seed, node_did.signing_input(node_did.ADVERTISEMENT, members)))
            file.write(f"/adv/{name}\t{json.dumps({**members, 'signature': {'alg': 'ed25519', 'value': value}})}\n")
    return path


def _verified_a_second() -> int:
    """What PyNaCl alone makes on the servers' core."""
    done = subprocess.run(["taskset", "-c", machine.SERVER_CPU, machine.peer_python(), "-c", CEILING], capture_output=True,
                          text=True, check=False)
    return int(done.stdout) if done.returncode == 0 else 0
