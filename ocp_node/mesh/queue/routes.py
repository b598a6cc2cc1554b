"""What may be asked under `/mesh/queue`."""

from ...contract.limits import OPS_BODY_BYTES_MAX
from ...contract.route import Auth, Lane, Route

ROUTES = (
    Route("mesh.queue.list", "GET", "/mesh/queue",
          "List queue messages, latest update first.",
          Auth.PUBLIC, Lane.WRITE, "list_all", reply="MessageList", query="ListQuery",
          contract={"handler": "_handle_mesh_queue", "group": "ops", "query": {"limit": "integer", "status": "string"},
                    "response": "QueueMessageList"}),
    Route("mesh.queue.events", "GET", "/mesh/queue/events",
          "Read what happened to queue messages after a cursor.",
          Auth.PUBLIC, Lane.WRITE, "events", reply="EventList", query="EventsQuery",
          contract={"handler": "_handle_mesh_queue_events", "group": "ops", "query": {"job_id": "string", "limit": "integer",
                    "queue_message_id": "string", "since": "integer", "since_seq": "integer"}, "response": "QueueEventList"}),
    Route("mesh.queue.metrics", "GET", "/mesh/queue/metrics",
          "Show counts and ages of queue, attempts and workers.",
          Auth.PUBLIC, Lane.WRITE, "metrics", reply="Metrics",
          contract={"handler": "_handle_mesh_queue_metrics", "group": "ops", "response": "QueueMetrics"}),
    Route("mesh.queue.replay", "POST", "/mesh/queue/replay",
          "Put a dead or cancelled message back into the queue.",
          Auth.OPERATOR, Lane.WRITE, "replay", reply="Replayed", body="Replay", body_bytes_max=OPS_BODY_BYTES_MAX,
          contract={"handler": "_handle_mesh_queue_replay", "group": "ops",
                    "body": {"queue_message_id": "string", "reason": "string"}, "response": "Object"}),
    Route("mesh.queue.ack_deadline", "POST", "/mesh/queue/ack-deadline",
          "Give the holder of a message more or less time to answer.",
          Auth.OPERATOR, Lane.WRITE, "ack_deadline", reply="Extended", body="AckDeadline", body_bytes_max=OPS_BODY_BYTES_MAX,
          contract={"handler": "_handle_mesh_queue_ack_deadline", "group": "ops",
                    "body": {"ack_deadline_seconds": "integer", "queue_message_id": "string", "ttl_seconds": "integer"},
                    "response": "Object"}),
)
