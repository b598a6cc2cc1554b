"""The routes of every room of the OSCP surface."""

from ..contract.route import Auth
from .admin.routes import ROUTES as ADMIN
from .forecasts.routes import ROUTES as FORECASTS
from .groups.routes import ROUTES as GROUPS
from .handshake.routes import ROUTES as HANDSHAKE
from .heartbeat.routes import ROUTES as HEARTBEAT
from .measurements.routes import ROUTES as MEASUREMENTS
from .power.routes import ROUTES as POWER
from .registration.routes import ROUTES as REGISTRATION

ROUTES = (
    *REGISTRATION, *HANDSHAKE, *HEARTBEAT, *FORECASTS, *MEASUREMENTS, *GROUPS, *POWER, *ADMIN,
)

GATES = {Auth.OSCP: "oscp.parties"}
DUTIES = ("oscp.parties", "oscp.calls", "oscp.registration", "oscp.handshake", "oscp.heartbeat")
