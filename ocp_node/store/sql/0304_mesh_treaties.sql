-- Treaties (OCP 0.1 treaties).  `key` is the id without case; `wanted`: the operator wants it in force once all parties have signed.
-- `signatures` are those over the terms as they stand here.  `changed` grows with every change.

CREATE TABLE mesh_treaty(
  key TEXT PRIMARY KEY,
  id TEXT NOT NULL CHECK (length(id) BETWEEN 1 AND 200),
  title TEXT NOT NULL CHECK (length(title) BETWEEN 1 AND 512),
  summary TEXT NOT NULL CHECK (length(summary) <= 16384),
  treaty_type TEXT NOT NULL CHECK (length(treaty_type) <= 200),
  status TEXT NOT NULL CHECK (status IN ('draft', 'active', 'suspended', 'expired', 'revoked')),
  parties TEXT NOT NULL,
  document TEXT NOT NULL,
  metadata TEXT NOT NULL,
  created_by_peer_id TEXT NOT NULL CHECK (length(created_by_peer_id) <= 200),
  created_at TEXT NOT NULL,
  updated_at TEXT NOT NULL,
  expires_at TEXT NOT NULL,
  ratified_at TEXT NOT NULL,
  suspended_at TEXT NOT NULL,
  wanted INTEGER NOT NULL CHECK (wanted IN (0, 1)),
  signatures TEXT NOT NULL,
  changed INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX mesh_treaty_listed ON mesh_treaty(changed);
CREATE INDEX mesh_treaty_status ON mesh_treaty(status, changed);
CREATE INDEX mesh_treaty_type ON mesh_treaty(treaty_type, changed);
CREATE INDEX mesh_treaty_type_status ON mesh_treaty(treaty_type, status, changed);
CREATE INDEX mesh_treaty_due ON mesh_treaty(expires_at) WHERE status = 'active' AND expires_at <> '';
