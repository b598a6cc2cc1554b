-- OSCP 2.0: the parties we are registered with, the tokens they present, what was said, what waits to be sent.

CREATE TABLE oscp_party(
  id TEXT PRIMARY KEY CHECK (length(id) <= 64),
  local_role TEXT NOT NULL CHECK (local_role IN ('fp', 'cp', 'co')),
  peer_role TEXT NOT NULL CHECK (peer_role IN ('fp', 'cp', 'co')),
  name TEXT NOT NULL CHECK (length(name) BETWEEN 1 AND 128),
  state TEXT NOT NULL,
  facts TEXT NOT NULL CHECK (length(facts) <= 65536),
  token_out TEXT NOT NULL DEFAULT '' CHECK (length(token_out) <= 1024),
  created_at TEXT NOT NULL,
  updated_at TEXT NOT NULL
) STRICT;
CREATE UNIQUE INDEX oscp_party_name ON oscp_party(local_role, peer_role, name);

-- Only the SHA-256 of tokens that others present to us.
CREATE TABLE oscp_token(
  hash TEXT PRIMARY KEY CHECK (length(hash) = 64),
  party_id TEXT NOT NULL REFERENCES oscp_party(id) ON DELETE CASCADE,
  kind TEXT NOT NULL CHECK (kind IN ('A', 'IN')),
  expires_at REAL NOT NULL,
  made_at REAL NOT NULL,
  first_used_at REAL NOT NULL DEFAULT 0,
  void_at REAL NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX oscp_token_party ON oscp_token(party_id);

-- A message that comes again gets the answer it got before.
CREATE TABLE oscp_seen(
  party_id TEXT NOT NULL,
  method TEXT NOT NULL,
  path TEXT NOT NULL CHECK (length(path) <= 200),
  request_id TEXT NOT NULL CHECK (length(request_id) <= 128),
  hash TEXT NOT NULL,
  status INTEGER NOT NULL,
  body TEXT NOT NULL CHECK (length(body) <= 65536),
  seen_at REAL NOT NULL,
  PRIMARY KEY (party_id, method, path, request_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX oscp_seen_age ON oscp_seen(party_id, seen_at);

CREATE TABLE oscp_message(
  number INTEGER PRIMARY KEY AUTOINCREMENT,
  party_id TEXT NOT NULL,
  direction TEXT NOT NULL CHECK (direction IN ('in', 'out')),
  endpoint TEXT NOT NULL,
  request_id TEXT NOT NULL,
  correlation TEXT NOT NULL,
  status INTEGER NOT NULL,
  body TEXT NOT NULL CHECK (length(body) <= 65536),
  at TEXT NOT NULL
) STRICT;
CREATE INDEX oscp_message_party ON oscp_message(party_id, number);

CREATE TABLE oscp_call(
  number INTEGER PRIMARY KEY AUTOINCREMENT,
  party_id TEXT NOT NULL REFERENCES oscp_party(id) ON DELETE CASCADE,
  endpoint TEXT NOT NULL,
  method TEXT NOT NULL,
  body TEXT NOT NULL CHECK (length(body) <= 1048576),
  request_id TEXT NOT NULL,
  correlation TEXT NOT NULL,
  not_before REAL NOT NULL,
  expires_at REAL NOT NULL,
  attempts INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX oscp_call_due ON oscp_call(not_before);
CREATE INDEX oscp_call_party ON oscp_call(party_id, number);
