-- Invitations for other devices: used once, for a short time.

CREATE TABLE mesh_invitation(
  id TEXT PRIMARY KEY CHECK (length(id) <= 64),
  secret TEXT NOT NULL CHECK (length(secret) <= 512),
  trust_tier TEXT NOT NULL,
  expires_at REAL NOT NULL,
  created_at TEXT NOT NULL,
  used_at TEXT NOT NULL DEFAULT '',
  used_by TEXT NOT NULL DEFAULT '' CHECK (length(used_by) <= 2000),
  used_key TEXT NOT NULL DEFAULT '',
  words TEXT NOT NULL DEFAULT ''
) STRICT;
CREATE INDEX mesh_invitation_age ON mesh_invitation(expires_at);
