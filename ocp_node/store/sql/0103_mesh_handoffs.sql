-- Work that agents of peers handed over to agents of this node: the inbox.

CREATE TABLE mesh_handoff(
  number INTEGER PRIMARY KEY AUTOINCREMENT,
  id TEXT NOT NULL UNIQUE,
  request_id TEXT NOT NULL CHECK (length(request_id) BETWEEN 1 AND 200),
  from_peer_id TEXT NOT NULL,
  to_peer_id TEXT NOT NULL,
  from_agent TEXT NOT NULL,
  to_agent TEXT NOT NULL,
  summary TEXT NOT NULL CHECK (length(summary) BETWEEN 1 AND 4096),
  intent TEXT NOT NULL CHECK (length(intent) <= 4096),
  constraints TEXT NOT NULL CHECK (length(constraints) <= 65536),
  artifact_refs TEXT NOT NULL CHECK (length(artifact_refs) <= 262144),
  status TEXT NOT NULL,
  created_at TEXT NOT NULL,
  updated_at TEXT NOT NULL,
  UNIQUE (from_peer_id, request_id)
) STRICT;
