"""The same routes as bare ASGI: no framework between uvicorn and SQLite."""

import json
import os
import sqlite3
from urllib.parse import parse_qs

from benchmarks.peers.bearer import good

database = sqlite3.connect(os.environ["BENCH_DB"], isolation_level=None, check_same_thread=False)
database.executescript("""
PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;
CREATE TABLE IF NOT EXISTS item(id TEXT PRIMARY KEY, document TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS adv(node TEXT PRIMARY KEY, sequence INTEGER, document TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS event(seq INTEGER PRIMARY KEY, kind TEXT, peer TEXT, payload TEXT, created TEXT);
""")


def item(name):
    row = database.execute("SELECT document FROM item WHERE id = ?", (name,)).fetchone()
    return json.dumps(json.loads(row[0])).encode()


async def app(scope, receive, send):
    if scope["type"] != "http":
        return
    path, status = scope["path"], 200
    if path.startswith("/item/"):
        body = item(path[6:])
    elif path.startswith("/app/"):
        known = next((value for name, value in scope["headers"] if name == b"authorization"), b"")
        status, body = (200, item(path[5:])) if good(known.decode()) else (401, b"{}")
    elif path.startswith("/adv/"):
        body = database.execute("SELECT document FROM adv WHERE node = ?", (path[5:],)).fetchone()[0].encode()
    elif path == "/events":
        query = parse_qs(scope["query_string"].decode())
        rows = database.execute("SELECT seq, kind, peer, payload, created FROM event WHERE seq > ? ORDER BY seq LIMIT ?",
                                (int(query["since"][0]), int(query["limit"][0]))).fetchall()
        events = [{"seq": seq, "event_type": kind, "peer_id": peer, "payload": json.loads(payload), "created_at": created}
                  for seq, kind, peer, payload, created in rows]
        body = json.dumps({"events": events}).encode()
    else:
        body = b'{"status":"ok"}'
    await send({"type": "http.response.start", "status": status,
                "headers": [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]})
    await send({"type": "http.response.body", "body": body})
