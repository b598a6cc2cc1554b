"""How busy this machine's processors are."""

from __future__ import annotations

import os

from ...base.settings import cores


def per_core() -> float | None:
    """Runnable threads of the last minute for each core that this process may use; None where the system does not tell."""
    try:
        return round(os.getloadavg()[0] / cores(), 2)
    except OSError:
        return None
