"""The routes of every room of the node's own surface."""

from .documents.routes import ROUTES as DOCUMENTS
from .health.routes import ROUTES as HEALTH
from .pages.routes import ROUTES as PAGES

ROUTES = (
    *HEALTH, *DOCUMENTS, *PAGES,
)
