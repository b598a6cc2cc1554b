"""What a pass does with each candidate, and what comes of it: the protocol's tables (OCP 0.1 autonomy)."""

from __future__ import annotations

from typing import Any

import pytest

from ocp_node.mesh.autonomy import rules
from ocp_node.mesh.autonomy.rules import Run
from ocp_node.mesh.fitting import size

Members = dict[str, Any]
RUN = Run("id", "r", "assisted", "running", "s", [], {}, {"actor_agent_id": "ui"}, "t", "t")


# tier, class, usable, enlisted, preference, so far, most -> step, kind of action, its status, reason
@pytest.mark.parametrize("given, step", [
    (("trusted", "full", False, True, "", 0, 2), ("skip", "fix_needed", "warning", "route_not_usable")),
    (("trusted", "full", True, True, "", 9, 0), ("keep", "helper_ready", "ok", "")),
    (("trusted", "full", True, False, "", 2, 2), ("skip", "", "ok", "max_enlist_reached")),
    (("partner", "light", True, False, "", 0, 0), ("skip", "", "ok", "max_enlist_reached")),
    (("trusted", "full", True, False, "", 1, 2), ("enlist", "helper_ready", "ok", "")),
    (("partner", "full", True, False, "", 0, 2), ("enlist", "partner_auto_enlisted", "ok", "")),
    (("partner", "light", True, False, "", 0, 2), ("ask", "helper_ready", "approval_required", "")),
    (("partner", "relay", True, False, "", 0, 2), ("ask", "helper_ready", "approval_required", "")),
    (("trusted", "light", True, False, "", 0, 2), ("skip", "fix_needed", "blocked", "not_eligible")),
    (("market", "full", True, False, "", 0, 2), ("skip", "fix_needed", "blocked", "not_eligible")),
    *[(("trusted", "full", True, False, word, 0, 2), ("skip", "", "ok", f"preference_{word}")) for word in ("deny", "avoid")],
    (("trusted", "full", True, False, "approval", 0, 2), ("ask", "helper_ready", "approval_required", "")),
    (("market", "full", True, False, "approval", 0, 2), ("skip", "fix_needed", "blocked", "not_eligible")),
    (("trusted", "full", True, False, "prefer", 0, 2), ("enlist", "helper_ready", "ok", "")),
    (("trusted", "full", True, True, "deny", 0, 2), ("keep", "helper_ready", "ok", "")),
])
def test_who_becomes_a_helper(given: tuple[Any, ...], step: tuple[str, ...]) -> None:
    assert tuple(rules.helper_step(*given)) == step
    assert not step[1] or step[1] in rules.KINDS and step[2] in rules.ACTION_STATUSES


def routes(count: int, healthy: int) -> Members:
    return {"count": count, "healthy": healthy}


# routes, healthy, proof, error of the proof, approvals, late -> status
@pytest.mark.parametrize("count, healthy, proof, error, approvals, late, status", [
    (2, 0, "", "no way", 0, False, "needs_attention"), (2, 0, "", "no way", 5, False, "needs_attention"),
    (2, 2, "completed", "", 1, False, "approval_requested"), (0, 0, "", "", 1, False, "approval_requested"),
    *[(2, 2, word, "", 0, False, "completed") for word in ("", "completed", "ok", "planned", "accepted")],
    *[(2, 2, word, "", 0, False, "partial") for word in ("failed", "needs_attention", "running", "queued", "cancelled")],
    (2, 2, "", "not available", 0, False, "partial"), (2, 1, "completed", "", 0, False, "partial"),
    (2, 0, "completed", "", 0, False, "needs_attention"), (0, 0, "", "", 0, False, "needs_attention"),
    (2, 2, "completed", "", 0, True, "partial"), (2, 0, "", "", 0, True, "needs_attention"),
])
def test_what_comes_of_a_pass(count: int, healthy: int, proof: str, error: str, approvals: int, late: bool, status: str) -> None:
    told, summary = rules.outcome(routes(count, healthy), proof, error, approvals, late)
    assert told == status and summary.endswith(".") and error in summary


@pytest.mark.parametrize("status, kind", [
    ("completed", "proof_completed"), ("ok", "proof_completed"), ("planned", "proof_started"), ("queued", "proof_started"),
    ("running", "proof_started"), ("accepted", "proof_started"), ("failed", "fix_needed"), ("attention", "fix_needed"),
    ("", "fix_needed"),
])
def test_how_a_proof_is_told(status: str, kind: str) -> None:
    assert rules.proof_action(status)[0] == kind


@pytest.mark.parametrize("proof, status", [
    ({}, ""), ({"status": "ok"}, "ok"), ({"status": "ok", "mission": {"status": "running"}}, "running"),
    ({"status": "attention", "mission": {"status": "failed"}}, "failed"), ({"status": "ok", "mission": {}}, "ok"),
])
def test_a_proof_stands_as_its_mission_does(proof: Members, status: str) -> None:
    assert rules.proof_status(proof) == status


