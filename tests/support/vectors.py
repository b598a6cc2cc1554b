"""Captured and published test data: `tests/data/<surface>/<name>.json`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

DATA = Path(__file__).resolve().parents[1] / "data"


def load(surface: str, name: str) -> Any:
    """The JSON value of one data file."""
    return json.loads((DATA / surface / f"{name}.json").read_text(encoding="utf-8"))
