-- Missions and what does their work (OCP 0.1 missions).  `changed` grows with every change: the latest first is a list's order.
CREATE TABLE mesh_mission(
  number INTEGER PRIMARY KEY AUTOINCREMENT,
  id TEXT NOT NULL UNIQUE,
  request_id TEXT NOT NULL CHECK (length(request_id) BETWEEN 1 AND 200),
  origin_peer_id TEXT NOT NULL CHECK (length(origin_peer_id) <= 200),
  title TEXT NOT NULL CHECK (length(title) BETWEEN 1 AND 200),
  intent TEXT NOT NULL CHECK (length(intent) <= 2000),
  status TEXT NOT NULL CHECK (status IN ('planned', 'active', 'waiting', 'checkpointed', 'completed', 'failed', 'cancelled')),
  priority TEXT NOT NULL CHECK (priority IN ('low', 'normal', 'high', 'critical')),
  workload_class TEXT NOT NULL,
  target_strategy TEXT NOT NULL CHECK (length(target_strategy) <= 200),
  policy TEXT NOT NULL,
  continuity TEXT NOT NULL,
  metadata TEXT NOT NULL,
  created_at TEXT NOT NULL,
  updated_at TEXT NOT NULL,
  changed INTEGER NOT NULL,
  UNIQUE (origin_peer_id, request_id)
) STRICT;
CREATE UNIQUE INDEX mesh_mission_listed ON mesh_mission(changed);
CREATE INDEX mesh_mission_status ON mesh_mission(status, changed);

-- A job of a mission, here or at the peer `peer_id`, as it was last seen; `task_id` when it is a shard of a task.  `facts` is what
-- the mission shows of it without reading the job, which may be forgotten before the mission is.  A shard that found no node has no job.
CREATE TABLE mesh_mission_child(
  mission INTEGER NOT NULL REFERENCES mesh_mission(number) ON DELETE CASCADE,
  place INTEGER NOT NULL,
  job_id TEXT NOT NULL CHECK (length(job_id) <= 200),
  peer_id TEXT NOT NULL CHECK (length(peer_id) <= 200),
  task_id TEXT NOT NULL CHECK (length(task_id) <= 200),
  status TEXT NOT NULL CHECK (length(status) <= 40),
  updated_at TEXT NOT NULL,
  facts TEXT NOT NULL,
  PRIMARY KEY (mission, place)
) STRICT, WITHOUT ROWID;
CREATE INDEX mesh_mission_child_job ON mesh_mission_child(job_id) WHERE job_id <> '';
