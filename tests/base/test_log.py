"""One line of JSON per event."""

from __future__ import annotations

import io
import json

import pytest

from ocp_node.base.clock import SetClock
from ocp_node.base.log import LEVELS, Log, say, silent


def logged(level: str = "info") -> tuple[Log, io.StringIO]:
    stream = io.StringIO()
    return Log(SetClock(1_800_000_000), level, stream), stream


@pytest.mark.parametrize("level, heard", [("debug", 4), ("info", 3), ("warning", 2), ("error", 1)])
def test_only_events_of_the_level_and_above_are_written(level: str, heard: int) -> None:
    log, stream = logged(level)
    for name in LEVELS:
        getattr(log, name)("x")
    assert [json.loads(line)["level"] for line in stream.getvalue().splitlines()] == list(LEVELS[-heard:])


def test_a_line_has_time_level_event_and_members() -> None:
    log, stream = logged()
    log.info("job.done", job_id="j\n1", seconds=1.5, path=object)
    line = stream.getvalue()
    assert line.count("\n") == 1 and line.endswith("\n")
    found = json.loads(line)
    assert list(found)[:3] == ["at", "level", "event"]
    assert (found["at"], found["level"], found["event"], found["job_id"]) == ("2027-01-15T08:00:00Z", "info", "job.done", "j\n1")


def test_a_fault_brings_its_traceback() -> None:
    log, stream = logged()
    try:
        raise ValueError("broken")
    except ValueError as fault:
        log.fault("request.fault", fault, error_id="e1")
    found = json.loads(stream.getvalue())
    assert (found["level"], found["error_id"]) == ("error", "e1")
    assert "ValueError: broken" in found["traceback"]


class Gone(io.StringIO):
    """A standard error whose reader has left."""

    def __init__(self) -> None:
        super().__init__()
        self.tries = 0

    def write(self, text: str) -> int:
        self.tries += 1
        raise BrokenPipeError


def test_a_log_that_nobody_reads_takes_nothing_down() -> None:
    stream = Gone()
    log = Log(SetClock(), "debug", stream)
    log.error("a")
    log.error("b")
    assert stream.tries == 1


def test_a_closed_stream_takes_nothing_down() -> None:
    log, stream = logged()
    stream.close()
    log.error("a")


def test_a_silent_log_writes_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    silent().error("a")
    assert capsys.readouterr() == ("", "")


def test_an_unknown_level_is_refused() -> None:
    with pytest.raises(ValueError):
        Log(SetClock(), "loud")


class Broken(io.StringIO):
    """What stands behind a stream whose disk is full."""

    def flush(self) -> None:
        raise OSError(28, "No space left on device")


def test_a_line_for_people_is_written_or_let_go() -> None:
    stream = io.StringIO()
    say("ready", stream)
    assert stream.getvalue() == "ocp: ready\n"
    say("ready", Broken())
    stream.close()
    say("ready", stream)
