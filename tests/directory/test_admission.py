"""Entering the directory, against a database in memory: numbers, buckets, room, retention."""

from __future__ import annotations

import random

import pytest

from ocp_node.base import settings
from ocp_node.base.clock import SetClock
from ocp_node.base.errors import Refusal
from ocp_node.base.ids import Ids
from ocp_node.base.log import silent
from ocp_node.directory import artifact, rules, table
from ocp_node.directory.admission import Admission
from ocp_node.directory.feed import read_page
from ocp_node.directory.rules import Policy
from ocp_node.store import migrate
from tests.support.adverts import NOON, Signer
from tests.support.store import Heard

A, B, C = Signer(1), Signer(2), Signer(3)
US = 1_000_000


class Desk:
    """An admission, its database and its clock."""

    def __init__(self, tmp_path, log=None, **named):
        self.clock = SetClock(NOON)
        self.connection = migrate.memory(self.clock, Ids())
        self.admission = Admission(Policy(settings.of(tmp_path, **named)), self.clock, log or silent(), lambda stored: None)

    def put(self, signer, sequence, source="192.0.2.1", **more):
        raw = signer.raw(sequence, more.pop("at", self.clock.seconds), **more)
        submitted = self.admission.verified(raw, signer.node_id)
        return self.admission.change(submitted, source)(self.connection)

    def refusal(self, *arguments, **named):
        with pytest.raises(Refusal) as caught:
            self.put(*arguments, **named)
        return caught.value

    def fetch(self, signer):
        return table.fetch(self.connection, signer.node_id, self.admission.now_us())

    def page(self, position=0, limit=100, bytes_max=2**20):
        return read_page(self.connection, position, limit, bytes_max, self.admission.now_us())


@pytest.fixture
def desk(tmp_path):
    return Desk(tmp_path)


def test_the_first_is_created_the_next_replaces_and_gaps_are_fine(desk):
    assert desk.put(A, 0).created
    assert not desk.put(A, 5).created
    assert desk.put(A, 2**63 - 1).position == 3
    assert desk.fetch(A).sequence_no == 2**63 - 1
    assert table.state(desk.connection)[2:] == (3, 1, 1)


@pytest.mark.parametrize("sequence, members, how", [(6, {}, "older"), (7, {}, "identical"), (7, {"x": 1}, "different")])
def test_what_is_not_newer_changes_nothing_and_is_told_why(desk, sequence, members, how):
    desk.put(A, 7)
    before = desk.fetch(A), table.state(desk.connection)
    refusal = desk.refusal(A, sequence, members=members)
    assert refusal.code == "stale-sequence" and dict(refusal.headers)["Adv-Match"] == how
    assert (desk.fetch(A), table.state(desk.connection)) == before


def test_two_artifacts_under_one_number_are_logged(tmp_path):
    log = Heard()
    desk = Desk(tmp_path, log)
    desk.put(A, 7)
    desk.refusal(A, 7, members={"x": 1})
    assert log.events() == ["advertisement/equivocation"] and desk.admission.equivocations == 1


def test_an_expired_artifact_cannot_be_followed_by_an_older_one(desk):
    desk.put(A, 16, lifetime=86_400)
    desk.put(A, 17, lifetime=600)
    desk.clock.advance(3600)
    assert desk.fetch(A) is None
    refusal = desk.refusal(A, 16, at=NOON, lifetime=86_400)
    assert refusal.code == "stale-sequence" and refusal.detail["current/sequence-no"] == 17
    assert "ETag" not in dict(refusal.headers)


def test_the_number_outlives_the_sweep_as_long_as_anything_can_be_replayed(desk):
    desk.put(A, 16, lifetime=30 * 86_400)
    desk.put(A, 17, lifetime=600)
    desk.clock.advance(4 * 86_400)
    assert table.sweep(desk.connection, desk.admission.now_us()) == 1, "the artifact goes after three days"
    assert desk.refusal(A, 16, at=NOON, lifetime=30 * 86_400).detail["current/sequence-no"] == 17
    assert dict(desk.refusal(A, 17, at=NOON, lifetime=30 * 86_400, members={"x": 1}).headers)["Adv-Match"] == "different"
    desk.clock.advance(27 * 86_400)
    assert table.sweep(desk.connection, desk.admission.now_us()) == 1
    assert desk.refusal(A, 16, at=NOON, lifetime=30 * 86_400).code == "expired"
    assert table.state(desk.connection)[2:] == (2, 0, 0)
    assert desk.put(A, 1).created


