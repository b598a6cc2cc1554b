"""What may be asked of this node's identity; ours, beside the published routes."""

from ...contract.limits import OPS_BODY_BYTES_MAX
from ...contract.route import Auth, Lane, Route

ROUTES = (
    Route("mesh.identity.show", "GET", "/mesh/identity",
          "Show this node's key, and the signed steps by which it came from earlier ones.",
          Auth.PUBLIC, Lane.INLINE, "show", reply="NodeIdentity", extra=True),
    Route("mesh.identity.rotate", "POST", "/mesh/identity/rotate",
          "Give this node a new key that the present one vouches for, and tell its peers.",
          Auth.OPERATOR, Lane.LONG, "rotate", reply="Rotated", body="Rotation", body_bytes_max=OPS_BODY_BYTES_MAX, extra=True),
)
