-- Peers of the mesh with their pinned keys, the nonces their envelopes have used, and what their own logs told us.

CREATE TABLE mesh_peer(
  peer_id TEXT PRIMARY KEY CHECK (length(peer_id) BETWEEN 1 AND 128),
  display_name TEXT NOT NULL CHECK (length(display_name) <= 200),
  public_key TEXT NOT NULL CHECK (length(public_key) IN (0, 64)),
  signature_scheme TEXT NOT NULL,
  endpoint_url TEXT NOT NULL CHECK (length(endpoint_url) <= 2048),
  stream_url TEXT NOT NULL CHECK (length(stream_url) <= 2048),
  trust_tier TEXT NOT NULL CHECK (trust_tier IN ('trusted', 'partner', 'market', 'public', 'blocked')),
  reachability TEXT NOT NULL,
  status TEXT NOT NULL,
  mesh_session_id TEXT NOT NULL,
  protocol_version TEXT NOT NULL,
  capability_cards TEXT NOT NULL,
  card TEXT NOT NULL,
  metadata TEXT NOT NULL,
  reliability TEXT NOT NULL,
  remote_execution INTEGER CHECK (remote_execution IN (0, 1)),
  created_at TEXT NOT NULL,
  updated_at TEXT NOT NULL,
  last_seen_at TEXT NOT NULL,
  last_handshake_at TEXT NOT NULL
) STRICT;
CREATE INDEX mesh_peer_seen ON mesh_peer(last_seen_at DESC, updated_at DESC);

CREATE TABLE mesh_nonce(
  peer_id TEXT NOT NULL,
  nonce TEXT NOT NULL CHECK (length(nonce) BETWEEN 1 AND 128),
  route TEXT NOT NULL,
  request_id TEXT NOT NULL,
  seen_at INTEGER NOT NULL,
  PRIMARY KEY (peer_id, nonce)
) STRICT, WITHOUT ROWID;
CREATE INDEX mesh_nonce_seen ON mesh_nonce(seen_at);

CREATE TABLE mesh_remote_event(
  peer_id TEXT NOT NULL,
  remote_seq INTEGER NOT NULL,
  event_id TEXT NOT NULL CHECK (length(event_id) <= 200),
  event_type TEXT NOT NULL CHECK (length(event_type) <= 200),
  request_id TEXT NOT NULL CHECK (length(request_id) <= 200),
  payload TEXT NOT NULL CHECK (length(payload) <= 65536),
  remote_created_at TEXT NOT NULL CHECK (length(remote_created_at) <= 64),
  synced_at TEXT NOT NULL,
  PRIMARY KEY (peer_id, remote_seq)
) STRICT, WITHOUT ROWID;
CREATE INDEX mesh_remote_event_type ON mesh_remote_event(peer_id, event_type, remote_seq);