def test_the_directory_holds_less_long_than_the_signer_asked_for(tmp_path):
    desk = Desk(tmp_path, directory_hold_seconds=100)
    desk.put(A, 1, lifetime=10**6)
    desk.put(B, 1, lifetime=50)
    desk.clock.advance(99)
    assert desk.fetch(A) and not desk.fetch(B)
    desk.clock.advance(1)
    assert not desk.fetch(A)
    assert dict(desk.refusal(A, 1, at=NOON, lifetime=10**6).headers)["Adv-Match"] == "identical"


def test_a_copy_of_what_is_stored_may_be_welcome_if_the_operator_says_so(tmp_path):
    desk = Desk(tmp_path, directory_equal_identical="ok")
    first = desk.put(A, 1, at=NOON)
    desk.clock.advance(5)
    again = desk.put(A, 1, at=NOON)
    assert (again.stored_us, again.created, again.position) == (first.stored_us, False, 0)
    assert desk.refusal(A, 1, members={"x": 1}).code == "stale-sequence"
    assert table.state(desk.connection).position == 1


def test_a_stranger_cannot_use_up_a_publishers_share(tmp_path):
    desk = Desk(tmp_path, directory_publisher_writes_burst=3, directory_publisher_writes_per_second=1)
    desk.put(A, 10)
    for number in range(1000):
        assert desk.refusal(A, 9 if number % 2 else 10, source="203.0.113.9", at=NOON).code == "stale-sequence"
    desk.put(A, 11)
    desk.put(A, 12)
    limited = desk.refusal(A, 13)
    assert limited.code == "publisher-rate-limit" and dict(limited.headers) == {"Retry-After": "1"}
    desk.put(B, 1)
    desk.clock.advance(1)
    desk.put(A, 13)


def test_new_nodes_are_charged_to_their_source_only(tmp_path):
    desk = Desk(tmp_path, directory_new_nodes_burst=2, directory_new_nodes_per_second=0.1)
    desk.put(A, 1)
    desk.put(B, 1)
    assert desk.refusal(C, 1).code == "identity-rate-limit"
    desk.put(A, 2)
    desk.put(C, 1, source="192.0.2.2")
    desk.put(Signer(4), 1, source="")


def test_a_full_directory_still_lets_its_nodes_replace(tmp_path):
    desk = Desk(tmp_path, directory_max_nodes=20)
    for number in range(20):
        desk.put(Signer(number), 1, lifetime=600)
    full = desk.refusal(Signer(20), 1)
    assert full.code == "directory-full" and dict(full.headers) == {"Retry-After": "60"}
    desk.put(Signer(3), 2, lifetime=6000)
    desk.clock.advance(700)
    for number in range(20, 39):
        desk.put(Signer(number), 1)
    assert desk.refusal(Signer(39), 1).code == "directory-full", "19 new ones and the one that was renewed"


def test_a_mirror_leaves_room_for_nodes_that_come_themselves(tmp_path):
    desk = Desk(tmp_path, directory_max_nodes=20)
    for number in range(18):
        desk.put(Signer(number), 1, source="")
    assert desk.refusal(Signer(18), 1, source="").code == "directory-full"
    desk.put(Signer(18), 1)


def test_numbers_of_nodes_that_are_gone_are_bounded_too(tmp_path):
    desk = Desk(tmp_path, directory_max_nodes=2, directory_hold_seconds=1)
    for number in range(32):
        desk.put(Signer(number), 1, lifetime=10**6)
        desk.clock.advance(2)
    assert desk.refusal(Signer(40), 1).code == "directory-full"
    desk.put(Signer(5), 2)


