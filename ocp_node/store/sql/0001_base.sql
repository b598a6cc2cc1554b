-- What every surface stands on: facts about the database, the event table, the outbox, switches.

CREATE TABLE migration(
  number INTEGER PRIMARY KEY,
  name TEXT NOT NULL,
  sha256 TEXT NOT NULL,
  applied_at TEXT NOT NULL
) STRICT;

CREATE TABLE meta(
  name TEXT PRIMARY KEY CHECK (length(name) BETWEEN 1 AND 100),
  value TEXT NOT NULL CHECK (length(value) <= 65536)
) STRICT, WITHOUT ROWID;

-- AUTOINCREMENT: a number is never given twice, not even after the newest row has been swept.
CREATE TABLE event(
  seq INTEGER PRIMARY KEY AUTOINCREMENT,
  id TEXT NOT NULL UNIQUE,
  surface TEXT NOT NULL CHECK (length(surface) BETWEEN 1 AND 32),
  event_type TEXT NOT NULL CHECK (length(event_type) BETWEEN 1 AND 200),
  subject TEXT NOT NULL DEFAULT '' CHECK (length(subject) <= 2000),
  peer_id TEXT NOT NULL DEFAULT '' CHECK (length(peer_id) <= 2000),
  request_id TEXT NOT NULL DEFAULT '' CHECK (length(request_id) <= 2000),
  payload TEXT NOT NULL DEFAULT '{}' CHECK (length(payload) <= 65536),
  created_at TEXT NOT NULL CHECK (length(created_at) = 20)
) STRICT;
CREATE INDEX event_surface ON event(surface, seq);
CREATE INDEX event_type ON event(event_type, seq);

CREATE TABLE outbox(
  number INTEGER PRIMARY KEY AUTOINCREMENT,
  kind TEXT NOT NULL CHECK (length(kind) BETWEEN 1 AND 100),
  key TEXT NOT NULL DEFAULT '' CHECK (length(key) <= 2000),
  payload TEXT NOT NULL,
  due_at REAL NOT NULL,
  attempts INTEGER NOT NULL DEFAULT 0,
  state TEXT NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'failed')),
  error TEXT NOT NULL DEFAULT '' CHECK (length(error) <= 500),
  created_at TEXT NOT NULL
) STRICT;
CREATE INDEX outbox_due ON outbox(state, kind, due_at);
CREATE INDEX outbox_key ON outbox(kind, key) WHERE key <> '';

-- What an operator switched while the node ran; the value is JSON.
CREATE TABLE switch(
  name TEXT PRIMARY KEY CHECK (length(name) BETWEEN 1 AND 200),
  value TEXT NOT NULL CHECK (length(value) <= 65536),
  changed_at TEXT NOT NULL,
  changed_by TEXT NOT NULL DEFAULT '' CHECK (length(changed_by) <= 2000)
) STRICT, WITHOUT ROWID;
