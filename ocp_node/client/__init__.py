"""A client of every route."""
