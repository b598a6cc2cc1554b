"""What may be asked under `/mesh/continuity`."""

from ...contract.limits import MESH_BODY_BYTES_MAX
from ...contract.route import Auth, Lane, Route

ROUTES = (
    Route("mesh.continuity.verify", "POST", "/mesh/continuity/vessels/verify",
          "Check that a packed mission is whole and unchanged.",
          Auth.OPERATOR, Lane.WORKER, "verify", reply="Verified", body="Verify", body_bytes_max=MESH_BODY_BYTES_MAX,
          contract={"handler": "_handle_mesh_continuity_vessel_verify", "group": "missions",
                    "body": {"artifact_id": "string", "include_content": "boolean"}, "response": "ContinuityVesselVerification"}),
    Route("mesh.continuity.restore_plan", "POST", "/mesh/continuity/vessels/restore-plan",
          "Plan how a packed mission would be restored, without doing it.",
          Auth.OPERATOR, Lane.WORKER, "restore_plan", reply="Plan", body="RestorePlan", body_bytes_max=MESH_BODY_BYTES_MAX,
          contract={"handler": "_handle_mesh_continuity_restore_plan", "group": "missions",
                    "body": {"artifact_id": "string", "constraints": "object", "target_peer_id": "string"},
                    "request": "ContinuityRestorePlanRequest", "response": "ContinuityRestorePlan"}),
)
