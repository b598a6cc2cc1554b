"""What may be asked of OSCP heartbeat."""

from ...contract.limits import OSCP_BODY_BYTES_MAX
from ...contract.route import Auth, Lane, Route

ROUTES = (
    Route("oscp.heartbeat.beat_fp", "POST", "/oscp/fp/2.0/heartbeat",
          "Take a party's sign of life, as our flexibility provider.",
          Auth.OSCP, Lane.WRITE, "beat", body="Heartbeat", body_raw=True, body_bytes_max=OSCP_BODY_BYTES_MAX),
    Route("oscp.heartbeat.beat_cp", "POST", "/oscp/cp/2.0/heartbeat",
          "Take a party's sign of life, as our capacity provider.",
          Auth.OSCP, Lane.WRITE, "beat", body="Heartbeat", body_raw=True, body_bytes_max=OSCP_BODY_BYTES_MAX),
    Route("oscp.heartbeat.beat_co", "POST", "/oscp/co/2.0/heartbeat",
          "Take a party's sign of life, as our capacity optimizer.",
          Auth.OSCP, Lane.WRITE, "beat", body="Heartbeat", body_raw=True, body_bytes_max=OSCP_BODY_BYTES_MAX),
)
