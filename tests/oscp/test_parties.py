"""Parties between what was seen and what is: duties decide inside the change, never on what they saw before."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ocp_node.oscp.calls import rules as calls
from ocp_node.oscp.handshake import rules as handshakes
from ocp_node.oscp.parties import table
from ocp_node.oscp.parties.records import Party
from ocp_node.oscp.parties.rules import CONNECT_SECONDS, TOKEN_A_SECONDS
from tests.support.node import TrialNode

ADMIN = "/oscp/admin/v1/peers"


@pytest.fixture()
def node(tmp_path: Path) -> Iterator[TrialNode]:
    with TrialNode(tmp_path) as running:
        yield running


def invited(node: TrialNode, name: str = "flexible") -> Party:
    made = node.post(ADMIN, {"local_role": "cp", "peer_role": "fp", "name": name})
    assert made.status == 201, made
    return node.rooms["oscp.parties"].by_id[made.json["id"]]


def put(node: TrialNode, party: Party, **members: Any) -> Party:
    parties = node.rooms["oscp.parties"]
    return node.core.writer.run(lambda connection: parties.put(connection, party._replace(**members)))


def stored(node: TrialNode, party: Party) -> Party | None:
    with node.core.reader.snapshot() as connection:
        return table.party(connection, party.id)


def seen_before(node: TrialNode, party: Party) -> None:
    """Memory shows the party as it was: the change that it will follow is on its way."""
    node.on_loop(lambda: node.rooms["oscp.parties"].by_id.__setitem__(party.id, party))


def test_an_invitation_fails_when_its_token_has_ended(node: TrialNode) -> None:
    party = invited(node)
    node.rooms["oscp.parties"].sweep()
    assert stored(node, party).state == "INVITED"
    node.clock.advance(TOKEN_A_SECONDS + 1)
    node.rooms["oscp.parties"].sweep()
    assert stored(node, party).state == "FAILED" and node.get(f"{ADMIN}/{party.id}").json["state"] == "FAILED"


def test_an_invitation_that_is_being_taken_while_the_sweep_looks_is_not_undone(node: TrialNode) -> None:
    parties, party = node.rooms["oscp.parties"], invited(node)

    def taken(connection: Any) -> Party:
        parties.void(connection, party.id)
        return parties.put(connection, party._replace(state="CONNECTING", base_url="http://a.example/oscp/fp/2.0", connecting_since=node.clock.time()))

    after = node.core.writer.run(taken)
    seen_before(node, party)
    parties.sweep()
    assert stored(node, party) == after


def test_a_register_that_was_repeated_while_the_old_one_ran_out_is_not_undone(node: TrialNode) -> None:
    party = put(node, invited(node), state="CONNECTING", connecting_since=node.clock.time())
    node.clock.advance(CONNECT_SECONDS + 1)
    again = put(node, party, connecting_since=node.clock.time())
    seen_before(node, party)
    node.rooms["oscp.registration"].expire()
    assert stored(node, party) == again
    node.clock.advance(CONNECT_SECONDS)
    seen_before(node, again)
    node.rooms["oscp.registration"].expire()
    assert (stored(node, party).state, stored(node, party).last_error) == ("FAILED", "no reply within 60 seconds")


def test_a_handshake_that_has_begun_meanwhile_is_not_begun_twice(node: TrialNode) -> None:
    party = put(node, invited(node), state="REGISTERED", base_url="http://127.0.0.1:9/oscp/fp/2.0")
    node.rooms["oscp.handshake"].step()
    begun = stored(node, party)
    assert begun.handshakes == 1
    seen_before(node, party)
    node.rooms["oscp.handshake"].step()
    assert stored(node, party).handshakes == 1


@pytest.mark.parametrize("state, duty, step", [("REGISTERED", "oscp.handshake", "step"), ("REGISTERED", "oscp.heartbeat", "step"),
                                               ("CONNECTING", "oscp.registration", "expire"), ("INVITED", "oscp.parties", "sweep")])
def test_a_party_that_was_forgotten_while_a_duty_looked_is_left_alone(node: TrialNode, state: str, duty: str, step: str) -> None:
    party = put(node, invited(node), state=state, liveness="ONLINE", offline_at=1.0, connecting_since=1.0)
    assert node.request("DELETE", f"{ADMIN}/{party.id}").status == 204
    seen_before(node, party)
    node.clock.advance(TOKEN_A_SECONDS)
    getattr(node.rooms[duty], step)()
    assert stored(node, party) is None


def test_a_handshake_that_was_refused_is_not_repeated_until_the_operator_wants_it(node: TrialNode) -> None:
    party = put(node, invited(node), state="REGISTERED", base_url="http://127.0.0.1:9/oscp/fp/2.0")
    room, waiting = node.rooms["oscp.handshake"], node.rooms["oscp.calls"]
    node.core.writer.run(lambda connection: room.start(connection, party))
    begun = stored(node, party)
    call = calls.Call(0, party.id, "handshake", "POST", "{}", begun.handshake_id, "", 0.0, 0.0, 0)
    node.core.writer.run(lambda connection: waiting._settle(connection, call, calls.Verdict("drop"), 400))
    node.clock.advance(10_000)
    room.step()
    assert stored(node, party).handshakes == handshakes.REFUSED and stored(node, party).handshake_id == begun.handshake_id
    assert node.post(f"{ADMIN}/{party.id}/handshake").status == 202
    assert stored(node, party).handshakes == 1


def test_who_was_away_is_asked_for_its_agreement_again(node: TrialNode) -> None:
    now = node.clock.time()
    party = put(node, invited(node), state="REGISTERED", base_url="http://127.0.0.1:9/oscp/fp/2.0", liveness="OFFLINE", offline_at=now + 100.0,
                online_after=now + 2.0, handshake_id="before", handshake_at=now, acknowledged_at=now, our_interval=30.0)
    node.clock.advance(3)
    node.rooms["oscp.heartbeat"].step()
    node.until(lambda: stored(node, party).liveness == "ONLINE", "the return")
    node.rooms["oscp.handshake"].step()
    node.until(lambda: stored(node, party).handshake_id not in ("", "before"), "the new handshake")


def test_a_full_queue_of_one_party_holds_up_no_other_partys_handshake(node: TrialNode) -> None:
    full, other = (put(node, invited(node, name), base_url="http://127.0.0.1:9/oscp/fp/2.0") for name in ("full", "other"))

    def fill(connection: Any) -> None:
        for number in range(calls.WAITING_MAX):
            node.rooms["oscp.calls"].add(connection, full, "heartbeat", {}, request_id=f"r-{number}", delay=1e6)

    node.core.writer.run(fill)
    for party in (full, other):
        put(node, party, state="REGISTERED")
    node.rooms["oscp.handshake"].step()
    assert (stored(node, full).handshakes, stored(node, other).handshakes) == (0, 1)


def test_a_registration_that_a_crash_cut_off_has_failed_but_one_that_was_begun_anew_has_not(tmp_path: Path) -> None:
    with TrialNode(tmp_path) as node:
        cut, anew = (put(node, invited(node, name), state="CONNECTING", connecting_since=node.clock.time()) for name in ("cut", "anew"))
        clock = node.clock
    with TrialNode(tmp_path, clock=clock, before=lambda made: made.store.writer.run(
            lambda connection: made.rooms["oscp.parties"].put(connection, anew._replace(our_register_id="second")))) as node:
        node.until(lambda: stored(node, cut).state == "FAILED", "the end of what was cut off")
        assert stored(node, cut).last_error == "the node was stopped while registering"
        assert (stored(node, anew).state, stored(node, anew).our_register_id) == ("CONNECTING", "second")
