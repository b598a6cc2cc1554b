"""What may be asked of App Mesh config."""

from ...contract.route import Auth, Lane, Route, planned

ROUTES = planned((
    Route("appmesh.config.show", "GET", "/appmesh/config",
          "Show the configuration of the surface.",
          Auth.APPMESH, Lane.INLINE, "show", needs="config-view"),
    Route("appmesh.config.merge", "POST", "/appmesh/config",
          "Change parts of the configuration.",
          Auth.APPMESH, Lane.WRITE, "merge", needs="config-set"),
))
