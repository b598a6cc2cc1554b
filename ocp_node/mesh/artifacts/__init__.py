"""Bytes with a digest: published, read, copied between nodes, kept or swept."""
