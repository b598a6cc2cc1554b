"""Time as it is passed in."""

from __future__ import annotations

from datetime import timedelta

import pytest

from ocp_node.base.clock import EPOCH, Clock, SetClock, instant_seconds, instant_text


@pytest.mark.parametrize("seconds, text", [
    (0, "1970-01-01T00:00:00Z"), (0.999, "1970-01-01T00:00:00Z"), (951_782_400, "2000-02-29T00:00:00Z"),
    (1_800_000_000, "2027-01-15T08:00:00Z"), (4_102_444_799.5, "2099-12-31T23:59:59Z"),
])
def test_an_instant_is_written_in_whole_seconds(seconds: float, text: str) -> None:
    assert instant_text(seconds) == text
    assert instant_seconds(text) == int(seconds)


def test_what_was_asked_last_is_remembered_rightly() -> None:
    assert [instant_text(at)[-3:] for at in (10, 11, 10, 10.9, 70)] == ["10Z", "11Z", "10Z", "10Z", "10Z"]


@pytest.mark.parametrize("text, seconds", [
    ("2027-01-15T08:00:00+00:00", 1_800_000_000), ("2027-01-15T09:30:00+01:30", 1_800_000_000),
    ("2027-01-15T08:00:00.250Z", 1_800_000_000.25), ("2027-01-14T23:00:00-09:00", 1_800_000_000),
])
def test_an_instant_of_any_zone_is_read(text: str, seconds: float) -> None:
    assert instant_seconds(text) == seconds


@pytest.mark.parametrize("text", ["", "yesterday", "2027-01-15T08:00:00", "2027-01-15", "2027-13-01T00:00:00Z",
                                  "2027-02-30T00:00:00Z", "2027-01-15T25:00:00Z", "1800000000"])
def test_an_instant_without_a_zone_or_sense_is_none(text: str) -> None:
    with pytest.raises(ValueError):
        instant_seconds(text)


def test_the_set_clock_moves_only_when_it_is_moved() -> None:
    clock = SetClock(1_800_000_000)
    before = clock.monotonic()
    assert (clock.text(), clock.text()) == ("2027-01-15T08:00:00Z",) * 2
    clock.advance(90)
    assert (clock.text(), clock.monotonic() - before) == ("2027-01-15T08:01:30Z", 90)
    clock.jump(-3600)
    assert (clock.text(), clock.monotonic() - before) == ("2027-01-15T07:01:30Z", 90)
    assert clock.now() == EPOCH + timedelta(seconds=clock.time())


def test_the_systems_clock_runs_and_its_texts_agree() -> None:
    clock = Clock()
    first, second = clock.monotonic(), clock.monotonic()
    assert second >= first
    assert abs(instant_seconds(clock.text()) - clock.time()) < 5
    assert clock.now().tzinfo is not None
