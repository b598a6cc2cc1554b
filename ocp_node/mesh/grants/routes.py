"""What may be asked under `/mesh/grants`."""

from ...contract.limits import OPS_BODY_BYTES_MAX
from ...contract.route import Auth, Lane, Route

ROUTES = (
    Route("mesh.grants.issue", "POST", "/mesh/grants",
          "Sign a permission for a peer to read one of our artifacts.",
          Auth.OPERATOR, Lane.WORKER, "issue", reply="Issued", body="Issue", body_bytes_max=OPS_BODY_BYTES_MAX, extra=True),
    Route("mesh.grants.revoke", "POST", "/mesh/grants/{grant_id}/revoke",
          "End a permission before its time.",
          Auth.OPERATOR, Lane.WRITE, "revoke", reply="Revoked", body="Anything", body_bytes_max=OPS_BODY_BYTES_MAX, extra=True),
)