@pytest.mark.parametrize("named, reason", [
    ({"directory_blocked_nodes": [A.node_id]}, "policy-denied"), ({"directory_federations": ["fed:x"]}, "policy-denied"),
    ({"directory_federations": ["fed:y"]}, ""), ({}, "")])
def test_local_policy_is_asked_after_the_signature(tmp_path, named, reason):
    desk = Desk(tmp_path, **named)
    members = {"federation/id": "fed:y"}
    if not reason:
        desk.put(A, 1, members=members)
        return
    assert desk.refusal(A, 1, members=members).code == reason
    forged = artifact.of({**A.advertisement(1, members=members), "advertisement/id": "forged"}, desk.admission.policy.shape)
    with pytest.raises(Refusal, match="invalid-signature"):
        desk.admission.checked(forged)


def test_a_page_ends_by_count_by_bytes_and_after_expired_rows(desk):
    for number in range(6):
        desk.put(Signer(number), 1, lifetime=60 if number in (1, 4, 5) else 600)
    whole = desk.page()
    assert ([at for at, _ in whole.items], whole.next) == ([1, 2, 3, 4, 5, 6], 6)
    assert (desk.page(limit=2).next, desk.page(2, limit=2).next) == (2, 4)
    size = len(whole.items[0][1])
    assert [at for at, _ in desk.page(bytes_max=2 * size).items] == [1, 2]
    assert [at for at, _ in desk.page(bytes_max=1).items] == [1], "one artifact always fits"
    desk.clock.advance(60)
    page = desk.page()
    assert ([at for at, _ in page.items], page.next) == ([1, 3, 4], 6), "expired rows at the end are passed"
    assert desk.page(6).next == 6


def test_a_long_run_of_expired_rows_is_passed_in_steps(desk, monkeypatch):
    monkeypatch.setattr("ocp_node.directory.feed.ROWS_MAX", 3)
    for number in range(8):
        desk.put(Signer(number), 1, lifetime=60 if number < 7 else 600)
    desk.clock.advance(60)
    steps, position = [], 0
    while not steps or steps[-1].next != position:
        position = steps[-1].next if steps else 0
        steps.append(desk.page(position))
    assert [step.next for step in steps] == [3, 6, 8, 8]
    assert [len(step.items) for step in steps] == [0, 0, 1, 0]


def test_positions_never_repeat_not_even_after_the_newest_was_swept(desk):
    desk.put(A, 1)
    desk.put(B, 1)
    cursor = desk.page().next
    desk.clock.advance(10 * 86_400)
    assert table.sweep(desk.connection, desk.admission.now_us()) == 4
    desk.put(C, 1)
    assert [at for at, _ in desk.page(cursor).items] == [3]


def test_any_order_of_arrival_ends_in_the_same_state(tmp_path):
    chance = random.Random(3)
    nodes = [Signer(number) for number in range(4)]
    offers = [(node, sequence) for node in nodes for sequence in range(12)]
    for _ in range(6):
        desk = Desk(tmp_path)
        chance.shuffle(offers)
        created = {node.node_id: 0 for node in nodes}
        for node, sequence in offers:
            try:
                created[node.node_id] += desk.put(node, sequence, at=NOON).created
            except Refusal as refusal:
                assert refusal.code == "stale-sequence"
        assert set(created.values()) == {1}
        assert [desk.fetch(node).sequence_no for node in nodes] == [11] * 4


def test_a_clock_that_went_back_hides_nothing_that_is_still_valid(desk):
    desk.put(A, 1)
    desk.clock.jump(-3600)
    assert desk.fetch(A)
    assert desk.refusal(B, 1, at=NOON).code == "not-yet-valid"
    desk.put(B, 1)
    desk.clock.jump(10**8)
    assert desk.fetch(A) is None and desk.refusal(A, 2, at=NOON).code == "expired"
    desk.clock.jump(3600 - 10**8)
    assert desk.fetch(A) is not None, "nothing was swept by the wrong clock"


def test_the_mirror_share_is_a_part_of_the_whole():
    assert 0 < rules.MIRROR_SHARE < 1
