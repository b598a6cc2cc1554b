"""What may be asked under `/mesh/handshake`."""

from ...contract.limits import MESH_BODY_BYTES_MAX
from ...contract.route import Auth, Lane, Route

ROUTES = (
    Route("mesh.handshake.accept", "POST", "/mesh/handshake",
          "Take another node's signed card and answer with our own.",
          Auth.SIGNED, Lane.WORKER, "accept", reply="Accepted", body="Anything", body_bytes_max=MESH_BODY_BYTES_MAX,
          contract={"handler": "_handle_mesh_handshake", "group": "runtime",
                    "body": {"manifest": "object", "peer_card": "signed_envelope"}, "request": "SignedEnvelope",
                    "response": "HandshakeResponse"}),
)
