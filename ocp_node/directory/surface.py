"""The routes of every room of the directory surface."""

from .routes import ROUTES as ADVERTISEMENTS

ROUTES = (*ADVERTISEMENTS,)
