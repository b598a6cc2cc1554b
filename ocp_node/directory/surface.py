"""The routes of every room of the directory surface, and the room that is built at start."""

from .routes import ROUTES as ADVERTISEMENTS

ROUTES = (*ADVERTISEMENTS,)
START = ("directory.duties",)
