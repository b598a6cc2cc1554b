-- Artifacts of the mesh: records of who published what, and the blobs that their digests name.

CREATE TABLE mesh_artifact(
  number INTEGER PRIMARY KEY AUTOINCREMENT,
  id TEXT NOT NULL UNIQUE CHECK (length(id) BETWEEN 1 AND 128),
  digest TEXT NOT NULL CHECK (length(digest) = 64),
  media_type TEXT NOT NULL CHECK (length(media_type) <= 256),
  size_bytes INTEGER NOT NULL CHECK (size_bytes >= 0),
  owner_peer_id TEXT NOT NULL CHECK (length(owner_peer_id) <= 128),
  policy TEXT NOT NULL,
  classification TEXT NOT NULL CHECK (classification IN ('private', 'trusted', 'public')),
  metadata TEXT NOT NULL,
  artifact_kind TEXT NOT NULL,
  job_id TEXT NOT NULL,
  attempt_id TEXT NOT NULL,
  parent_artifact_id TEXT NOT NULL,
  pinned INTEGER NOT NULL CHECK (pinned IN (0, 1)),
  retention_class TEXT NOT NULL CHECK (retention_class IN ('ephemeral', 'session', 'durable')),
  retention_deadline_at TEXT NOT NULL CHECK (length(retention_deadline_at) IN (0, 20)),
  created_at TEXT NOT NULL
) STRICT;
-- every list is newest first, and in the order of publishing within a second
CREATE INDEX mesh_artifact_created ON mesh_artifact(created_at DESC, number);
CREATE INDEX mesh_artifact_digest ON mesh_artifact(digest, created_at DESC, number);
CREATE INDEX mesh_artifact_kind ON mesh_artifact(artifact_kind, created_at DESC, number) WHERE artifact_kind <> '';
CREATE INDEX mesh_artifact_job ON mesh_artifact(job_id, created_at DESC, number) WHERE job_id <> '';
CREATE INDEX mesh_artifact_attempt ON mesh_artifact(attempt_id, created_at DESC, number) WHERE attempt_id <> '';
CREATE INDEX mesh_artifact_parent ON mesh_artifact(parent_artifact_id, created_at DESC, number) WHERE parent_artifact_id <> '';
CREATE INDEX mesh_artifact_owner ON mesh_artifact(owner_peer_id, created_at DESC, number);
CREATE INDEX mesh_artifact_media ON mesh_artifact(media_type, created_at DESC, number);
CREATE INDEX mesh_artifact_class ON mesh_artifact(retention_class, created_at DESC, number);
-- what a full store gives up first, and what is over
CREATE INDEX mesh_artifact_expendable ON mesh_artifact(retention_class, created_at, number) WHERE pinned = 0 AND retention_class <> 'durable';
CREATE INDEX mesh_artifact_due ON mesh_artifact(retention_deadline_at, number) WHERE retention_deadline_at <> '';

-- One row per content; `refs` counts the artifacts that have it.  A blob without any is removed from the disk, then from here.
CREATE TABLE mesh_blob(
  digest TEXT PRIMARY KEY CHECK (length(digest) = 64),
  size_bytes INTEGER NOT NULL CHECK (size_bytes >= 0),
  refs INTEGER NOT NULL CHECK (refs >= 0)
) STRICT, WITHOUT ROWID;
CREATE INDEX mesh_blob_unused ON mesh_blob(digest) WHERE refs = 0;

-- What all blobs with at least one artifact weigh; kept by the triggers, so that a budget costs no count.
CREATE TABLE mesh_blob_total(
  one INTEGER PRIMARY KEY CHECK (one = 1),
  bytes INTEGER NOT NULL,
  blobs INTEGER NOT NULL
) STRICT;
INSERT INTO mesh_blob_total(one, bytes, blobs) VALUES (1, 0, 0);
CREATE TRIGGER mesh_blob_first AFTER INSERT ON mesh_blob WHEN new.refs > 0
  BEGIN UPDATE mesh_blob_total SET bytes = bytes + new.size_bytes, blobs = blobs + 1; END;
CREATE TRIGGER mesh_blob_again AFTER UPDATE OF refs ON mesh_blob WHEN old.refs = 0 AND new.refs > 0
  BEGIN UPDATE mesh_blob_total SET bytes = bytes + new.size_bytes, blobs = blobs + 1; END;
CREATE TRIGGER mesh_blob_last AFTER UPDATE OF refs ON mesh_blob WHEN old.refs > 0 AND new.refs = 0
  BEGIN UPDATE mesh_blob_total SET bytes = bytes - old.size_bytes, blobs = blobs - 1; END;

-- A peer's publish is answered once; the same request again gets the same artifact for a day.
CREATE TABLE mesh_artifact_request(
  peer_id TEXT NOT NULL,
  request_id TEXT NOT NULL CHECK (length(request_id) BETWEEN 1 AND 200),
  artifact_id TEXT NOT NULL,
  seen_at INTEGER NOT NULL,
  PRIMARY KEY (peer_id, request_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX mesh_artifact_request_seen ON mesh_artifact_request(seen_at);
