-- Jobs that this node has handed to peers: where each went, and how it was last seen there (OCP 0.1 dispatch).

-- `open` is 1 while the job may still change by itself; `snapshot` is the job as the peer showed it, brought into the protocol's form.
CREATE TABLE mesh_remote_job(
  number INTEGER PRIMARY KEY AUTOINCREMENT,
  job_id TEXT NOT NULL UNIQUE CHECK (length(job_id) BETWEEN 1 AND 200),
  peer_id TEXT NOT NULL CHECK (length(peer_id) BETWEEN 1 AND 200),
  request_id TEXT NOT NULL CHECK (length(request_id) <= 300),
  kind TEXT NOT NULL CHECK (length(kind) <= 200),
  status TEXT NOT NULL CHECK (status IN ('queued', 'running', 'resuming', 'checkpointed', 'retry_wait', 'completed', 'failed', 'cancelled',
                                         'rejected')),
  open INTEGER NOT NULL CHECK (open IN (0, 1)),
  snapshot TEXT NOT NULL,
  sent_at TEXT NOT NULL,
  updated_at TEXT NOT NULL
) STRICT;
CREATE INDEX mesh_remote_job_open ON mesh_remote_job(number) WHERE open = 1;
CREATE INDEX mesh_remote_job_peer ON mesh_remote_job(peer_id, open, number);
