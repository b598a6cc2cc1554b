"""What may be asked of App Mesh resources."""

from ...contract.route import Auth, Lane, Route

ROUTES = (
    Route("appmesh.resources.show", "GET", "/appmesh/resources",
          "Show what this machine has and uses.",
          Auth.APPMESH, Lane.WORKER, "show", needs="host-resource-view", reply="Resources"),
)
