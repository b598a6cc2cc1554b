"""What the app page is told, from what the rooms know: every row of the protocol's tables (OCP 0.1 app status)."""

from __future__ import annotations

from typing import Any

import pytest

from ocp_node.mesh.app import payload, rules
from ocp_node.mesh.app.rules import Facts
from ocp_node.mesh.fitting import fitted, line, size

Members = dict[str, Any]
NODE = {"node_id": "alpha", "display_name": "Alpha", "device_class": "full", "form_factor": "workstation", "compute_ready": True}


def route(peer_id: str, status: str = "reachable", freshness: str = "fresh", error: str = "", **more: Any) -> Members:
    url = f"http://{peer_id}:8421"
    return {"peer_id": peer_id, "display_name": peer_id.title(), "status": status, "freshness": freshness,
            "best_route": url if status == "reachable" else "", "last_reachable_base_url": "", "last_error": error,
            "operator_hint": f"repair {peer_id}" if error else "", "operator_summary": f"{peer_id} in a sentence",
            "failure_count": 0,
            "candidates": [], **more}


def facts(routes: tuple[Members, ...] = (), proof: str = "none", pending: int = 0, lan: bool = False, token: bool = False,
          run: Members | None = None, workers: tuple[Members, ...] = (), there: tuple[Members, ...] = (),
          synced: tuple[Members, ...] = (),
          asked: tuple[str, ...] = ()) -> Facts:
    from ocp_node.mesh.routes.rules import listed
    shown = listed("alpha", list(routes), "")
    reach = {"sharing_mode": "lan" if lan else "local", "share_url": "http://a", "lan_urls": [], "share_advice": ""}
    approvals = [{"id": peer_id, "metadata": {"candidate_peer_id": peer_id}} for peer_id in asked]
    told = {**rules.NO_PROOF, "status": proof}
    return Facts(NODE, reach, shown, rules.readiness(NODE, workers, [(each, list(there)) for each in routes]),
                 rules.artifact_sync(synced), told, rules.approvals(approvals, pending or len(asked)), run or {}, token,
                 len(routes))


GOOD, STALE = route("beta"), route("gamma", freshness="stale")
REFUSED = route("gamma", "unreachable", "failed", "gamma:8421 refused the connection: nothing listens there")
SILENT = route("gamma", "unreachable", "failed", "the peer did not answer in time")
ANOTHER = route("gamma", "unreachable", "failed", "route reached delta, expected gamma")
OTHER_KEY = route("gamma", "unreachable", "failed", "peer public key changed; explicit trust reset required")
BROKEN = route("gamma", "unreachable", "failed", "the answer is not valid JSON")
RUNNING = {"status": "running", "actions": []}


@pytest.mark.parametrize("given, status", [
    ({"run": RUNNING, "proof": "failed"}, "proving"),
    ({"proof": "completed", "routes": (GOOD,)}, "strong"), ({"proof": "completed", "routes": (GOOD,), "pending": 3}, "strong"),
    ({"proof": "completed", "routes": (GOOD, STALE)}, "needs_attention"), ({"proof": "completed"}, "local_only"),
    *[({"proof": word, "routes": (STALE,)}, "proving") for word in ("planned", "queued", "running", "accepted")],
    *[({"proof": word, "routes": (GOOD,)}, "needs_attention") for word in ("failed", "needs_attention", "cancelled")],
    ({"pending": 1}, "needs_attention"), ({"lan": True}, "needs_attention"), ({"lan": True, "token": True}, "ready"),
    ({"routes": (GOOD, REFUSED)}, "needs_attention"), ({}, "local_only"), ({"routes": (GOOD,)}, "ready"),
])
def test_the_state_of_the_setup_is_the_first_that_fits(given: Members, status: str) -> None:
    assert rules.setup_status(facts(**given)) == status == rules.setup(facts(**given))["status"]


