"""Bounds that all lists of the mesh share (OCP 0.1): at least one entry, at most 500 however many are asked for."""

from __future__ import annotations

LIST_MAX = 500


def bounded(limit: int, when_zero: int = 1) -> int:
    """How many entries a list has at most; some routes take 0 for their usual number."""
    return max(1, min(limit or when_zero, LIST_MAX))
