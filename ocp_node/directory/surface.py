"""The routes of every room of the directory surface, and the room that is built at start."""

from .catalogue.routes import ROUTES as CATALOGUE
from .delegations.routes import ROUTES as DELEGATIONS
from .endorsements.routes import ROUTES as ENDORSEMENTS
from .revocations.routes import ROUTES as REVOCATIONS
from .routes import ROUTES as ADVERTISEMENTS
from .succession.routes import ROUTES as SUCCESSION

ROUTES = (*ADVERTISEMENTS, *CATALOGUE, *ENDORSEMENTS, *REVOCATIONS, *DELEGATIONS, *SUCCESSION)
DUTIES = ("directory.duties",)
