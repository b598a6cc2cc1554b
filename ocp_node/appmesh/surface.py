"""The routes of every room of the App Mesh surface."""

from ..contract.route import Auth
from .apps.routes import ROUTES as APPS
from .config.routes import ROUTES as CONFIG
from .files.routes import ROUTES as FILES
from .labels.routes import ROUTES as LABELS
from .metrics.routes import ROUTES as METRICS
from .resources.routes import ROUTES as RESOURCES
from .roles.routes import ROUTES as ROLES
from .runs.routes import ROUTES as RUNS
from .sessions.routes import ROUTES as SESSIONS
from .subscriptions.routes import ROUTES as SUBSCRIPTIONS
from .tasks.routes import ROUTES as TASKS
from .users.routes import ROUTES as USERS

ROUTES = (
    *SESSIONS, *APPS, *RUNS, *TASKS, *USERS, *ROLES, *FILES, *LABELS, *CONFIG, *METRICS, *RESOURCES, *SUBSCRIPTIONS,
)

GATES = {Auth.APPMESH: "appmesh.sessions"}
START = ("appmesh.duties",)
