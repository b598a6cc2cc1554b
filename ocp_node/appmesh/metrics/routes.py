"""What may be asked of App Mesh metrics."""

from ...contract.route import Auth, Lane, Route, planned

ROUTES = planned((
    Route("appmesh.metrics.show", "GET", "/appmesh/metrics",
          "Show measurements of the supervised programs as Prometheus text.",
          Auth.PUBLIC, Lane.INLINE, "show"),
))