@pytest.mark.parametrize("given, code", [
    ({"proof": "failed", "lan": True, "routes": (ANOTHER,)}, "proof_failed"),
    ({"lan": True, "routes": (ANOTHER,)}, "token_missing"),
    ({"routes": (GOOD, REFUSED, ANOTHER)}, "identity_changed"), ({"routes": (OTHER_KEY,)}, "identity_changed"),
    ({"routes": (REFUSED,)}, "firewall_suspected"), ({"routes": (STALE, SILENT)}, "firewall_suspected"),
    ({"routes": (BROKEN,)}, "stale_route"), ({"routes": (STALE,)}, "stale_route"), ({}, "local_only"),
    ({"routes": (GOOD,)}, ""), ({"lan": True, "token": True}, ""),
])
def test_what_stands_in_the_way_is_the_first_that_fits(given: Members, code: str) -> None:
    setup = rules.setup(facts(**given))
    assert rules.blocker_code(facts(**given)) == code == setup["blocker_code"]
    if code:
        assert setup["blocking_issue"] and setup["next_fix"] and setup["operator_summary"].startswith(setup["blocking_issue"])


def test_the_advice_is_that_of_the_route_that_is_in_the_way() -> None:
    other = route("delta", "unreachable", "failed", "route reached x, expected delta")
    assert rules.setup(facts((REFUSED, other)))["next_fix"] == "repair delta"
    assert rules.setup(facts((STALE, REFUSED)))["next_fix"] == "repair gamma"


@pytest.mark.parametrize("given, state", [
    ({"run": RUNNING}, "repairing"), ({"proof": "queued"}, "repairing"), ({"routes": (REFUSED,)}, "needs_attention"),
    ({"routes": (GOOD,), "run": {"status": "completed", "actions": [{"kind": "route_repaired"}]}}, "repaired"),
    ({"routes": (GOOD,), "run": {"status": "completed", "actions": [{"kind": "peer_synced"}]}}, "repaired"),
    ({"routes": (GOOD,), "run": {"status": "completed", "actions": [{"kind": "route_verified"}]}}, "healthy"), ({}, "healthy"),
])
def test_repairs_are_told(given: Members, state: str) -> None:
    given = {**given, "run": {"actions": [], **given["run"]}} if "run" in given else given
    made = facts(**given)
    assert rules.recovery_state(rules.setup_status(made), made) == state


@pytest.mark.parametrize("routes, status", [((), "isolated"), ((REFUSED,), "attention"), ((GOOD, REFUSED), "usable"),
                                            ((GOOD,), "strong")])
def test_the_mesh_has_a_quality(routes: tuple[Members, ...], status: str) -> None:
    told = rules.quality(facts(routes), "x")
    assert (told["status"], told["label"], told["route_count"]) == (status, rules.QUALITY[status], len(routes))


@pytest.mark.parametrize("given, score", [
    ({}, 12 - 5), ({"lan": True, "token": True}, 12 + 5), ({"routes": (GOOD,)}, 70 + 5), ({"routes": (GOOD, REFUSED)}, 35 - 5),
    ({"routes": (GOOD,), "proof": "completed"}, 100), ({"routes": (GOOD,), "proof": "queued"}, 70 + 8),
    ({"routes": (REFUSED,), "proof": "failed"}, 0), ({"routes": (GOOD, GOOD, REFUSED)}, 47 - 5), ({"proof": "failed"}, 0),
])
def test_the_score_is_between_nothing_and_a_hundred(given: Members, score: int) -> None:
    made = facts(**given)
    assert rules.mesh_score(made, rules.setup_status(made)) == score


def test_a_mesh_whose_peers_have_no_listed_route_starts_at_thirty() -> None:
    assert rules.mesh_score(facts()._replace(peers=2), "ready") == 35


# --- who does what ----------------------------------------------------------------------------------------------------

WORKER = {"id": "w", "status": "active", "max_concurrent_jobs": 2, "active_attempts": 1, "capabilities": ["shell"],
          "resources": {"cpu": 1}}
SYNCED = {"id": "a1", "digest": "d", "pinned": True, "artifact_sync": {
    "source_peer_id": "beta", "verification_status": "verified", "synced_at": "2026-01-01T00:00:00Z",
    "remote_auth": {"type": "operator_token", "status": "used", "redacted": True, "token": "s3cret"}}}


@pytest.mark.parametrize("given, peer_id, role", [
    ({}, "", ""), ({"routes": (REFUSED, STALE)}, "gamma", "peer"), ({"routes": (REFUSED, GOOD)}, "beta", "peer"),
    ({"routes": (REFUSED, GOOD), "synced": (SYNCED,)}, "beta", "artifact_source"),
    ({"routes": (route("delta"), GOOD), "there": (WORKER,)}, "delta", "compute"),
    ({"routes": (STALE, GOOD), "there": (WORKER,)}, "beta", "compute"),
])
def test_the_primary_peer_is_the_most_useful_one(given: Members, peer_id: str, role: str) -> None:
    told = rules.primary_peer(facts(**given))
    assert (told.get("peer_id", ""), told.get("role", "")) == (peer_id, role) and set(told) in (set(), {
        "peer_id", "display_name", "role", "status", "route", "summary"})


