"""What a verb says: JSON for programs, aligned columns for people."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence


def document(value: object) -> None:
    """One JSON document on standard output; characters that a terminal would obey are escaped."""
    text = json.dumps(value, indent=2, ensure_ascii=False)
    print("".join(letter if letter.isprintable() or letter == "\n" else json.dumps(letter)[1:-1] for letter in text))


def columns(rows: Iterable[Sequence[str]]) -> None:
    """The rows with their columns aligned; the last column is as long as it is."""
    table = [[clean(cell) for cell in row] for row in rows]
    widths = [max(len(row[place]) for row in table) for place in range(len(table[0]) - 1)] if table else []
    for row in table:
        print("  ".join([cell.ljust(width) for cell, width in zip(row, widths)] + [row[-1]]).rstrip())


def clean(text: str) -> str:
    """The text without characters that a terminal would obey: what another node sent is shown, never acted on."""
    return "".join(letter if letter.isprintable() else "\ufffd" for letter in text)
