"""What may be asked of OSCP registration."""

from ...contract.limits import OSCP_BODY_BYTES_MAX
from ...contract.route import Auth, Lane, Route

ROUTES = (
    Route("oscp.registration.register_fp", "POST", "/oscp/fp/2.0/register",
          "Register a party with our flexibility provider.",
          Auth.OSCP, Lane.WRITE, "register", body="Register", body_raw=True, body_bytes_max=OSCP_BODY_BYTES_MAX),
    Route("oscp.registration.register_cp", "POST", "/oscp/cp/2.0/register",
          "Register a party with our capacity provider.",
          Auth.OSCP, Lane.WRITE, "register", body="Register", body_raw=True, body_bytes_max=OSCP_BODY_BYTES_MAX),
    Route("oscp.registration.register_co", "POST", "/oscp/co/2.0/register",
          "Register a party with our capacity optimizer.",
          Auth.OSCP, Lane.WRITE, "register", body="Register", body_raw=True, body_bytes_max=OSCP_BODY_BYTES_MAX),
    Route("oscp.registration.replace_fp", "PUT", "/oscp/fp/2.0/register",
          "Take a party's new token or base URL, as our flexibility provider.",
          Auth.OSCP, Lane.WRITE, "replace", body="Register", body_raw=True, body_bytes_max=OSCP_BODY_BYTES_MAX),
    Route("oscp.registration.replace_cp", "PUT", "/oscp/cp/2.0/register",
          "Take a party's new token or base URL, as our capacity provider.",
          Auth.OSCP, Lane.WRITE, "replace", body="Register", body_raw=True, body_bytes_max=OSCP_BODY_BYTES_MAX),
    Route("oscp.registration.replace_co", "PUT", "/oscp/co/2.0/register",
          "Take a party's new token or base URL, as our capacity optimizer.",
          Auth.OSCP, Lane.WRITE, "replace", body="Register", body_raw=True, body_bytes_max=OSCP_BODY_BYTES_MAX),
    Route("oscp.registration.remove_fp", "DELETE", "/oscp/fp/2.0/register",
          "End a party's registration with our flexibility provider.",
          Auth.OSCP, Lane.WRITE, "remove", body_raw=True),
    Route("oscp.registration.remove_cp", "DELETE", "/oscp/cp/2.0/register",
          "End a party's registration with our capacity provider.",
          Auth.OSCP, Lane.WRITE, "remove", body_raw=True),
    Route("oscp.registration.remove_co", "DELETE", "/oscp/co/2.0/register",
          "End a party's registration with our capacity optimizer.",
          Auth.OSCP, Lane.WRITE, "remove", body_raw=True),
)
