"""What may be asked under `/key`: keys that sign in another key's name."""

from ...contract.route import Auth, Lane, Route

ROUTES = (
    Route("directory.delegations.publish", "PUT", "/key/{delegation_id}",
          "Publish a delegation of a key, signed by the key's owner.",
          Auth.SIGNED, Lane.WORKER, "publish", body="Anything", reply="Published", body_raw=True),
    Route("directory.delegations.fetch", "GET", "/key/{delegation_id}",
          "Fetch one delegation.",
          Auth.PUBLIC, Lane.INLINE, "fetch", reply="Anything"),
    Route("directory.delegations.find", "GET", "/key",
          "Find delegations by the key that signs, or by whose key it lends and for what.",
          Auth.PUBLIC, Lane.WORKER, "find", reply="Delegations"),
)
