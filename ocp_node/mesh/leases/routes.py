"""What may be asked under `/mesh/lease/*`."""

from ...contract.limits import OPS_BODY_BYTES_MAX
from ...contract.route import Auth, Lane, Route

ROUTES = (
    Route("mesh.leases.acquire", "POST", "/mesh/lease/acquire",
          "Take a lease on a resource for a bounded time.",
          Auth.OPERATOR, Lane.WRITE, "acquire", reply="Lease", body="Acquire", body_bytes_max=OPS_BODY_BYTES_MAX,
          contract={"handler": "_handle_mesh_lease_acquire", "group": "runtime",
                    "body": {"peer_id": "string", "resource": "string", "ttl_seconds": "integer"}, "response": "Object"}),
    Route("mesh.leases.heartbeat", "POST", "/mesh/lease/heartbeat",
          "Extend a lease that is still held.",
          Auth.OPERATOR, Lane.WRITE, "heartbeat", reply="Lease", body="Heartbeat", body_bytes_max=OPS_BODY_BYTES_MAX,
          contract={"handler": "_handle_mesh_lease_heartbeat", "group": "runtime",
                    "body": {"lease_id": "string", "ttl_seconds": "integer"}, "response": "Object"}),
    Route("mesh.leases.release", "POST", "/mesh/lease/release",
          "Give a lease back.",
          Auth.OPERATOR, Lane.WRITE, "release", reply="Lease", body="Release", body_bytes_max=OPS_BODY_BYTES_MAX,
          contract={"handler": "_handle_mesh_lease_release", "group": "runtime",
                    "body": {"lease_id": "string", "status": "string"}, "response": "Object"}),
)
