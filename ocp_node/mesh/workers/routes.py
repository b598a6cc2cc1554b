"""What may be asked under `/mesh/workers`."""

from ...contract.limits import MESH_BODY_BYTES_MAX, OPS_BODY_BYTES_MAX
from ...contract.route import Auth, Lane, Route

ROUTES = (
    Route("mesh.workers.list", "GET", "/mesh/workers",
          "List workers, latest heartbeat first.",
          Auth.PUBLIC, Lane.INLINE, "list_all", reply="WorkerList", query="ListQuery",
          contract={"handler": "_handle_mesh_workers", "group": "ops", "query": {"limit": "integer"}, "response": "WorkerList"}),
    Route("mesh.workers.register", "POST", "/mesh/workers/register",
          "Make a worker known with what it can do.",
          Auth.OPERATOR, Lane.WRITE, "register", reply="WorkerAnswer", body="Register", body_bytes_max=OPS_BODY_BYTES_MAX,
          contract={"handler": "_handle_mesh_worker_register", "group": "ops",
                    "body": {"agent_id": "string", "capabilities": "array", "worker_id": "string"}, "response": "Object"}),
    Route("mesh.workers.heartbeat", "POST", "/mesh/workers/{worker_id}/heartbeat",
          "Say that a worker is alive and how it is.",
          Auth.OPERATOR, Lane.WRITE, "heartbeat", reply="WorkerAnswer", body="Heartbeat", body_bytes_max=MESH_BODY_BYTES_MAX,
          contract={"handler": "_handle_mesh_worker_heartbeat", "group": "runtime",
                    "body": {"metadata": "object", "resources": "object", "status": "string"}, "response": "Object"}),
    Route("mesh.workers.poll", "POST", "/mesh/workers/{worker_id}/poll",
          "Look at the jobs a worker could claim, without taking one.",
          Auth.OPERATOR, Lane.WRITE, "poll", reply="Jobs", body="Poll", body_bytes_max=MESH_BODY_BYTES_MAX,
          contract={"handler": "_handle_mesh_worker_poll", "group": "runtime", "body": {"limit": "integer"},
                    "response": "Object"}),
    Route("mesh.workers.claim", "POST", "/mesh/workers/{worker_id}/claim",
          "Take one job for a worker, or learn that there is none.",
          Auth.OPERATOR, Lane.STREAM, "claim", reply="Claimed", body="Claim", body_bytes_max=MESH_BODY_BYTES_MAX,
          contract={"handler": "_handle_mesh_worker_claim", "group": "runtime",
                    "body": {"job_id": "string", "ttl_seconds": "integer"}, "response": "Object"}),
)
