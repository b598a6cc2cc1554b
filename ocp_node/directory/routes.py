"""What may be asked under `/adv`: the seed directory."""

from ..contract.route import Auth, Lane, Route

ROUTES = (
    Route("directory.publish", "PUT", "/adv/{node_id}",
          "Publish or replace a node's signed advertisement.",
          Auth.SIGNED, Lane.WORKER, "publish", body="Advertisement", reply="Stored", body_raw=True),
    Route("directory.fetch", "GET", "/adv/{node_id}",
          "Fetch a node's advertisement, value for value as it was published.",
          Auth.PUBLIC, Lane.INLINE, "fetch", reply="Advertisement"),
    Route("directory.feed", "GET", "/adv",
          "Follow the advertisements stored after a cursor, as pages, as a long poll (`wait`) or as server-sent events.",
          Auth.PUBLIC, Lane.STREAM, "feed", reply="Batch"),
    Route("directory.status", "GET", "/directory",
          "Show the directory's limits and figures; to the operator also what this node reads and publishes.",
          Auth.PUBLIC, Lane.WORKER, "status", reply="Anything"),
)
