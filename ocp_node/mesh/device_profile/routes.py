"""What may be asked under `/mesh/device-profile`."""

from ...contract.limits import MESH_BODY_BYTES_MAX
from ...contract.route import Auth, Lane, Route

ROUTES = (
    Route("mesh.device_profile.show", "GET", "/mesh/device-profile",
          "Show the device profile.",
          Auth.PUBLIC, Lane.INLINE, "show", reply="Shown", cached=True,
          contract={"handler": "_handle_mesh_device_profile", "group": "runtime", "response": "DeviceProfileResponse"}),
    Route("mesh.device_profile.update", "POST", "/mesh/device-profile",
          "Change the device profile.",
          Auth.OPERATOR, Lane.WRITE, "update", reply="Updated", body="Update", body_bytes_max=MESH_BODY_BYTES_MAX,
          contract={"handler": "_handle_mesh_device_profile_update", "group": "runtime", "body": {"device_profile": "object"},
                    "response": "DeviceProfileResponse"}),
)
