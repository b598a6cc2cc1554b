"""Fixtures of the store's tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.store import Trial


@pytest.fixture
def made(tmp_path: Path) -> Iterator[Callable[..., Trial]]:
    """Makes trials that are closed when the test ends."""
    trials: list[Trial] = []

    def make(**named: Any) -> Trial:
        trial = Trial(tmp_path, **named)
        trials.append(trial)
        return trial

    yield make
    for trial in trials:
        trial.close()


@pytest.fixture
def trial(made: Callable[..., Trial]) -> Trial:
    return made().start()
