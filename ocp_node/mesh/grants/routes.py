"""What may be asked under `/mesh/grants`."""

from ...contract.limits import OPS_BODY_BYTES_MAX
from ...contract.route import Auth, Lane, Route, planned

ROUTES = planned((
    Route("mesh.grants.issue", "POST", "/mesh/grants",
          "Sign a permission for a peer to read one of our artifacts.",
          Auth.OPERATOR, Lane.WORKER, "issue", body_bytes_max=OPS_BODY_BYTES_MAX, extra=True),
    Route("mesh.grants.revoke", "POST", "/mesh/grants/{grant_id}/revoke",
          "End a permission before its time.",
          Auth.OPERATOR, Lane.WRITE, "revoke", body_bytes_max=OPS_BODY_BYTES_MAX, extra=True),
))
