"""What may be asked of the node's own health."""

from ...contract.route import Auth, Lane, Route

ROUTES = (
    Route("node.health.live", "GET", "/healthz",
          "Tell that the process is alive.",
          Auth.PUBLIC, Lane.INLINE, "live", reply="Alive"),
    Route("node.health.ready", "GET", "/readyz",
          "Tell whether the node can serve, check by check.",
          Auth.PUBLIC, Lane.INLINE, "ready", reply="Readiness"),
    Route("node.health.metrics", "GET", "/metrics",
          "Show the node's measurements as Prometheus text.",
          Auth.PUBLIC, Lane.INLINE, "metrics"),
)
