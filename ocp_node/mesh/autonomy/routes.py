"""What may be asked under `/mesh/autonomy`."""

from ...contract.limits import MESH_BODY_BYTES_MAX
from ...contract.route import Auth, Lane, Route

ROUTES = (
    Route("mesh.autonomy.status", "GET", "/mesh/autonomy/status",
          "Show how far the mesh runs itself and the latest pass.",
          Auth.PUBLIC, Lane.WORKER, "status", reply="Status",
          contract={"handler": "_handle_mesh_autonomy_status", "group": "runtime", "response": "AutonomicMeshStatus"}),
    Route("mesh.autonomy.activate", "POST", "/mesh/autonomy/activate",
          "Find, connect, repair and prove the mesh in one pass.",
          Auth.OPERATOR, Lane.LONG, "activate", reply="Activated", body="Activate", body_bytes_max=MESH_BODY_BYTES_MAX,
          contract={"handler": "_handle_mesh_autonomy_activate", "group": "runtime",
                    "body": {"limit": "integer", "mode": "string", "repair": "boolean", "run_proof": "boolean"},
                    "request": "AutonomicActivateRequest", "response": "AutonomicRun"}),
)