@pytest.mark.parametrize("text, mends", [
    ("timed out", True), ("Timeout", True), ("<urlopen error>", True),
    ("127.0.0.1:9 refused the connection: nothing listens there", True),
    ("there is no way to x", True), ("the name x has no address", True), ("the peer did not answer in time", True),
    ("policy_denied", False), ("", False), ("mesh test mission requires at least one reachable device", False),
])
def test_only_a_failure_between_the_nodes_is_worth_a_second_try(text: str, mends: bool) -> None:
    assert rules.failed_on_the_way(text) is mends


@pytest.mark.parametrize("count, healthy, needs_help, advice, pending, found", [
    (0, 0, False, "", 0, ["Scan"]), (2, 1, False, "", 0, ["Check"]), (2, 2, False, "", 0, []), (2, 2, True, "", 0, ["This node"]),
    (2, 1, True, "share", 3, ["Decide", "Check", "This node", "share"]),
    (0, 0, True, "share", 1, ["Decide", "Scan", "This node", "share"]),
])
def test_advice_follows_from_the_state(count: int, healthy: int, needs_help: bool, advice: str, pending: int,
                                       found: list[str]) -> None:
    told = rules.recommended(routes(count, healthy), {"needs_help": needs_help}, advice, pending)
    assert len(told) == len(found) <= 4 and all(text.startswith(word) for text, word in zip(told, found))


# --- what is kept -----------------------------------------------------------------------------------------------------

def test_an_action_is_bounded() -> None:
    made = rules.action("i", "fix_needed", "warning", "ü\n" * 500, "t", "beta", {"a": "x" * 5_000})
    assert len(made["summary"]) == rules.SUMMARY_LENGTH_MAX and "\n" not in made["summary"] and made["details"] == {}
    with pytest.raises(AssertionError):
        rules.action("i", "new_kind", "ok", "s", "t")


def test_a_run_keeps_its_first_actions() -> None:
    actions: list[Members] = []
    for number in range(300):
        actions = rules.with_action(actions, rules.action(f"{number}", "route_verified", "ok", "ü" * 240, "t", "ü" * 128,
                                                          {"n": number}))
    assert len(actions) <= rules.ACTIONS_KEPT and size(actions) <= rules.ACTIONS_BYTES_MAX and actions[0]["id"] == "0"


def test_a_result_gives_up_its_longest_lists_first() -> None:
    probe = {"status": "ok", "peer_id": "ü" * 128, "checked": 1, "reachable": 1, "best_route": "http://" + "x" * 900,
             "operator_hint": ""}
    whole = {"route_probes": [probe] * 50, "routes": {"routes": [{"best_route": "x" * 2_000}] * 20},
             "helpers": rules.no_helpers("ok"),
             "scan": {"results": [{"base_url": "x" * 500}] * 20}, "connect": {"results": []}, "proof": {"status": "ok"}}
    kept = rules.result_kept(whole)
    assert size(kept) <= rules.RESULT_BYTES_MAX and kept["helpers"] == whole["helpers"] and kept["proof"] == {"status": "ok"}
    assert rules.result_kept({"a": 1}) == {"a": 1}
    assert size(rules.result_kept({"helpers": {"x": "y" * 100_000}})) < 100


def test_a_scan_is_kept_without_manifests_and_without_what_did_not_answer() -> None:
    results = [{"base_url": "u", "peer_id": "p", "display_name": "P", "status": "discovered",
                "candidate": {"manifest": {"x": "y" * 9_000}}},
               {"base_url": "v", "status": "error", "candidate": {}}]
    kept = rules.scan_kept({"peer_id": "a", "count": 2, "discovered": 1, "connected": 0, "errors": 1, "results": results,
                            "suggested_urls": ["u", "v"]})
    assert kept["results"] == [{"base_url": "u", "peer_id": "p", "display_name": "P",
                                "status": "discovered"}] and kept["suggested_url_count"] == 2


def test_a_proof_is_kept_in_short() -> None:
    kept = rules.proof_kept({"status": "ok", "proof": {"filename": "f", "deep": {"a": 1}},
                             "mesh": {"peer_count": 2, "target_peer_ids": ["a", "b"]},
                             "mission": {"id": "m", "status": "completed", "title": "T", "jobs": ["x" * 90_000]}})
    assert size(kept) < 600 and kept["mission"]["status"] == "completed" and kept["mesh"]["target_peer_ids"] == ["a", "b"]
    assert rules.proof_kept({"mission": "x", "mesh": None})["mission"]["status"] == ""


def test_a_run_in_short_has_neither_details_nor_result() -> None:
    run = RUN._replace(actions=[rules.action("i", "peer_scan", "ok", "s", "t", "", {"count": 1})], result={"big": "x"})
    told = rules.brief(run)
    assert "result" not in told and "details" not in told["actions"][0] and rules.brief(None) == {}


def test_a_repeated_request_gets_the_parts_of_the_stored_result() -> None:
    run = RUN._replace(status="completed", result={"helpers": {**rules.no_helpers("ok"), "approvals": [{"id": "a"}]},
                                                   "proof": {"status": "ok"}})
    told = rules.answer(run, routes(0, 0), "t", True)
    assert told["deduped"] is True and told["approvals"] == [{"id": "a"}] and told["proof"] == {"status": "ok"}
    assert "deduped" not in rules.answer(RUN, routes(0, 0), "t", False) and rules.answer(RUN, {}, "t",
                                                                                         False)["helpers"]["status"] == "skipped"
