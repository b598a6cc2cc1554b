"""The routes of the seed directory, and its rooms that have duties from the start."""

from .routes import ROUTES as ROUTES

START: tuple[str, ...] = ()
