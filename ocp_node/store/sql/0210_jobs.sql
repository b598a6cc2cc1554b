-- Jobs, their attempts, queue messages, workers and placement decisions of the mesh (OCP 0.1 execution).

-- `number` is the order of arrival.  `spec` is what is run; `metadata` shows it as `job_spec` without holding it twice.
CREATE TABLE mesh_job(
  number INTEGER PRIMARY KEY AUTOINCREMENT,
  id TEXT NOT NULL UNIQUE,
  request_id TEXT NOT NULL CHECK (length(request_id) <= 300),
  origin_peer_id TEXT NOT NULL CHECK (length(origin_peer_id) <= 200),
  target_peer_id TEXT NOT NULL CHECK (length(target_peer_id) <= 200),
  kind TEXT NOT NULL CHECK (length(kind) BETWEEN 1 AND 200),
  status TEXT NOT NULL CHECK (status IN ('queued', 'running', 'resuming', 'checkpointed', 'retry_wait', 'completed', 'failed', 'cancelled',
                                         'rejected')),
  inline INTEGER NOT NULL CHECK (inline IN (0, 1)),
  requirements TEXT NOT NULL,
  policy TEXT NOT NULL,
  payload_ref TEXT NOT NULL,
  payload_inline TEXT NOT NULL,
  artifact_inputs TEXT NOT NULL,
  spec TEXT NOT NULL,
  metadata TEXT NOT NULL,
  result_ref TEXT NOT NULL DEFAULT '{}',
  lease_id TEXT NOT NULL DEFAULT '',
  executor TEXT NOT NULL DEFAULT '',
  created_at TEXT NOT NULL,
  updated_at TEXT NOT NULL,
  finished_at TEXT NOT NULL DEFAULT '',
  UNIQUE (origin_peer_id, request_id)
) STRICT;
CREATE INDEX mesh_job_finished ON mesh_job(finished_at) WHERE finished_at <> '';
CREATE INDEX mesh_job_outcome ON mesh_job(updated_at DESC, number DESC) WHERE status IN ('completed', 'failed');
CREATE INDEX mesh_job_inline ON mesh_job(number) WHERE inline = 1 AND status = 'running';

-- `child` is how the run is found again after the node has died: JSON, "" for a worker elsewhere.
CREATE TABLE mesh_attempt(
  id TEXT PRIMARY KEY,
  job_id TEXT NOT NULL REFERENCES mesh_job(id) ON DELETE CASCADE,
  attempt_number INTEGER NOT NULL CHECK (attempt_number > 0),
  worker_id TEXT NOT NULL,
  status TEXT NOT NULL CHECK (status IN ('claimed', 'running', 'completed', 'failed', 'expired', 'cancelled')),
  lease_id TEXT NOT NULL,
  executor TEXT NOT NULL,
  result_ref TEXT NOT NULL DEFAULT '{}',
  error TEXT NOT NULL DEFAULT '',
  metadata TEXT NOT NULL,
  child TEXT NOT NULL DEFAULT '',
  started_at TEXT NOT NULL,
  heartbeat_at TEXT NOT NULL,
  finished_at TEXT NOT NULL DEFAULT '',
  UNIQUE (job_id, attempt_number)
) STRICT, WITHOUT ROWID;
CREATE INDEX mesh_attempt_open ON mesh_attempt(worker_id) WHERE status IN ('claimed', 'running');

-- Inline secret values of jobs that may still run, sealed; gone when the job has ended.
CREATE TABLE mesh_job_secret(
  job_id TEXT NOT NULL REFERENCES mesh_job(id) ON DELETE CASCADE,
  env_var TEXT NOT NULL,
  sealed TEXT NOT NULL,
  PRIMARY KEY (job_id, env_var)
) STRICT, WITHOUT ROWID;

