"""What may be asked of invitations; ours, beside the published routes."""

from ...contract.limits import OPS_BODY_BYTES_MAX
from ...contract.route import Auth, Lane, Route

ROUTES = (
    Route("mesh.invitations.create", "POST", "/mesh/invitations",
          "Make an invitation for another device.",
          Auth.OPERATOR, Lane.WRITE, "create", reply="Invitation", body="NewInvitation", body_bytes_max=OPS_BODY_BYTES_MAX,
          extra=True),
    Route("mesh.invitations.show", "GET", "/mesh/invitations/{invitation_id}",
          "Show whether an invitation was used, and the words to compare.",
          Auth.OPERATOR, Lane.INLINE, "show", reply="InvitationState", extra=True),
    Route("mesh.invitations.join", "POST", "/mesh/invitations/join",
          "Join the node that an invitation comes from: both become peers of each other.",
          Auth.OPERATOR, Lane.LONG, "join", reply="Joined", body="Code", body_bytes_max=OPS_BODY_BYTES_MAX, extra=True),
)
