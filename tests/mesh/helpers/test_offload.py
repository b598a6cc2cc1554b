"""What the offload policy lets the node do, and which preference counts."""

from __future__ import annotations

from typing import Any

import pytest

from ocp_node.base.errors import Refusal
from ocp_node.mesh.device_profile.rules import normalised
from ocp_node.mesh.helpers import offload
from ocp_node.mesh.helpers.offload import Preference

HELP = {"needs_help": True, "pressure": "saturated"}


def policy(**changes: Any) -> dict[str, Any]:
    made: dict[str, Any] = normalised({"offload_policy": {"mode": "auto", **changes}})["offload_policy"]
    return made


def candidate(peer_id: str = "beta", tier: str = "trusted", kind: str = "full", score: int = 1000,
              gpu: bool = False) -> dict[str, Any]:
    return {"peer_id": peer_id, "trust_tier": tier, "device_class": kind, "score": score,
            "compute_profile": {"gpu_capable": gpu},
            "reasons": ["r"]}


def preference(word: str, peer_id: str = "beta", workload: str = "default") -> Preference:
    return Preference(peer_id, workload, word, "operator", {}, "c", "u")


def decide(*candidates: dict[str, Any], prefers: tuple[Preference, ...] = (), battery: bool = False, workload: str = "default",
           **changes: Any) -> offload.Decision:
    return offload.decided(policy(**changes), workload, candidates, {each.peer_id: each for each in prefers},
                           {each["peer_id"]: battery for each in candidates})


# --- is anything to be done at all

@pytest.mark.parametrize("changes, pressure, workload, reason", [
    ({"enabled": False}, HELP, "default", "policy_disabled"),
    ({}, {**HELP, "needs_help": False}, "default", "pressure_does_not_need_help"),
    ({"pressure_threshold": "saturated"}, {**HELP, "pressure": "elevated"}, "default", "pressure_below_threshold"),
    ({"allowed_workload_classes": ["gpu_inference"]}, HELP, "cpu_bound", "workload_not_allowed_by_policy"),
    ({"allowed_workload_classes": ["gpu_inference"]}, HELP, "gpu_inference", ""), ({}, HELP, "default", ""),
    ({"pressure_threshold": "saturated"}, HELP, "default", ""), ({}, {**HELP, "pressure": "elevated"}, "default", ""),
])
def test_nobody_is_looked_for_without_a_reason(changes: dict[str, Any], pressure: dict[str, Any], workload: str,
                                               reason: str) -> None:
    assert offload.nothing_to_do(policy(**changes), pressure, workload) == reason


# --- who may help

@pytest.mark.parametrize("found, prefers, changes, eligible", [
    (candidate(), (), {}, True), (candidate(tier="market"), (), {}, False), (candidate(kind="light"), (), {}, False),
    (candidate(kind="light"), (), {"allowed_device_classes": ["light"], "approval_device_classes": []}, True),
    (candidate(), (preference("deny"),), {}, False), (candidate(), (preference("avoid"),), {}, False),
    (candidate(), (preference("allow"),), {}, True), (candidate(score=99), (), {"min_candidate_score": 100}, False),
    (candidate(score=0), (preference("prefer"),), {"min_candidate_score": 100}, True),
])
def test_who_is_eligible(found: dict[str, Any], prefers: tuple[Preference, ...], changes: dict[str, Any],
                         eligible: bool) -> None:
    made = decide(found, prefers=prefers, **changes)
    assert (len(made.eligible) == 1) is eligible and len(made.candidates) == 1
    assert made.decision == ("auto_enlist" if eligible else "noop") and (eligible or made.reasons == ["no_eligible_helpers"])


@pytest.mark.parametrize("allow, eligible", [(False, 0), (True, 1)])
def test_devices_on_a_battery_are_spared(allow: bool, eligible: int) -> None:
    assert len(decide(candidate(), battery=True, allow_battery_helpers=allow).eligible) == eligible


@pytest.mark.parametrize("word, reasons, score", [
    ("deny", ["r", "preference_deny"], 1000), ("avoid", ["r", "preference_avoid"], 1000),
    ("prefer", ["r", "preference_prefer"], 1120),
    ("allow", ["r"], 1000), ("approval", ["r"], 1000),
])
def test_a_preference_is_shown_with_its_candidate(word: str, reasons: list[str], score: int) -> None:
    (shown,) = decide(candidate(), prefers=(preference(word),)).candidates
    assert (shown["reasons"], shown["score"], shown["offload_preference"]["preference"]) == (reasons, score, word)


# --- what is done about them

