"""Helpers: which order leads where, what is kept of it, and who is ranked before whom."""

from __future__ import annotations

from typing import Any

import pytest

from ocp_node.base.errors import Refusal
from ocp_node.mesh.helpers import rules
from ocp_node.mesh.helpers.rules import Order
from ocp_node.mesh.scheduler.scoring import Candidate
from tests.support.candidates import GPU, a_peer

NOW, LATER = "2026-11-21T21:13:40Z", "2026-11-21T22:00:00Z"
NEVER = rules.enlistment_of(a_peer())

# (state, action) -> state, as the protocol draws it.
TABLE = {("unenlisted", "enlist"): "enlisted", ("unenlisted", "drain"): "draining", ("unenlisted", "retire"): "unenlisted",
         ("enlisted", "enlist"): "enlisted", ("enlisted", "drain"): "draining", ("enlisted", "retire"): "unenlisted",
         ("draining", "enlist"): "enlisted", ("draining", "drain"): "draining", ("draining", "retire"): "unenlisted"}


def after(*orders: Order) -> dict[str, Any]:
    made = NEVER
    for order in orders:
        made = rules.acted(made, order, NOW)
    return made


@pytest.mark.parametrize("step", TABLE)
def test_every_order_leads_somewhere(step: tuple[str, str]) -> None:
    state, action = step
    assert rules.STEPS[step] == TABLE[step] and len(rules.STEPS) == len(TABLE)
    assert rules.acted({**NEVER, "state": state}, Order(action, "why"), NOW)["state"] == TABLE[step]


def test_an_enlistment_begins_once_and_can_be_changed() -> None:
    first = after(Order("enlist", "why", "auto", "always", "gpu_helper"))
    assert (first["mode"], first["role"], first["source"], first["enlisted_at"]) == ("always", "gpu_helper", "auto", NOW)
    second = rules.acted(first, Order("enlist", "again"), LATER)
    assert (second["mode"], second["role"], second["enlisted_at"], second["last_action_at"]) == ("on_demand", "helper",
                                                                                                 NOW, LATER)


def test_draining_keeps_what_it_was_and_says_why() -> None:
    drained = after(Order("enlist", "a", mode="always", role="relay"), Order("drain", "maintenance"))
    assert (drained["state"], drained["mode"], drained["role"], drained["drain_reason"]) == ("draining", "always", "relay",
                                                                                             "maintenance")
    assert drained["history"][-1] == {"at": NOW, "mode": "always", "state": "draining", "role": "relay",
                                      "reason": "maintenance",
                                      "source": "operator"}
    for order in (Order("enlist", "b"), Order("retire", "b")):
        assert rules.acted(drained, order, LATER)["drain_reason"] == ""


def test_retiring_ends_it() -> None:
    retired = after(Order("enlist", "a"), Order("retire", "b"))
    assert (retired["mode"], retired["role"], retired["enlisted_at"], retired["last_reason"]) == ("idle", "", "", "b")


def test_history_is_bounded() -> None:
    made = after(*(Order("enlist", str(number)) for number in range(30)))
    assert [entry["reason"] for entry in made["history"]] == [str(number) for number in range(10, 30)]
    shown = rules.helper_json(a_peer(enlistment=made))["history"]
    assert [entry["reason"] for entry in shown] == [str(number) for number in range(22, 30)]


@pytest.mark.parametrize("tier, action, enlistment, text", [
    ("public", "enlist", {}, "cannot enlist peer with trust_tier=public"),
    ("blocked", "enlist", {}, "cannot enlist peer with trust_tier=blocked"),
    ("public", "drain", {}, "cannot drain peer with trust_tier=public"),
    ("public", "drain", after(Order("retire", "a")), "cannot drain peer with trust_tier=public"),
    ("public", "drain", after(Order("enlist", "a"), Order("retire", "b")), ""), ("blocked", "drain", after(Order("enlist", "a")), ""),
    ("blocked", "retire", {}, ""), ("market", "enlist", {}, ""), ("trusted", "drain", {}, ""),
])
def test_who_may_be_a_helper(tier: str, action: str, enlistment: dict[str, Any], text: str) -> None:
    peer = a_peer(tier, enlistment=enlistment)
    if not text:
        assert rules.check(peer, Order(action, "")) is peer
        return
    with pytest.raises(Refusal) as caught:
        rules.check(peer, Order(action, ""))
    assert (caught.value.code, caught.value.message) == ("policy_denied", text)


def test_nobody_is_no_helper() -> None:
    with pytest.raises(Refusal) as caught:
        rules.check(None, Order("enlist", ""))
    assert (caught.value.code, caught.value.message) == ("not_found", "peer not found for enlistment")


@pytest.mark.parametrize("action, body, order", [
    ("enlist", {}, Order("enlist", "operator_enlist")), ("drain", {"reason": "r"}, Order("drain", "r")),
    ("drain", {"reason": "r", "drain_reason": "d"}, Order("drain", "d")),
    ("retire", {"source": "s"}, Order("retire", "operator_retire", "s")),
    ("enlist", {"mode": "Burst", "role": "GPU_helper"}, Order("enlist", "operator_enlist", mode="burst", role="gpu_helper")),
    ("enlist", {"mode": "weird", "role": "weird"}, Order("enlist", "operator_enlist", mode="on_demand", role="helper")),
])
def test_an_order_is_read_from_a_body(action: str, body: dict[str, Any], order: Order) -> None:
    assert rules.order_of(action, body) == order


@pytest.mark.parametrize("kept", [None, "x", [], {"state": 7, "history": "no", "mode": None}])
def test_whatever_was_kept_the_helper_has_every_member(kept: Any) -> None:
    assert rules.enlistment_of(a_peer(enlistment=kept)) == NEVER


@pytest.mark.parametrize("enlistment, profile, points, reasons, action", [
    ({}, {}, 40, [], "enlist"), ({"state": "enlisted"}, {}, 120, ["already_enlisted"], "reuse"),
    ({"state": "draining"}, {}, -140, ["draining"], "resume"), ({}, {"compute_profile": GPU}, 100, ["gpu_capable"], "enlist"),
    ({}, {"device_class": "light", "power_profile": "battery"}, -30, ["battery_powered"], "enlist"),
    ({}, {"device_class": "relay"}, 40, [], "enlist"), ({"state": "odd"}, {}, 40, [], "enlist"),
])
def test_what_counts_for_helpers_beside_their_score(enlistment: dict[str, Any], profile: dict[str, Any], points: int,
                                                    reasons: list[str], action: str) -> None:
    peer = a_peer(profile=profile, enlistment=enlistment)
    found = rules.ranked(peer, Candidate("peer", peer.peer_id, 1000, ["r"], {}))
    assert (found["score"], found["raw_placement_score"], found["recommended_action"]) == (1000 + points, 1000, action)
    assert found["reasons"] == ["r", *reasons]


def test_the_best_come_first_and_of_equals_the_first() -> None:
    found = rules.best([{"peer_id": "a", "score": 1}, {"peer_id": "b", "score": 3}, {"peer_id": "c", "score": 3}], 2)
    assert [each["peer_id"] for each in found] == ["b", "c"]
