-- Capability grants that this node issued, what each has opened, and the proofs that were shown.

CREATE TABLE mesh_grant(
  grant_id TEXT PRIMARY KEY CHECK (length(grant_id) BETWEEN 1 AND 128),
  subject_peer_id TEXT NOT NULL CHECK (length(subject_peer_id) <= 128),
  expires_at TEXT NOT NULL CHECK (length(expires_at) = 20),
  uses INTEGER NOT NULL CHECK (uses >= 0),
  revoked_at TEXT NOT NULL CHECK (length(revoked_at) IN (0, 20))
) STRICT, WITHOUT ROWID;
CREATE INDEX mesh_grant_expiry ON mesh_grant(expires_at);

CREATE TABLE mesh_grant_delivery(
  grant_id TEXT NOT NULL,
  artifact_id TEXT NOT NULL,
  PRIMARY KEY (grant_id, artifact_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE mesh_grant_proof(
  subject_peer_id TEXT NOT NULL CHECK (length(subject_peer_id) <= 128),
  nonce TEXT NOT NULL CHECK (length(nonce) BETWEEN 1 AND 128),
  seen_at INTEGER NOT NULL,
  PRIMARY KEY (subject_peer_id, nonce)
) STRICT, WITHOUT ROWID;
CREATE INDEX mesh_grant_proof_seen ON mesh_grant_proof(seen_at);
