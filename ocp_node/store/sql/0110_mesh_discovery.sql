-- Nodes that were looked for: by the URL that was tried, what answered there last, and why it did not.

CREATE TABLE mesh_discovery_candidate(
  base_url TEXT PRIMARY KEY CHECK (length(base_url) BETWEEN 1 AND 2048),
  peer_id TEXT NOT NULL CHECK (length(peer_id) <= 128),
  display_name TEXT NOT NULL CHECK (length(display_name) <= 200),
  endpoint_url TEXT NOT NULL CHECK (length(endpoint_url) <= 2048),
  status TEXT NOT NULL CHECK (status IN ('discovered', 'connected', 'error')),
  trust_tier TEXT NOT NULL CHECK (length(trust_tier) <= 40),
  manifest TEXT NOT NULL CHECK (length(manifest) <= 65536),
  metadata TEXT NOT NULL CHECK (length(metadata) <= 16384),
  created_at TEXT NOT NULL,
  updated_at TEXT NOT NULL,
  last_seen_at TEXT NOT NULL,
  last_error TEXT NOT NULL CHECK (length(last_error) <= 500),
  last_error_at TEXT NOT NULL
) STRICT;
CREATE INDEX mesh_discovery_candidate_seen ON mesh_discovery_candidate(last_seen_at DESC, updated_at DESC);
CREATE INDEX mesh_discovery_candidate_status ON mesh_discovery_candidate(status, last_seen_at DESC, updated_at DESC);
CREATE INDEX mesh_discovery_candidate_peer ON mesh_discovery_candidate(peer_id, last_seen_at DESC) WHERE peer_id <> '';
