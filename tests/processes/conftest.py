"""Fixtures of the process engine's tests."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.support.processes import Workshop

if not sys.platform.startswith("linux"):
    collect_ignore_glob = ["test_*.py"]         # these tests look at /proc


@pytest.fixture
def workshop() -> Iterator[Callable[..., Workshop]]:
    """Makes workshops that are closed when the test ends."""
    made: list[Workshop] = []

    def make(**named: Any) -> Workshop:
        made.append(Workshop(**named))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture
def shop(workshop: Callable[..., Workshop]) -> Workshop:
    """One workshop with a short grace."""
    return workshop(stop_grace_seconds=5.0)
