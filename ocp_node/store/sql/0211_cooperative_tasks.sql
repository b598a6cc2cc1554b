-- Cooperative tasks: one job cut into shards that several nodes work on (OCP 0.1 cooperative tasks).

-- `base_job` is as it was sent, without inline secrets; `state` follows from the shards, in the change that changes one of them.
CREATE TABLE mesh_cooperative_task(
  number INTEGER PRIMARY KEY AUTOINCREMENT,
  id TEXT NOT NULL UNIQUE,
  request_id TEXT NOT NULL CHECK (length(request_id) <= 300),
  origin_peer_id TEXT NOT NULL CHECK (length(origin_peer_id) <= 200),
  mission_id TEXT NOT NULL DEFAULT '',
  name TEXT NOT NULL CHECK (length(name) <= 200),
  strategy TEXT NOT NULL CHECK (strategy IN ('spread', 'local-only', 'remote-only', 'gpu-aware')),
  base_job TEXT NOT NULL,
  target_peers TEXT NOT NULL,
  metadata TEXT NOT NULL,
  shard_count INTEGER NOT NULL CHECK (shard_count BETWEEN 1 AND 256),
  state TEXT NOT NULL CHECK (state IN ('pending', 'active', 'checkpointed', 'attention', 'completed', 'cancelled')),
  created_at TEXT NOT NULL,
  updated_at TEXT NOT NULL,
  UNIQUE (origin_peer_id, request_id)
) STRICT;
CREATE INDEX mesh_cooperative_task_state ON mesh_cooperative_task(state, number);

-- `status` is that of the shard's job, `pending` while it is being sent, `failed` with `error` when no node took it.
CREATE TABLE mesh_cooperative_shard(
  task_number INTEGER NOT NULL REFERENCES mesh_cooperative_task(number) ON DELETE CASCADE,
  shard_index INTEGER NOT NULL CHECK (shard_index BETWEEN 0 AND 255),
  label TEXT NOT NULL CHECK (length(label) <= 200),
  peer_id TEXT NOT NULL CHECK (length(peer_id) <= 200),
  request_id TEXT NOT NULL CHECK (length(request_id) <= 300),
  placement TEXT NOT NULL,
  job_id TEXT NOT NULL DEFAULT '' CHECK (length(job_id) <= 200),
  status TEXT NOT NULL CHECK (status IN ('pending', 'queued', 'running', 'resuming', 'checkpointed', 'retry_wait', 'completed', 'failed',
                                         'cancelled', 'rejected')),
  error TEXT NOT NULL DEFAULT '',
  snapshot TEXT NOT NULL DEFAULT '{}',
  PRIMARY KEY (task_number, shard_index)
) STRICT, WITHOUT ROWID;
CREATE INDEX mesh_cooperative_shard_job ON mesh_cooperative_shard(job_id) WHERE job_id <> '';
CREATE INDEX mesh_cooperative_shard_pending ON mesh_cooperative_shard(task_number) WHERE status = 'pending';
