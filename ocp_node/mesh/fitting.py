"""Answers that stay small: what a document can do without, step by step, until it fits (OCP 0.1 compact projections)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ..base import jsontext

Members = dict[str, Any]
Step = Callable[[Members], Members]


def fitted(document: Members, bytes_max: int, steps: Sequence[Step]) -> Members:
    """The document, or what is left of it after as many steps as it takes for its JSON to have at most `bytes_max` bytes."""
    for step in steps:
        if size(document) <= bytes_max:
            return document
        document = step(document)
    return document


def size(value: object) -> int:
    """How many bytes the value takes as ASCII JSON, the widest form in which it is sent or kept."""
    return len(jsontext.ascii_text(value))


def line(text: object, length_max: int) -> str:
    """The text on one line and no longer than that."""
    return "".join(letter if letter.isprintable() else " " for letter in text[:length_max]) if isinstance(text, str) else ""
