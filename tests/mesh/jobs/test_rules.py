"""Jobs, attempts: every state, every event; and what decides a failure."""

from __future__ import annotations

import itertools

import pytest

from ocp_node.base.errors import Refusal
from ocp_node.mesh.jobs import rules

# What the protocol's table of job states says, row by row; "-" is refused.
# The columns are `rules.EVENTS`.
JOB_TABLE = {
    "queued": "running resuming - - - - - - - cancelled retry_wait retry_wait queued rejected",
    "retry_wait": "running resuming - - - - - - - cancelled retry_wait retry_wait queued rejected",
    "running": "- - completed retry_wait checkpointed failed queued retry_wait failed cancelled - - - -",
    "resuming": "- - completed retry_wait checkpointed failed queued retry_wait failed cancelled - - - -",
    "checkpointed": "- - - - - - - - - cancelled retry_wait retry_wait - -",
    "completed": "- - - - - - - - - - - - - -",
    "failed": "- - - - - - - - - - retry_wait retry_wait queued -",
    "cancelled": "- - - - - - - - - - retry_wait retry_wait queued -",
    "rejected": "- - - - - - - - - - - - - -",
}
JOB_CASES = [(state, event, after) for state, row in JOB_TABLE.items() for event,
             after in zip(rules.EVENTS, row.split(), strict=True)]


@pytest.mark.parametrize("state, event, after", JOB_CASES)
def test_a_job_moves_as_the_protocol_says_and_no_other_way(state: str, event: str, after: str) -> None:
    if after == "-":
        with pytest.raises(Refusal) as caught:
            rules.step(state, event)
        assert caught.value.code == "invalid_state"
    else:
        assert rules.step(state, event) == after


def test_the_tables_name_no_other_state_or_event() -> None:
    assert set(JOB_TABLE) == set(rules.STATES)
    assert {state for state, _ in rules.STEPS} | set(rules.STEPS.values()) <= set(rules.STATES)
    assert {event for _, event in rules.STEPS} == set(rules.EVENTS)
    assert {event for _, event in rules.ATTEMPT_STEPS} == set(rules.ATTEMPT_EVENTS)


ATTEMPT_TABLE = {
    #            heartbeat  complete    fail      expire    cancel
    "claimed":   "running    completed   failed    expired   cancelled",
    "running":   "running    completed   failed    expired   cancelled",
    "completed": "-          again       -         -         -",
    "failed":    "-          -           again     -         -",
    "expired":   "-          -           -         -         -",
    "cancelled": "-          -           -         -         -",
}
ATTEMPT_CASES = [(state, event, after) for state, row in ATTEMPT_TABLE.items()
                 for event, after in zip(rules.ATTEMPT_EVENTS, row.split(), strict=True)]


@pytest.mark.parametrize("state, event, after", ATTEMPT_CASES)
def test_an_attempt_moves_as_the_protocol_says(state: str, event: str, after: str) -> None:
    if after == "-":
        with pytest.raises(Refusal) as caught:
            rules.attempt_step(state, event, True)
        assert caught.value.message == "attempt is not active"
    else:
        assert rules.attempt_step(state, event, True) == ("" if after == "again" else after)


@pytest.mark.parametrize("state, event", itertools.product(("claimed", "running"), rules.ATTEMPT_EVENTS))
def test_an_attempt_that_was_overtaken_is_not_heard(state: str, event: str) -> None:
    with pytest.raises(Refusal):
        rules.attempt_step(state, event, False)


@pytest.mark.parametrize("event, state", [("complete", "completed"), ("fail", "failed")])
def test_the_same_outcome_told_twice_is_taken_once_even_when_the_message_moved_on(event: str, state: str) -> None:
    assert rules.attempt_step(state, event, False) == ""


@pytest.mark.parametrize("retryable, number, budget, resumable, checkpoint, what", [
    (True, 1, 2, False, False, rules.RETRY), (True, 1, 2, True, True, rules.RETRY), (True, 2, 2, False, False, rules.FINAL),
    (False, 1, 9, False, False, rules.FINAL), (False, 1, 9, True, True, rules.CHECKPOINT),
    (True, 2, 2, True, True, rules.CHECKPOINT),
    (True, 2, 2, True, False, rules.FINAL), (True, 2, 2, False, True, rules.FINAL),
])
def test_the_first_consequence_that_fits_a_failure_holds(retryable: bool, number: int, budget: int, resumable: bool,
                                                         checkpoint: bool,
                                                         what: rules.Failure) -> None:
    assert rules.failure(retryable, number, budget, resumable, checkpoint) is what


@pytest.mark.parametrize("attempts, max_attempts, over", [(4, 1, False), (5, 1, True), (5, 9, False), (9, 9, True), (6, 2, True)])
def test_redelivery_to_silent_workers_ends(attempts: int, max_attempts: int, over: bool) -> None:
    assert rules.exhausted(attempts, max_attempts) is over


@pytest.mark.parametrize("base, number, chance, seconds", [
    (0, 5, 0.5, 0.0), (10, 1, 0.5, 10.0), (10, 2, 0.5, 20.0), (10, 3, 0.0, 32.0), (10, 3, 1.0, 48.0), (10, 9, 0.5, 300.0),
    (10, 4000, 0.5, 300.0), (-5, 1, 0.5, 0.0)])
def test_retries_wait_longer_each_time_but_never_without_end(base: float, number: int, chance: float, seconds: float) -> None:
    assert rules.backoff_seconds(base, number, chance) == pytest.approx(seconds)


@pytest.mark.parametrize("metadata, number, ref", [
    ({"resume_checkpoint_ref": {"id": "r"}, "latest_checkpoint_ref": {"id": "l"}}, 2, {"id": "r"}),
    ({"latest_checkpoint_ref": {"id": "l"}}, 2, {"id": "l"}), ({"latest_checkpoint_ref": {"id": "l"}}, 1, {}),
    ({"latest_checkpoint_ref": {"id": "l"}, "restart_from_scratch": True}, 2, {}),
    ({"latest_checkpoint_ref": {"id": "l"}, "resumability": {"enabled": False}}, 2, {}), ({}, 2, {}),
])
def test_a_later_attempt_goes_on_from_the_chosen_checkpoint_or_the_latest(metadata: dict, number: int, ref: dict) -> None:
    assert rules.resume_ref({"resumability": {"enabled": True}} | metadata, number) == ref


@pytest.mark.parametrize("profile, hinted", [({}, False), ({"intermittent": True}, True), ({"sleep_capable": True}, True)])
def test_a_device_that_comes_and_goes_says_where_to_go_on(profile: dict, hinted: bool) -> None:
    found = rules.hint(profile | {"device_class": "light"}, True, "artifact-1", "now")
    assert bool(found) is hinted
    if hinted:
        assert found["recommended_action"] == "resume" and found["checkpoint_artifact_id"] == "artifact-1"
        assert rules.hint(profile, False, "", "now")["recommended_action"] == "restart"
