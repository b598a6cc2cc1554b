-- Passes in which the mesh set itself up: what was done, and what came of it.

CREATE TABLE mesh_autonomy_run(
  number INTEGER PRIMARY KEY AUTOINCREMENT,
  id TEXT NOT NULL UNIQUE,
  request_id TEXT NOT NULL UNIQUE CHECK (length(request_id) BETWEEN 1 AND 200),
  mode TEXT NOT NULL CHECK (length(mode) <= 40),
  status TEXT NOT NULL CHECK (length(status) BETWEEN 1 AND 40),
  summary TEXT NOT NULL CHECK (length(summary) <= 500),
  actions TEXT NOT NULL CHECK (length(actions) <= 65536),
  result TEXT NOT NULL CHECK (length(result) <= 65536),
  metadata TEXT NOT NULL CHECK (length(metadata) <= 4096),
  created_at TEXT NOT NULL,
  updated_at TEXT NOT NULL
) STRICT;
CREATE UNIQUE INDEX mesh_autonomy_run_alone ON mesh_autonomy_run(status) WHERE status = 'running';
