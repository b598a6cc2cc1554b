"""Nodes that have taken a new key."""
