"""Every captured exchange against our nodes: `python3 -m pytest -q tests/mesh/conformance -k leases` for one room.

`python3 -m tests.mesh.conformance.test_transcripts` prints the whole picture.
"""

from __future__ import annotations

from collections import Counter

import pytest

from tests.mesh.conformance import runner
from tests.mesh.conformance.deviations import DEVIATIONS

EVERY = [pytest.param(exchange, id=exchange.name) for file in runner.FILES for exchange in runner.exchanges(file)]


@pytest.mark.parametrize("exchange", EVERY)
def test_an_exchange_is_answered_as_captured(exchange: runner.Exchange) -> None:
    outcome = runner.outcomes(exchange.file)[exchange.index]
    if outcome.state in ("pending", "unprepared", "not sent"):
        pytest.skip({"pending": "the route is planned", "unprepared": "the capture left out what this exchange needs",
                     "not sent": "pages, and what the captured node itself sent"}[outcome.state])
    assert outcome.state in ("match", "excused"), "\n".join(outcome.found)


@pytest.mark.parametrize("entry", DEVIATIONS, ids=lambda entry: f"{entry.file}-{entry.index}")
def test_a_deviation_names_its_exchange_and_has_a_reason(entry: runner.Deviation) -> None:
    exchange = runner.exchanges(entry.file)[entry.index]
    assert exchange.case.startswith(entry.case)
    assert entry.reason


def test_no_exchange_deviates_twice() -> None:
    places = Counter((entry.file, entry.index) for entry in DEVIATIONS)
    assert max(places.values(), default=0) <= 1


if __name__ == "__main__":
    for file in runner.FILES:
        found = runner.outcomes(file)
        print(file, dict(Counter(outcome.state for outcome in found.values())))
        for index, outcome in found.items():
            if outcome.state in ("differs", "unprepared"):
                print(f"  {outcome.state:10} {runner.exchanges(file)[index].name}")
                for line in outcome.found[:6]:
                    print(f"             {line[:220]}")
