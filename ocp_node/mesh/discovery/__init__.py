"""Nodes that may become peers: found by scan, by hint or in a directory."""
