"""What may be asked of OSCP power."""

from ...contract.route import Auth, Lane, Route, planned

ROUTES = planned((
    Route("oscp.power.show", "GET", "/oscp/admin/v1/power",
          "Show sources, draw, budget, headroom, held work and recent actions.",
          Auth.LOCAL_ADMIN, Lane.INLINE, "show"),
))
