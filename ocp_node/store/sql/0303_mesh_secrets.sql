-- Secrets by scope and name, each value sealed under a key of its own (OCP 0.1 secrets).  `changed` grows with every change.

CREATE TABLE mesh_secret(
  scope TEXT NOT NULL CHECK (length(scope) BETWEEN 1 AND 256),
  name TEXT NOT NULL CHECK (length(name) BETWEEN 1 AND 256),
  value TEXT NOT NULL,
  value_digest TEXT NOT NULL CHECK (length(value_digest) IN (0, 64)),
  metadata TEXT NOT NULL CHECK (length(metadata) <= 131072),
  created_at TEXT NOT NULL,
  updated_at TEXT NOT NULL,
  changed INTEGER NOT NULL,
  PRIMARY KEY (scope, name)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX mesh_secret_listed ON mesh_secret(changed);
CREATE INDEX mesh_secret_scope ON mesh_secret(scope, changed);
CREATE INDEX mesh_secret_clear ON mesh_secret(changed) WHERE substr(value, 1, 3) <> 'v1:';
