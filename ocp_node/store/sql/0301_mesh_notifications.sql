-- What people and devices are told (OCP 0.1 notifications).  `number` is the order of publication; every index ends in it.

CREATE TABLE mesh_notification(
  number INTEGER PRIMARY KEY AUTOINCREMENT,
  id TEXT NOT NULL UNIQUE,
  notification_type TEXT NOT NULL CHECK (length(notification_type) <= 200),
  priority TEXT NOT NULL CHECK (priority IN ('low', 'normal', 'high', 'critical')),
  title TEXT NOT NULL CHECK (length(title) <= 512),
  body TEXT NOT NULL CHECK (length(body) <= 16384),
  compact_title TEXT NOT NULL CHECK (length(compact_title) <= 512),
  compact_body TEXT NOT NULL CHECK (length(compact_body) <= 16384),
  status TEXT NOT NULL CHECK (status IN ('unread', 'acked', 'dismissed')),
  target_peer_id TEXT NOT NULL CHECK (length(target_peer_id) <= 200),
  target_agent_id TEXT NOT NULL CHECK (length(target_agent_id) <= 200),
  target_device_classes TEXT NOT NULL,
  related_job_id TEXT NOT NULL CHECK (length(related_job_id) <= 200),
  related_approval_id TEXT NOT NULL CHECK (length(related_approval_id) <= 200),
  metadata TEXT NOT NULL CHECK (length(metadata) <= 131072),
  created_at TEXT NOT NULL,
  updated_at TEXT NOT NULL,
  acked_at TEXT NOT NULL
) STRICT;
CREATE INDEX mesh_notification_status ON mesh_notification(status);
CREATE INDEX mesh_notification_peer ON mesh_notification(target_peer_id, status);
CREATE INDEX mesh_notification_peer_all ON mesh_notification(target_peer_id);
CREATE INDEX mesh_notification_agent ON mesh_notification(target_agent_id) WHERE target_agent_id <> '';
CREATE INDEX mesh_notification_done ON mesh_notification(updated_at) WHERE status <> 'unread';
