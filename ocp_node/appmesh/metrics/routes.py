"""What may be asked of App Mesh metrics."""

from ...contract.route import Auth, Lane, Route

ROUTES = (
    Route("appmesh.metrics.show", "GET", "/appmesh/metrics",
          "Show measurements of the supervised programs as Prometheus text.",
          Auth.PUBLIC, Lane.WORKER, "show"),
)
