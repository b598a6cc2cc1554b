"""The routes of every room of the mesh surface, and the rooms that have duties from the start."""

from .agents.routes import ROUTES as AGENTS
from .app.routes import ROUTES as APP
from .approvals.routes import ROUTES as APPROVALS
from .artifacts.routes import ROUTES as ARTIFACTS
from .autonomy.routes import ROUTES as AUTONOMY
from .connectivity.routes import ROUTES as CONNECTIVITY
from .continuity.routes import ROUTES as CONTINUITY
from .contract.routes import ROUTES as CONTRACT
from .control.routes import ROUTES as CONTROL
from .cooperative_tasks.routes import ROUTES as COOPERATIVE_TASKS
from .device_profile.routes import ROUTES as DEVICE_PROFILE
from .discovery.routes import ROUTES as DISCOVERY
from .grants.routes import ROUTES as GRANTS
from .handshake.routes import ROUTES as HANDSHAKE
from .helpers.routes import ROUTES as HELPERS
from .identity.routes import ROUTES as IDENTITY
from .invitations.routes import ROUTES as INVITATIONS
from .jobs.routes import ROUTES as JOBS
from .leases.routes import ROUTES as LEASES
from .manifest.routes import ROUTES as MANIFEST
from .missions.routes import ROUTES as MISSIONS
from .notifications.routes import ROUTES as NOTIFICATIONS
from .peers.routes import ROUTES as PEERS
from .pressure.routes import ROUTES as PRESSURE
from .queue.routes import ROUTES as QUEUE
from .routes.routes import ROUTES as PEER_ROUTES
from .scheduler.routes import ROUTES as SCHEDULER
from .secrets.routes import ROUTES as SECRETS
from .stream.routes import ROUTES as STREAM
from .treaties.routes import ROUTES as TREATIES
from .workers.routes import ROUTES as WORKERS

ROUTES = (
    *MANIFEST, *CONTRACT, *HANDSHAKE, *IDENTITY, *INVITATIONS, *PEERS, *DISCOVERY, *CONNECTIVITY, *PEER_ROUTES, *LEASES, *AGENTS, *JOBS, *QUEUE,
    *SCHEDULER, *WORKERS, *MISSIONS, *COOPERATIVE_TASKS, *CONTINUITY, *ARTIFACTS, *GRANTS, *HELPERS, *PRESSURE, *APPROVALS,
    *NOTIFICATIONS, *TREATIES, *SECRETS, *AUTONOMY, *APP, *DEVICE_PROFILE, *STREAM, *CONTROL,
)

START = ("mesh.secrets",)            # stored secrets must open, or the node does not start
# Rooms with duties of their own, which nobody has to ask for: partial uploads run out, approvals expire, jobs that waited are
# worked off, treaties end and wait for signatures, peers are told of a new key, jobs at peers are followed.
DUTIES = ("mesh.artifacts", "mesh.approvals", "mesh.workers", "mesh.treaties", "mesh.identity", "mesh.dispatch",
          "mesh.cooperative_tasks")
