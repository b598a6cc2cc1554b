"""What may be asked of OSCP measurements."""

from ...contract.limits import ADMIN_BODY_BYTES_MAX, OSCP_BODY_BYTES_MAX
from ...contract.route import Auth, Lane, Route, planned

ROUTES = planned((
    Route("oscp.measurements.update_group_cp", "POST", "/oscp/cp/2.0/update_group_measurements",
          "Take what a group measured, as our capacity provider.",
          Auth.OSCP, Lane.WRITE, "update_group", body_raw=True, body_bytes_max=OSCP_BODY_BYTES_MAX),
    Route("oscp.measurements.update_assets_fp", "POST", "/oscp/fp/2.0/update_asset_measurements",
          "Take what devices measured, as our flexibility provider.",
          Auth.OSCP, Lane.WRITE, "update_assets", body_raw=True, body_bytes_max=OSCP_BODY_BYTES_MAX),
    Route("oscp.measurements.update_assets_co", "POST", "/oscp/co/2.0/update_asset_measurements",
          "Take what devices measured, as our capacity optimizer.",
          Auth.OSCP, Lane.WRITE, "update_assets", body_raw=True, body_bytes_max=OSCP_BODY_BYTES_MAX),
    Route("oscp.measurements.read_meter", "POST", "/oscp/admin/v1/assets/{asset_id}/readings",
          "Give one or several meter readings of a device.",
          Auth.LOCAL_ADMIN, Lane.WRITE, "read_meter", body_bytes_max=ADMIN_BODY_BYTES_MAX),
))
