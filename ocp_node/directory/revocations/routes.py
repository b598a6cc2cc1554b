"""What may be asked under `/revoke` and `/revocations`."""

from ...contract.route import Auth, Lane, Route

ROUTES = (
    Route("directory.revocations.revoke", "POST", "/revoke",
          "Revoke a capability passport or a delegation of a key.",
          Auth.SIGNED, Lane.WORKER, "revoke", body="Anything", reply="Revoked", body_raw=True),
    Route("directory.revocations.revoke_endorsement", "POST", "/revoke/endorsement",
          "Withdraw a federation's endorsement of a service.",
          Auth.SIGNED, Lane.WORKER, "revoke_endorsement", body="Anything", reply="Revoked", body_raw=True),
    Route("directory.revocations.feed", "GET", "/revocations",
          "Follow what was revoked after a cursor.",
          Auth.PUBLIC, Lane.WORKER, "feed", reply="Revocations"),
    Route("directory.revocations.endorsements", "GET", "/revocations/endorsement",
          "Follow the endorsements withdrawn after a cursor.",
          Auth.PUBLIC, Lane.WORKER, "endorsements", reply="Revocations"),
)