def test_each_device_has_one_role_and_six_are_told() -> None:
    told = rules.device_roles(facts((route("delta"), GOOD, REFUSED), there=(WORKER,), synced=(SYNCED,),
                                    asked=("gamma", "beta", "zeta")))
    assert [(each["peer_id"], each["role"]) for each in told] == [
        ("alpha", "local_command"), ("delta", "compute"), ("beta", "compute"), ("gamma", "approval_only"),
        ("zeta", "approval_only")]
    many = rules.device_roles(facts(tuple(route(f"p{number}") for number in range(20))))
    assert len(many) == 6 and {each["role"] for each in many[1:]} == {"route_verified"}


def action(kind: str, number: int = 0) -> Members:
    return {"id": f"{number}", "kind": kind, "status": "ok", "summary": f"{kind} {number}", "peer_id": "", "created_at": "t"}


@pytest.mark.parametrize("given, kinds", [
    ({}, ["setup_checked"]), ({"routes": (GOOD,)}, ["route_verified"]), ({"workers": (WORKER,)}, ["worker_ready"]),
    ({"routes": (GOOD,), "workers": (WORKER,), "synced": (SYNCED,), "proof": "completed"},
     ["route_verified", "worker_ready", "artifact_verified", "proof_completed"]),
    ({"routes": (GOOD,), "run": {"status": "partial", "actions": [action("route_verified"), action("fix_needed")]}},
     ["route_verified", "fix_needed"]),
    ({"run": {"status": "partial", "actions": [action("peer_scan", number) for number in range(40)]}}, ["peer_scan"] * 8),
])
def test_the_timeline_has_the_last_pass_and_what_stands_proven_without_it(given: Members, kinds: list[str]) -> None:
    told = rules.timeline(facts(**given))
    assert [each["kind"] for each in told] == kinds and len(told) <= 8
    if len(kinds) == 8:
        assert told[-1]["summary"] == "peer_scan 39"


def test_the_story_is_short_and_says_nothing_twice() -> None:
    for given in ({}, {"routes": (GOOD, REFUSED)}, {"lan": True}, {"proof": "completed", "routes": (GOOD,)}, {"pending": 2}):
        told = rules.setup(facts(**given))["story"]
        assert 0 < len(told) <= 4 and len(set(told)) == len(told) and all(told)


# --- where work can run -----------------------------------------------------------------------------------------------

@pytest.mark.parametrize("workers, there, routes, status, ready", [
    ((), (), (), "needs_worker", 0), ((WORKER,), (), (), "ready", 1), (({**WORKER, "status": "stale"},), (), (), "needs_worker",
                                                                       0),
    ((), (WORKER,), (GOOD,), "ready", 1), ((), ({**WORKER, "status": "busy"},), (GOOD,), "needs_worker", 0),
    ((), (WORKER,), (STALE,), "needs_worker", 0), ((), (WORKER,), (REFUSED,), "needs_worker", 0),
    (({**WORKER, "status": "ready"},), (WORKER,), (GOOD, route("delta", freshness="aging")), "ready", 3),
])
def test_work_runs_where_a_ready_worker_is_at_the_end_of_a_proven_route(workers: Any, there: Any, routes: Any, status: str,
                                                                        ready: int) -> None:
    told = facts(routes, workers=workers, there=there).readiness
    assert told["status"] == status and sum(target["status"] == "ready" for target in told["targets"]) == ready
    assert told["targets"][0]["role"] == "local" and told["local"]["worker_count"] == len(workers)


def test_a_device_that_takes_no_work_and_knows_nobody_is_isolated() -> None:
    assert rules.readiness({**NODE, "compute_ready": False}, [], [])["status"] == "isolated"
    assert rules.readiness({**NODE, "compute_ready": False}, [], [(GOOD, [])])["status"] == "needs_worker"


