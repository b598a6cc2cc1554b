"""What may be asked of OSCP forecasts."""

from ...contract.limits import ADMIN_BODY_BYTES_MAX, OSCP_BODY_BYTES_MAX
from ...contract.route import Auth, Lane, Route, planned

ROUTES = planned((
    Route("oscp.forecasts.update_fp", "POST", "/oscp/fp/2.0/update_group_capacity_forecast",
          "Take a capacity forecast for a group, as our flexibility provider.",
          Auth.OSCP, Lane.WRITE, "update", body_raw=True, body_bytes_max=OSCP_BODY_BYTES_MAX),
    Route("oscp.forecasts.update_co", "POST", "/oscp/co/2.0/update_group_capacity_forecast",
          "Take a capacity forecast for a group, as our capacity optimizer.",
          Auth.OSCP, Lane.WRITE, "update", body_raw=True, body_bytes_max=OSCP_BODY_BYTES_MAX),
    Route("oscp.forecasts.adjust_fp", "POST", "/oscp/fp/2.0/adjust_group_capacity_forecast",
          "Take a wish for another capacity, as our flexibility provider.",
          Auth.OSCP, Lane.WRITE, "adjust", body_raw=True, body_bytes_max=OSCP_BODY_BYTES_MAX),
    Route("oscp.forecasts.adjust_cp", "POST", "/oscp/cp/2.0/adjust_group_capacity_forecast",
          "Take a wish for another capacity, as our capacity provider.",
          Auth.OSCP, Lane.WRITE, "adjust", body_raw=True, body_bytes_max=OSCP_BODY_BYTES_MAX),
    Route("oscp.forecasts.compliance_cp", "POST", "/oscp/cp/2.0/group_capacity_compliance_error",
          "Take the report that a group cannot keep its limit, as our capacity provider.",
          Auth.OSCP, Lane.WRITE, "compliance", body_raw=True, body_bytes_max=OSCP_BODY_BYTES_MAX),
    Route("oscp.forecasts.adjustments", "GET", "/oscp/admin/v1/adjustments",
          "List the wishes for another capacity.",
          Auth.LOCAL_ADMIN, Lane.INLINE, "adjustments"),
    Route("oscp.forecasts.grant", "POST", "/oscp/admin/v1/adjustments/{adjustment_id}/grant",
          "Grant a wish for another capacity.",
          Auth.LOCAL_ADMIN, Lane.WRITE, "grant", body_bytes_max=ADMIN_BODY_BYTES_MAX),
    Route("oscp.forecasts.deny", "POST", "/oscp/admin/v1/adjustments/{adjustment_id}/deny",
          "Deny a wish for another capacity.",
          Auth.LOCAL_ADMIN, Lane.WRITE, "deny", body_bytes_max=ADMIN_BODY_BYTES_MAX),
    Route("oscp.forecasts.compliance_errors", "GET", "/oscp/admin/v1/compliance",
          "List the compliance errors received and sent.",
          Auth.LOCAL_ADMIN, Lane.INLINE, "compliance_errors"),
))
