-- What people are asked to decide (OCP 0.1 approvals).  `number` is the order of asking; every index ends in it.

CREATE TABLE mesh_approval(
  number INTEGER PRIMARY KEY AUTOINCREMENT,
  id TEXT NOT NULL UNIQUE,
  request_id TEXT NOT NULL CHECK (length(request_id) <= 320),
  action_type TEXT NOT NULL CHECK (length(action_type) <= 200),
  severity TEXT NOT NULL CHECK (severity IN ('low', 'normal', 'high', 'critical')),
  title TEXT NOT NULL CHECK (length(title) <= 512),
  summary TEXT NOT NULL CHECK (length(summary) <= 16384),
  compact_summary TEXT NOT NULL CHECK (length(compact_summary) <= 512),
  status TEXT NOT NULL CHECK (status IN ('pending', 'approved', 'rejected', 'deferred', 'expired')),
  requested_by_peer_id TEXT NOT NULL CHECK (length(requested_by_peer_id) <= 200),
  requested_by_agent_id TEXT NOT NULL CHECK (length(requested_by_agent_id) <= 200),
  target_peer_id TEXT NOT NULL CHECK (length(target_peer_id) <= 200),
  target_agent_id TEXT NOT NULL CHECK (length(target_agent_id) <= 200),
  target_device_classes TEXT NOT NULL,
  related_job_id TEXT NOT NULL CHECK (length(related_job_id) <= 200),
  notification_id TEXT NOT NULL,
  resolution TEXT NOT NULL CHECK (length(resolution) <= 131072),
  metadata TEXT NOT NULL CHECK (length(metadata) <= 262144),
  created_at TEXT NOT NULL,
  updated_at TEXT NOT NULL,
  expires_at TEXT NOT NULL,
  resolved_at TEXT NOT NULL
) STRICT;
CREATE UNIQUE INDEX mesh_approval_request ON mesh_approval(request_id) WHERE request_id <> '';
CREATE INDEX mesh_approval_status ON mesh_approval(status);
CREATE INDEX mesh_approval_peer ON mesh_approval(target_peer_id, status);
CREATE INDEX mesh_approval_peer_all ON mesh_approval(target_peer_id);
CREATE INDEX mesh_approval_agent ON mesh_approval(target_agent_id) WHERE target_agent_id <> '';
CREATE INDEX mesh_approval_due ON mesh_approval(expires_at) WHERE status = 'pending' AND expires_at <> '';
