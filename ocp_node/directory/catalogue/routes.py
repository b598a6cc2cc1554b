"""What may be asked under `/cap`: which node offers what."""

from ...contract.route import Auth, Lane, Route

ROUTES = (
    Route("directory.catalogue.register", "PUT", "/cap/{node_id}/{capability_id}",
          "Register a capability of a node, proven by a passport and by the node's own word.",
          Auth.SIGNED, Lane.WORKER, "register", body="Anything", reply="Registered", body_raw=True),
    Route("directory.catalogue.node", "GET", "/cap/{node_id}",
          "List what one node offers.",
          Auth.PUBLIC, Lane.WORKER, "node", reply="NodeCapabilities"),
    Route("directory.catalogue.query", "GET", "/cap",
          "Find the nodes that offer a capability.",
          Auth.PUBLIC, Lane.WORKER, "query", reply="Offers"),
)