-- One message per queued job.  `demand` is what its job needs of a worker, as one text: few differ, so a claim looks at few rows.
-- `changed` grows with every change of any message; `position` is its value when the message became available: its place in line.
CREATE TABLE mesh_queue_message(
  id TEXT PRIMARY KEY,
  job_id TEXT NOT NULL UNIQUE REFERENCES mesh_job(id) ON DELETE CASCADE,
  queue_name TEXT NOT NULL CHECK (length(queue_name) <= 200),
  status TEXT NOT NULL CHECK (status IN ('queued', 'inflight', 'acked', 'dead_letter', 'cancelled')),
  dedupe_key TEXT NOT NULL CHECK (length(dedupe_key) <= 500),
  origin_peer_id TEXT NOT NULL,
  demand TEXT NOT NULL,
  priority INTEGER NOT NULL,
  position INTEGER NOT NULL,
  hold TEXT NOT NULL DEFAULT '',
  ack_deadline_seconds INTEGER NOT NULL,
  dead_letter_queue TEXT NOT NULL CHECK (length(dead_letter_queue) <= 200),
  delivery_attempts INTEGER NOT NULL DEFAULT 0,
  visibility_timeout_at TEXT NOT NULL DEFAULT '',
  available_at TEXT NOT NULL,
  claimed_at TEXT NOT NULL DEFAULT '',
  acked_at TEXT NOT NULL DEFAULT '',
  replay_deadline_at TEXT NOT NULL DEFAULT '',
  retention_deadline_at TEXT NOT NULL DEFAULT '',
  lease_id TEXT NOT NULL DEFAULT '',
  worker_id TEXT NOT NULL DEFAULT '',
  current_attempt_id TEXT NOT NULL DEFAULT '',
  last_error TEXT NOT NULL DEFAULT '',
  metadata TEXT NOT NULL,
  created_at TEXT NOT NULL,
  updated_at TEXT NOT NULL,
  changed INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX mesh_queue_ready ON mesh_queue_message(available_at, priority, position) WHERE status = 'queued' AND hold = '';
CREATE INDEX mesh_queue_demand ON mesh_queue_message(demand, available_at, priority, position) WHERE status = 'queued' AND hold = '';
CREATE INDEX mesh_queue_oldest ON mesh_queue_message(available_at) WHERE status = 'queued';
CREATE INDEX mesh_queue_visible ON mesh_queue_message(visibility_timeout_at) WHERE status = 'inflight';
CREATE INDEX mesh_queue_retained ON mesh_queue_message(retention_deadline_at) WHERE retention_deadline_at <> '';
CREATE INDEX mesh_queue_attempt ON mesh_queue_message(current_attempt_id) WHERE current_attempt_id <> '';
CREATE INDEX mesh_queue_listed ON mesh_queue_message(changed);
CREATE INDEX mesh_queue_status ON mesh_queue_message(status, changed);
CREATE UNIQUE INDEX mesh_queue_dedupe ON mesh_queue_message(origin_peer_id, queue_name, dedupe_key)
  WHERE dedupe_key <> '' AND status IN ('queued', 'inflight', 'acked');

-- Which events tell of which message, for reading them by job or message; an event that is swept takes its row with it.
CREATE TABLE mesh_queue_event(
  seq INTEGER PRIMARY KEY REFERENCES event(seq) ON DELETE CASCADE,
  job_id TEXT NOT NULL,
  queue_message_id TEXT NOT NULL
) STRICT;
CREATE INDEX mesh_queue_event_job ON mesh_queue_event(job_id, seq);
CREATE INDEX mesh_queue_event_message ON mesh_queue_event(queue_message_id, seq);

-- Counts kept by the changes themselves, so that nobody ever counts rows.  The empty queue name counts over all queues:
-- `redelivered` are messages with more than one delivery, `failed_attempts` all that ever failed.
CREATE TABLE mesh_queue_count(
  queue_name TEXT NOT NULL,
  status TEXT NOT NULL,
  amount INTEGER NOT NULL,
  PRIMARY KEY (queue_name, status)
) STRICT, WITHOUT ROWID;
INSERT INTO mesh_queue_count VALUES ('', 'redelivered', 0), ('', 'failed_attempts', 0);

CREATE TRIGGER mesh_queue_added AFTER INSERT ON mesh_queue_message BEGIN
  INSERT INTO mesh_queue_count VALUES (new.queue_name, new.status, 1) ON CONFLICT DO UPDATE SET amount = amount + 1;
END;
CREATE TRIGGER mesh_queue_moved AFTER UPDATE OF queue_name, status ON mesh_queue_message
WHEN old.queue_name <> new.queue_name OR old.status <> new.status BEGIN
  UPDATE mesh_queue_count SET amount = amount - 1 WHERE queue_name = old.queue_name AND status = old.status;
  DELETE FROM mesh_queue_count WHERE queue_name = old.queue_name AND status = old.status AND queue_name <> '' AND amount <= 0;
  INSERT INTO mesh_queue_count VALUES (new.queue_name, new.status, 1) ON CONFLICT DO UPDATE SET amount = amount + 1;
END;
CREATE TRIGGER mesh_queue_delivered AFTER UPDATE OF delivery_attempts ON mesh_queue_message
WHEN old.delivery_attempts <= 1 AND new.delivery_attempts > 1 BEGIN
  UPDATE mesh_queue_count SET amount = amount + 1 WHERE queue_name = '' AND status = 'redelivered';
END;
CREATE TRIGGER mesh_queue_removed AFTER DELETE ON mesh_queue_message BEGIN
  UPDATE mesh_queue_count SET amount = amount - 1 WHERE queue_name = old.queue_name AND status = old.status;
  DELETE FROM mesh_queue_count WHERE queue_name = old.queue_name AND status = old.status AND queue_name <> '' AND amount <= 0;
  UPDATE mesh_queue_count SET amount = amount - 1 WHERE queue_name = '' AND status = 'redelivered' AND old.delivery_attempts > 1;
END;

CREATE TABLE mesh_worker(
  number INTEGER PRIMARY KEY AUTOINCREMENT,
  id TEXT NOT NULL UNIQUE CHECK (length(id) BETWEEN 1 AND 128),
  peer_id TEXT NOT NULL,
  agent_id TEXT NOT NULL CHECK (length(agent_id) <= 200),
  status TEXT NOT NULL CHECK (length(status) <= 64),
  capabilities TEXT NOT NULL,
  resources TEXT NOT NULL,
  labels TEXT NOT NULL,
  max_concurrent_jobs INTEGER NOT NULL CHECK (max_concurrent_jobs >= 1),
  active_attempts INTEGER NOT NULL DEFAULT 0,
  built_in INTEGER NOT NULL DEFAULT 0 CHECK (built_in IN (0, 1)),
  metadata TEXT NOT NULL,
  created_at TEXT NOT NULL,
  updated_at TEXT NOT NULL,
  last_heartbeat_at TEXT NOT NULL
) STRICT;
CREATE INDEX mesh_worker_spoken ON mesh_worker(last_heartbeat_at DESC, updated_at DESC, number DESC);
CREATE INDEX mesh_worker_serving ON mesh_worker(last_heartbeat_at) WHERE status IN ('active', 'ready');

CREATE TRIGGER mesh_attempt_taken AFTER INSERT ON mesh_attempt WHEN new.status IN ('claimed', 'running') BEGIN
  UPDATE mesh_worker SET active_attempts = active_attempts + 1 WHERE id = new.worker_id;
END;
CREATE TRIGGER mesh_attempt_ended AFTER UPDATE OF status ON mesh_attempt
WHEN old.status IN ('claimed', 'running') AND new.status NOT IN ('claimed', 'running') BEGIN
  UPDATE mesh_worker SET active_attempts = active_attempts - 1 WHERE id = new.worker_id;
END;
CREATE TRIGGER mesh_attempt_failed AFTER UPDATE OF status ON mesh_attempt WHEN old.status <> 'failed' AND new.status = 'failed' BEGIN
  UPDATE mesh_queue_count SET amount = amount + 1 WHERE queue_name = '' AND status = 'failed_attempts';
END;
CREATE TRIGGER mesh_attempt_gone AFTER DELETE ON mesh_attempt WHEN old.status IN ('claimed', 'running') BEGIN
  UPDATE mesh_worker SET active_attempts = active_attempts - 1 WHERE id = old.worker_id;
END;

CREATE TABLE mesh_scheduler_decision(
  number INTEGER PRIMARY KEY AUTOINCREMENT,
  id TEXT NOT NULL UNIQUE,
  request_id TEXT NOT NULL,
  job_id TEXT NOT NULL,
  job_kind TEXT NOT NULL,
  status TEXT NOT NULL,
  strategy TEXT NOT NULL,
  target_type TEXT NOT NULL,
  peer_id TEXT NOT NULL,
  score REAL NOT NULL,
  placement TEXT NOT NULL,
  selected TEXT NOT NULL,
  candidates TEXT NOT NULL,
  error TEXT NOT NULL DEFAULT '',
  created_at TEXT NOT NULL
) STRICT;
CREATE INDEX mesh_scheduler_request ON mesh_scheduler_decision(request_id, number DESC);
