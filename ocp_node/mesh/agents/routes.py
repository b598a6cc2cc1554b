"""What may be asked under `/mesh/agents`."""

from ...contract.limits import MESH_BODY_BYTES_MAX
from ...contract.route import Auth, Lane, Route

ROUTES = (
    Route("mesh.agents.handoff", "POST", "/mesh/agents/handoff",
          "Take over a piece of work that a peer's agent hands to one of ours.",
          Auth.SIGNED, Lane.WORKER, "handoff", reply="Taken", body="Anything", body_bytes_max=MESH_BODY_BYTES_MAX,
          contract={"handler": "_handle_mesh_handoff", "group": "runtime", "body": {"handoff": "signed_envelope"},
                    "request": "SignedEnvelope", "response": "Object"}),
)
