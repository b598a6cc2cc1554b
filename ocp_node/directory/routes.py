"""What may be asked under `/adv`: the seed directory."""

from ..contract.route import Auth, Lane, Route, planned

ROUTES = planned((
    Route("directory.publish", "PUT", "/adv/{node_id}",
          "Publish or replace a node's signed advertisement.",
          Auth.SIGNED, Lane.WORKER, "publish", body_raw=True),
    Route("directory.fetch", "GET", "/adv/{node_id}",
          "Fetch a node's advertisement, byte for byte as it was published.",
          Auth.PUBLIC, Lane.INLINE, "fetch"),
    Route("directory.feed", "GET", "/adv",
          "Follow the advertisements stored after a cursor.",
          Auth.PUBLIC, Lane.INLINE, "feed"),
))
