"""What people would write instead: the same few routes in FastAPI on uvicorn, with SQLite and full durability."""

import json
import os
import sqlite3

from fastapi import FastAPI, Request
from fastapi.responses import Response

app = FastAPI()
database = sqlite3.connect(os.environ["BENCH_DB"], isolation_level=None, check_same_thread=False)
database.executescript("""
PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;
CREATE TABLE IF NOT EXISTS item(id TEXT PRIMARY KEY, document TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS lease(id INTEGER PRIMARY KEY, document TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS event(seq INTEGER PRIMARY KEY, kind TEXT, peer TEXT, payload TEXT, created TEXT);
CREATE TABLE IF NOT EXISTS adv(node TEXT PRIMARY KEY, sequence INTEGER, document TEXT NOT NULL);
""")


@app.get("/small")
async def small():
    return {"status": "ok"}


@app.get("/item/{name}")
async def item(name: str):
    row = database.execute("SELECT document FROM item WHERE id = ?", (name,)).fetchone()
    return json.loads(row[0]) if row else Response(status_code=404)


@app.get("/app/{name}")
async def program(name: str, request: Request):
    from benchmarks.peers.bearer import good
    return await item(name) if good(request.headers.get("authorization", "")) else Response(status_code=401)


@app.get("/events")
async def events(since: int = 0, limit: int = 50):
    rows = database.execute("SELECT seq, kind, peer, payload, created FROM event WHERE seq > ? ORDER BY seq LIMIT ?",
                            (since, limit)).fetchall()
    return {"events": [{"seq": seq, "event_type": kind, "peer_id": peer, "payload": json.loads(payload), "created_at": created}
                       for seq, kind, peer, payload, created in rows], "next_cursor": rows[-1][0] if rows else since}


@app.post("/lease")
async def lease(request: Request):
    document = await request.json()
    database.execute("BEGIN IMMEDIATE")
    number = database.execute("INSERT INTO lease(document) VALUES (?)", (json.dumps(document),)).lastrowid
    database.execute("COMMIT")
    return {"id": number}


@app.post("/workers/{name}/heartbeat")
async def heartbeat(name: str, request: Request):
    said = await request.json()
    database.execute("BEGIN IMMEDIATE")
    row = database.execute("SELECT document FROM item WHERE id = ?", (name,)).fetchone()
    worker = {**(json.loads(row[0]) if row else {"id": name}), **said}
    database.execute("INSERT INTO item VALUES (?, ?) ON CONFLICT(id) DO UPDATE SET document = excluded.document",
                     (name, json.dumps(worker)))
    database.execute("COMMIT")
    return {"status": "ok", "worker": worker}


@app.put("/adv/{node_id}")
async def publish(node_id: str, request: Request):
    from benchmarks.peers.signed import verified
    raw = await request.body()
    document = json.loads(raw)
    if document["node/id"] != node_id or not verified(document):
        return Response(status_code=403)
    database.execute("BEGIN IMMEDIATE")
    known = database.execute("SELECT sequence FROM adv WHERE node = ?", (node_id,)).fetchone()
    if known and known[0] >= document["sequence/no"]:
        database.execute("ROLLBACK")
        return Response(status_code=409)
    database.execute("INSERT OR REPLACE INTO adv(node, sequence, document) VALUES (?, ?, ?)",
                     (node_id, document["sequence/no"], raw.decode()))
    database.execute("COMMIT")
    return Response(json.dumps({"status": "stored"}), 200 if known else 201, media_type="application/json")


@app.get("/adv/{node_id}")
async def fetch(node_id: str):
    row = database.execute("SELECT document FROM adv WHERE node = ?", (node_id,)).fetchone()
    return Response(row[0], media_type="application/json") if row else Response(status_code=404)
