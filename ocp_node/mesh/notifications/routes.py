"""What may be asked under `/mesh/notifications`."""

from ...contract.limits import OPS_BODY_BYTES_MAX
from ...contract.route import Auth, Lane, Route

ROUTES = (
    Route("mesh.notifications.list", "GET", "/mesh/notifications",
          "List notifications, newest first.",
          Auth.PUBLIC, Lane.INLINE, "list_all", reply="NotificationList", query="Listing",
          contract={"handler": "_handle_mesh_notifications", "group": "ops", "query": {"limit": "integer", "status": "string",
                    "target_agent_id": "string", "target_peer_id": "string"}, "response": "NotificationList"}),
    Route("mesh.notifications.publish", "POST", "/mesh/notifications/publish",
          "Tell a person or a device something.",
          Auth.OPERATOR, Lane.WRITE, "publish", reply="Notified", body="Publish", body_bytes_max=OPS_BODY_BYTES_MAX,
          contract={"handler": "_handle_mesh_notification_publish", "group": "ops",
                    "body": {"body": "string", "notification_type": "string", "title": "string"}, "response": "Object"}),
    Route("mesh.notifications.acknowledge", "POST", "/mesh/notifications/{notification_id}/ack",
          "Mark a notification as read or acknowledged.",
          Auth.OPERATOR, Lane.WRITE, "acknowledge", reply="Notified", body="Acknowledge", body_bytes_max=OPS_BODY_BYTES_MAX,
          contract={"handler": "_handle_mesh_notification_ack", "group": "ops",
                    "body": {"actor_peer_id": "string", "status": "string"}, "response": "Object"}),
)
