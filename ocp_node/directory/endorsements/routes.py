"""What may be asked of endorsements; their revocation stands with the others."""

from ...contract.route import Auth, Lane, Route

ROUTES = (
    Route("directory.endorsements.endorse", "PUT", "/cap/{node_id}/{capability_id}/endorsement",
          "Make a registration official in the name of the federation.",
          Auth.SIGNED, Lane.WORKER, "endorse", body="Anything", reply="Endorsed", body_raw=True),
)
