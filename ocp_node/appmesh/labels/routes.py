"""What may be asked of App Mesh labels."""

from ...contract.route import Auth, Lane, Route, planned

ROUTES = planned((
    Route("appmesh.labels.list", "GET", "/appmesh/labels",
          "Show all labels of this machine.",
          Auth.APPMESH, Lane.INLINE, "list_all", needs="label-view"),
    Route("appmesh.labels.merge", "POST", "/appmesh/labels",
          "Set several labels, and remove those given as null.",
          Auth.APPMESH, Lane.WRITE, "merge", needs="label-set"),
    Route("appmesh.labels.put", "PUT", "/appmesh/label/{label}",
          "Set one label.",
          Auth.APPMESH, Lane.WRITE, "put", needs="label-set"),
    Route("appmesh.labels.delete", "DELETE", "/appmesh/label/{label}",
          "Remove one label.",
          Auth.APPMESH, Lane.WRITE, "delete", needs="label-delete"),
))