@pytest.mark.parametrize("claimed", [
    {}, {"id": 5, "status": ["active"]}, {"id": "x" * 500, "status": "active", "max_concurrent_jobs": "many",
                                          "active_attempts": -3},
    {"id": "w", "status": "active", "max_concurrent_jobs": 10**30, "capabilities": "shell", "resources": [1]},
    {"id": "w\n", "status": "ready", "capabilities": [1, None, "ok"], "resources": {"cpu": "x" * 9000, "y" * 90: 1}},
])
def test_what_a_peer_claims_of_its_workers_is_made_small(claimed: Members) -> None:
    told = facts((GOOD,), there=(claimed,)).readiness
    assert size(told) < 2_500
    for worker in told["worker_capacity"]:
        assert worker["available_slots"] >= 0 and "\n" not in worker["worker_id"] and len(worker["worker_id"]) <= 128


def test_free_slots_are_those_nobody_uses() -> None:
    (worker,) = facts(workers=(WORKER,)).readiness["worker_capacity"]
    assert (worker["worker_id"], worker["max_concurrent_jobs"], worker["available_slots"]) == ("w", 2, 1)


# --- artifacts, proof, approvals --------------------------------------------------------------------------------------

@pytest.mark.parametrize("synced, status, verified", [
    ((), "none", 0), (({"id": "x", "digest": "d"},), "none", 0), ((SYNCED,), "verified", 1),
    ((SYNCED, {**SYNCED, "artifact_sync": {"verification_status": "digest_mismatch"}}), "attention", 1),
])
def test_replicated_artifacts_are_verified_or_need_attention(synced: Any, status: str, verified: int) -> None:
    told = rules.artifact_sync(synced)
    assert (told["status"], told["verified_count"]) == (status, verified) and len(told["items"]) <= 5
    assert "s3cret" not in str(told)


@pytest.mark.parametrize("missions, status", [
    ([], "none"), ([{"metadata": {}}], "none"), ([{"id": "m", "status": "running", "metadata": {"test_mission": True}}],
                                                 "running"),
    ([{"metadata": {}}, {"id": "m", "status": "completed", "title": "T", "metadata": {"test_mission": True},
                         "result_ref": {"id": "a", "digest": "d", "deep": {}}}], "completed"),
])
def test_the_latest_proof_is_the_newest_test_mission(missions: list[Members], status: str) -> None:
    told = rules.latest_proof(missions)
    assert told["status"] == status
    if status == "completed":
        assert (told["artifact_id"], told["digest"], told["result_ref"], told["summary"]) == ("a", "d",
                                                                                              {"id": "a", "digest": "d"},
                                                                                              "T is completed.")


def test_advice_is_given_at_most_five_times_and_each_once() -> None:
    assert rules.next_actions(["a", "b", "a", "c", "d", "e"], facts()) == ["a", "b", "c", "d", "e"]
    assert rules.next_actions(["a"], facts(proof="failed"))[0].startswith("Activate the mesh again")


# --- what is kept of a status -----------------------------------------------------------------------------------------

@pytest.mark.parametrize("given, kept", [
    ({"operator_token": "x", "token": "", "client_secret": 5, "Authorization": ["a"]},
     {"operator_token": "[redacted]", "token": "", "client_secret": "[redacted]", "Authorization": "[redacted]"}),
    ({"token_status": "configured", "a": [{"secret_ref": "s"}]}, {"token_status": "configured",
                                                                  "a": [{"secret_ref": "[redacted]"}]}),
    ("http://h/app#ocp_operator_token=abc%20d&x=1", "http://h/app#ocp_operator_token=[redacted]&x=1"),
    ("see OCP_OPERATOR_TOKEN=abc def", "see OCP_OPERATOR_TOKEN=[redacted] def"),
    ({"a": 1, "b": None, "c": True}, {"a": 1, "b": None, "c": True}),
])
def test_secrets_are_taken_out_by_their_names_and_by_their_form(given: Any, kept: Any) -> None:
    assert payload.scrubbed(given) == kept


def test_a_document_gives_up_its_parts_one_after_the_other_until_it_fits() -> None:
    whole = {"a": "x" * 100, "b": "y" * 100, "c": 1}
    drop = [lambda document: {**document, "a": ""}, lambda document: {**document, "b": ""}]
    assert fitted(whole, 1_000, drop) == whole
    assert fitted(whole, 150, drop) == {**whole, "a": ""} and fitted(whole, 10, drop) == {"a": "", "b": "", "c": 1}
    assert size({"ü": "ü"}) == len('{"\\u00fc":"\\u00fc"}') and line("a\nb\x1bc", 4) == "a b " and line(None, 5) == ""
