"""What may be asked of OSCP groups."""

from ...contract.limits import ADMIN_BODY_BYTES_MAX
from ...contract.route import Auth, Lane, Route, planned

ROUTES = planned((
    Route("oscp.groups.list", "GET", "/oscp/admin/v1/groups",
          "List the groups.",
          Auth.LOCAL_ADMIN, Lane.INLINE, "list_all"),
    Route("oscp.groups.create", "POST", "/oscp/admin/v1/groups",
          "Make a group.",
          Auth.LOCAL_ADMIN, Lane.WRITE, "create", body_bytes_max=ADMIN_BODY_BYTES_MAX),
    Route("oscp.groups.show", "GET", "/oscp/admin/v1/groups/{group_id}",
          "Show one group with its bindings.",
          Auth.LOCAL_ADMIN, Lane.INLINE, "show"),
    Route("oscp.groups.change", "PATCH", "/oscp/admin/v1/groups/{group_id}",
          "Change a group.",
          Auth.LOCAL_ADMIN, Lane.WRITE, "change", body_bytes_max=ADMIN_BODY_BYTES_MAX),
    Route("oscp.groups.delete", "DELETE", "/oscp/admin/v1/groups/{group_id}",
          "Remove a group.",
          Auth.LOCAL_ADMIN, Lane.WRITE, "delete"),
    Route("oscp.groups.set_members", "PUT", "/oscp/admin/v1/groups/{group_id}/members",
          "Set the members of a group.",
          Auth.LOCAL_ADMIN, Lane.WRITE, "set_members", body_bytes_max=ADMIN_BODY_BYTES_MAX),
    Route("oscp.groups.timeline", "GET", "/oscp/admin/v1/groups/{group_id}/timeline",
          "Show a group's limits over time, each with its source.",
          Auth.LOCAL_ADMIN, Lane.INLINE, "timeline"),
    Route("oscp.groups.set_plan", "PUT", "/oscp/admin/v1/groups/{group_id}/plan",
          "Set the capacity plan of a group.",
          Auth.LOCAL_ADMIN, Lane.WRITE, "set_plan", body_bytes_max=ADMIN_BODY_BYTES_MAX),
    Route("oscp.groups.ask", "POST", "/oscp/admin/v1/groups/{group_id}/adjust",
          "Ask the capacity provider for another capacity now.",
          Auth.LOCAL_ADMIN, Lane.WRITE, "ask", body_bytes_max=ADMIN_BODY_BYTES_MAX),
))
