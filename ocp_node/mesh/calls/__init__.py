"""Calls to other nodes of the mesh; no routes of its own."""
