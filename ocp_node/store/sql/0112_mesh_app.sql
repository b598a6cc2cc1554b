-- How the mesh did over time, as the app page draws it: a few numbers and a small summary for each sample.

CREATE TABLE mesh_app_sample(
  number INTEGER PRIMARY KEY AUTOINCREMENT,
  id TEXT NOT NULL UNIQUE,
  sampled_at TEXT NOT NULL,
  node_id TEXT NOT NULL,
  setup_status TEXT NOT NULL CHECK (length(setup_status) <= 40),
  mesh_score INTEGER NOT NULL CHECK (mesh_score BETWEEN 0 AND 100),
  known_peer_count INTEGER NOT NULL,
  route_count INTEGER NOT NULL,
  healthy_route_count INTEGER NOT NULL,
  latest_proof_status TEXT NOT NULL CHECK (length(latest_proof_status) <= 40),
  execution_ready_targets INTEGER NOT NULL,
  local_ready_workers INTEGER NOT NULL,
  artifact_verified_count INTEGER NOT NULL,
  pending_approvals INTEGER NOT NULL,
  payload TEXT NOT NULL CHECK (length(payload) <= 8192)
) STRICT;
