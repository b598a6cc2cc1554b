-- Which helper is preferred for which kind of work (OCP 0.1 offload preferences).  `changed` grows with every change.

CREATE TABLE mesh_offload_preference(
  peer_id TEXT NOT NULL CHECK (length(peer_id) BETWEEN 1 AND 128),
  workload_class TEXT NOT NULL CHECK (length(workload_class) <= 40),
  preference TEXT NOT NULL CHECK (preference IN ('prefer', 'allow', 'approval', 'avoid', 'deny')),
  source TEXT NOT NULL CHECK (length(source) <= 200),
  metadata TEXT NOT NULL CHECK (length(metadata) <= 131072),
  created_at TEXT NOT NULL,
  updated_at TEXT NOT NULL,
  changed INTEGER NOT NULL,
  PRIMARY KEY (peer_id, workload_class)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX mesh_offload_preference_listed ON mesh_offload_preference(changed);
CREATE INDEX mesh_offload_preference_peer ON mesh_offload_preference(peer_id, changed);
CREATE INDEX mesh_offload_preference_class ON mesh_offload_preference(workload_class, changed);
