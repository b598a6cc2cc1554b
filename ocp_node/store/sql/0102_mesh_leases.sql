-- Leases on resources.  The lock of a resource is its newest lease that is active and not over.

CREATE TABLE mesh_lease(
  id TEXT PRIMARY KEY,
  resource TEXT NOT NULL CHECK (length(resource) BETWEEN 1 AND 500),
  peer_id TEXT NOT NULL CHECK (length(peer_id) BETWEEN 1 AND 200),
  agent_id TEXT NOT NULL CHECK (length(agent_id) <= 200),
  job_id TEXT NOT NULL CHECK (length(job_id) <= 200),
  status TEXT NOT NULL CHECK (length(status) BETWEEN 1 AND 40),
  ttl_seconds INTEGER NOT NULL,
  lock_token TEXT NOT NULL,
  metadata TEXT NOT NULL CHECK (length(metadata) <= 65536),
  created_at TEXT NOT NULL,
  heartbeat_at TEXT NOT NULL,
  expires_at TEXT NOT NULL,
  released_at TEXT NOT NULL
) STRICT;
CREATE INDEX mesh_lease_resource ON mesh_lease(resource, status, expires_at);
CREATE INDEX mesh_lease_expires ON mesh_lease(expires_at);