def test_the_policy_says_how_far_to_go() -> None:
    assert decide(candidate(), mode="manual")[:3] == ("suggest", "manual", ["manual_mode"])
    assert decide(candidate(), mode="approval")[:3] == ("request_approval", "approval", [])
    assert decide(candidate())[:3] == ("auto_enlist", "auto", ["policy_allows_auto_enlist"])


@pytest.mark.parametrize("found, prefers, workload, changes, reason", [
    (candidate(tier="partner"), (), "default", {}, "trust_tier_requires_approval:partner"),
    (candidate(), (), "default", {"approval_device_classes": ["full"]}, "device_class_requires_approval:full"),
    (candidate(gpu=True), (), "default", {}, "gpu_helper_requires_approval"),
    (candidate(), (), "mixed", {"approval_workload_classes": ["mixed"]}, "workload_requires_approval:mixed"),
    (candidate(), (preference("approval"),), "default", {}, "preference_requires_approval"),
])
def test_some_helpers_need_somebodys_word(found: dict[str, Any], prefers: tuple[Preference, ...], workload: str,
                                          changes: dict[str, Any],
                                          reason: str) -> None:
    made = decide(found, prefers=prefers, workload=workload, **changes)
    assert (made.decision, made.reasons) == ("request_approval", [reason])


@pytest.mark.parametrize("found, changes", [
    (candidate(tier="partner"), {"approval_trust_tiers": []}), (candidate(gpu=True), {"approval_for_gpu_helpers": False})])
def test_what_needs_a_word_can_be_switched_off(found: dict[str, Any], changes: dict[str, Any]) -> None:
    assert decide(found, **changes).decision == "auto_enlist"


def test_reasons_come_from_all_that_may_help_but_only_the_best_are_acted_on() -> None:
    made = decide(candidate("a", score=10), candidate("b", "partner", score=5), candidate("c", "partner", score=20, gpu=True),
                  max_auto_enlist=1)
    assert [each["peer_id"] for each in made.acted_on] == ["c"] and len(made.eligible) == 3
    assert made.reasons == ["trust_tier_requires_approval:partner", "gpu_helper_requires_approval"]


# --- preferences

@pytest.mark.parametrize("word, found", [("preferred_auto", "prefer"), ("Never", "deny"), ("ask", "approval"), ("", "allow"),
                                         (None, "allow"), ("blocked", "deny"), ("avoid", "avoid"), ("manual", "approval")])
def test_a_preference_has_several_names(word: Any, found: str) -> None:
    assert offload.preference_of(word) == found


@pytest.mark.parametrize("word", ["love", "denny", "allowed"])
def test_a_misspelt_preference_is_no_permission(word: str) -> None:
    with pytest.raises(Refusal) as caught:
        offload.preference_of(word)
    assert (caught.value.code, caught.value.message) == ("invalid_request", "unsupported offload preference")


@pytest.mark.parametrize("word, found", [("gpu", "gpu_inference"), ("connectivity_test", "default"), ("", "default"),
                                         (None, "default")])
def test_a_workload_class_has_several_names(word: Any, found: str) -> None:
    assert offload.class_of(word) == found


def test_the_preference_of_the_very_class_counts_then_the_default_then_none() -> None:
    found = [preference("deny", "a", "default"), preference("prefer", "a", "mixed"), preference("avoid", "b", "gpu_training"),
             preference("approval", "c", "default")]
    assert {peer: each.preference for peer, each in offload.chosen(found, "mixed").items()} == {"a": "prefer", "c": "approval"}
    assert {peer: each.preference for peer, each in offload.chosen(found, "default").items()} == {"a": "deny", "c": "approval"}


@pytest.mark.parametrize("action, word, reason", [("enlist", "", ""), ("reuse", "", "already_enlisted"), ("enlist", "deny",
                                                                                                          "preference_deny"),
                                                  ("reuse", "avoid", "preference_avoid"), ("resume", "allow", "")])
def test_who_is_passed_over(action: str, word: str, reason: str) -> None:
    assert offload.refusal(action, preference(word) if word else None) == reason


# --- asking

def test_the_same_situation_has_the_same_name() -> None:
    peers = ["tester-node", "beta-node"]
    assert offload.request_id("alpha-node", peers, "saturated", "default", False) == "autonomy-offload-252ec7f13827560b"
    assert offload.request_id("alpha-node", peers[::-1], "saturated", "default", False) == "autonomy-offload-252ec7f13827560b"
    assert offload.request_id("alpha-node", peers, "elevated", "default", False) != "autonomy-offload-252ec7f13827560b"
