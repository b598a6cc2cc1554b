"""A node takes another key: by its operator's order alone, once, whatever happens meanwhile; all of it uses that key then."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest

from ocp_node.base.clock import SetClock
from ocp_node.base.errors import Unusable
from ocp_node.base.ids import Ids
from ocp_node.base.log import Log
from ocp_node.crypto import documents, envelopes, grants, node_did, successions
from ocp_node.crypto import identity as identities
from ocp_node.http.lanes import gather
from ocp_node.mesh.identity import rules
from tests.support.artifacts import store
from tests.support.node import FROM_LAN, Answer, TrialNode
from tests.support.peer import TrialPeer
from tests.support.replies import fits

Members = dict[str, Any]
TOKEN = "the-operator-token-of-this-node"
AS_OPERATOR = {"X-OCP-Operator-Token": TOKEN}


def rotate(node: TrialNode, headers: dict[str, str] | None = None, **body: str) -> Answer:
    return node.post("/mesh/identity/rotate", body, headers)


def shown(node: TrialNode) -> Members:
    answer = node.get("/mesh/identity")
    assert answer.status == 200, answer
    return fits("mesh.identity.show", answer.json)


def key(node: TrialNode) -> str:
    return str(node.get("/mesh/manifest").json["organism_card"]["public_key"])


def rotations(node: TrialNode) -> list[Members]:
    return [event["payload"] for event in node.get("/mesh/stream?limit=500").json["events"]
            if event["event_type"] == "mesh.identity.rotated"]


def secrets(folder: Path) -> set[str]:
    """Every private key that stands in the folder of the identity."""
    return {json.loads(path.read_bytes())["private_key"] for path in (folder / "identity").glob("identity.json*")}


# --- the route

def test_a_fresh_node_shows_its_key_and_no_successions(tmp_path: Path) -> None:
    with TrialNode(tmp_path) as node:
        told = shown(node)
        assert (told["node_id"], told["display_name"], told["public_key"]) == ("trial-node", "Trial", key(node))
        assert node_did.public_key(told["did"]).hex() == told["public_key"] and told["successions"] == []
        assert told["fingerprint"] == node.post("/mesh/invitations", {}).json["fingerprint"]


def test_a_rotation_gives_a_key_that_the_former_one_vouches_for(tmp_path: Path) -> None:
    with TrialNode(tmp_path) as node:
        before = shown(node)
        done = fits("mesh.identity.rotate", rotate(node, reason="once a year").json)
        assert (done["node_id"], done["previous_public_key"]) == ("trial-node", before["public_key"])
        assert done["public_key"] != before["public_key"] and done["did"] != before["did"]
        assert documents.verify_succession(done["succession"])
        after = shown(node)
        assert after["node_succession"] == done["node_succession"] and before["node_succession"] is None
        assert (after["public_key"], after["did"]) == (done["public_key"], done["did"])
        assert after["successions"] == [done["succession"]]
        assert after["fingerprint"] != before["fingerprint"] and key(node) == done["public_key"]
        assert rotations(node) == [{"node_id": "trial-node", "public_key": done["public_key"],
                                    "previous_public_key": before["public_key"], "reason": "once a year",
                                    "rotated_at": done["succession"]["rotated_at"]}]


def test_each_rotation_lengthens_the_chain_up_to_its_bound(tmp_path: Path) -> None:
    with TrialNode(tmp_path) as node:
        keys = [key(node)] + [rotate(node).json["public_key"] for _ in range(identities.SUCCESSIONS_MAX + 2)]
        chain = shown(node)["successions"]
        assert [link["new_public_key"] for link in chain] == keys[-identities.SUCCESSIONS_MAX:]
        assert successions.follows(chain, "trial-node", keys[2], keys[-1])
        assert not successions.follows(chain, "trial-node", keys[1], keys[-1])
        assert len(rotations(node)) == identities.SUCCESSIONS_MAX + 2


@pytest.mark.parametrize("body, status, text", [
    ({"public_key": 5}, 400, "public_key must be a string"), ({"reason": []}, 400, "reason must be a string"),
    ({"public_key": "0" * 64}, 409, "public_key is not this node's key any more"),
    ({"public_key": "x"}, 409, "public_key is not this node's key any more")])
def test_what_is_no_order_to_leave_the_present_key_changes_nothing(tmp_path: Path, body: Members, status: int, text: str) -> None:
    with TrialNode(tmp_path) as node:
        before = shown(node)
        answer = node.post("/mesh/identity/rotate", body)
        assert (answer.status, answer.json["error"]) == (status, text)
        assert shown(node) == before and rotations(node) == []


def test_a_rotation_needs_no_body(tmp_path: Path) -> None:
    with TrialNode(tmp_path) as node:
        before = key(node)
        assert node.request("POST", "/mesh/identity/rotate").json["previous_public_key"] == before


def test_of_two_rotations_at_once_that_name_the_key_one_happens(tmp_path: Path) -> None:
    with TrialNode(tmp_path) as node:
        before = key(node)
        answers = gather([lambda: rotate(node, public_key=before) for _ in range(6)], 6, 20.0)
        assert sorted(answer.status for answer in answers) == [200, 409, 409, 409, 409, 409]
        refused = next(answer for answer in answers if answer.status == 409)
        assert (refused.json["code"], refused.json["public_key"]) == ("conflict", key(node))
        assert len(rotations(node)) == len(shown(node)["successions"]) == 1


def test_rotations_at_once_that_name_no_key_come_one_after_the_other(tmp_path: Path) -> None:
    with TrialNode(tmp_path) as node:
        before = key(node)
        answers = gather([lambda: rotate(node) for _ in range(4)], 4, 20.0)
        assert [answer.status for answer in answers] == [200] * 4
        chain = shown(node)["successions"]
        assert len(chain) == 4 and successions.follows(chain, "trial-node", before, key(node))


# --- who may

def test_nobody_on_the_network_rotates_the_key_and_everybody_may_see_it(tmp_path: Path) -> None:
    with TrialNode(tmp_path, trusted_proxies=("127.0.0.1",), operator_token=TOKEN) as node:
        before = shown(node)
        for headers in (FROM_LAN, {**FROM_LAN, "X-OCP-Operator-Token": "a-wrong-token-of-this-node"}):
            assert rotate(node, headers, public_key=before["public_key"]).status == 401
        friend = TrialPeer("friend")
        friend.shakes_hands(node, FROM_LAN)
        signed = friend.sign(node, "/mesh/identity/rotate", {"public_key": before["public_key"]})
        assert node.post("/mesh/identity/rotate", signed, FROM_LAN).status == 401
        assert node.get("/mesh/identity", FROM_LAN).json == before == shown(node)
        assert rotate(node, {**FROM_LAN, **AS_OPERATOR}).status == 200


def test_the_key_is_open_like_the_manifest_where_other_reads_want_a_token(tmp_path: Path) -> None:
    with TrialNode(tmp_path, operator_token=TOKEN, read_auth="token") as node:
        assert (node.get("/mesh/identity").status, node.get("/mesh/peers").status) == (200, 401)


def test_a_page_in_the_operators_browser_cannot_rotate_the_key(tmp_path: Path) -> None:
    with TrialNode(tmp_path) as node:
        before = shown(node)
        for headers in ({"Origin": "https://evil.example"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"}):
            assert rotate(node, headers).json["code"] == "origin_not_allowed"
        assert rotate(node, {"Host": "evil.example"}).json["code"] == "host_not_allowed"
        assert node.request("POST", "/mesh/identity/rotate", raw=b"{}", headers={"Content-Type": "text/plain"}).status == 415
        assert shown(node) == before


def test_why_the_key_was_rotated_is_for_operators_alone(tmp_path: Path) -> None:
    with TrialNode(tmp_path, trusted_proxies=("127.0.0.1",)) as node:
        rotate(node, reason="the laptop was stolen")
        assert b"stolen" in node.get("/mesh/stream").body
        told = node.get("/mesh/stream", FROM_LAN)
        assert b"mesh.identity.rotated" in told.body and b"stolen" not in told.body


# --- power cuts

def test_the_new_key_is_there_after_a_restart_and_its_event_once(tmp_path: Path) -> None:
    with TrialNode(tmp_path) as node:
        first, second = rotate(node).json, rotate(node).json
        before, events = shown(node), rotations(node)
    with TrialNode(tmp_path) as node:
        assert shown(node) == before and before["public_key"] == second["public_key"] and key(node) == second["public_key"]
        node.wake()
        assert rotate(node).status == 200
        assert [each["public_key"] for each in rotations(node)][:2] == [first["public_key"], second["public_key"]]
        assert rotations(node)[:2] == events and len(rotations(node)) == 3


@pytest.mark.parametrize("count", [1, 3])
def test_a_start_that_finds_a_rotation_without_its_event_records_it(tmp_path: Path, count: int) -> None:
    with TrialNode(tmp_path) as node:
        rotate(node)
        identity, settings = node.core.identity, node.settings
    for _ in range(count):                                 # the file was written, and then the power went
        identity, _ = identities.rotate(Path(settings.identity_dir), identity, Ids(), SetClock())
    for _ in range(2):                                     # the second start finds nothing to do
        with TrialNode(tmp_path) as node:
            assert key(node) == identity.public_key_hex
            found = node.until(lambda node=node: len(rotations(node)) > count and rotations(node), "the missing events")
            assert len(found) == count + 1 and found[-1]["public_key"] == identity.public_key_hex
            assert [each["previous_public_key"] for each in found[1:]] == [each["public_key"] for each in found[:-1]]


def test_a_first_rotation_without_its_event_is_recorded_and_invitations_of_the_former_key_end(tmp_path: Path) -> None:
    with TrialNode(tmp_path) as node:
        invitation = node.post("/mesh/invitations", {}).json["id"]
        identity, settings = node.core.identity, node.settings
    identity, _ = identities.rotate(Path(settings.identity_dir), identity, Ids(), SetClock())
    with TrialNode(tmp_path) as node:
        node.until(lambda: rotations(node), "the missing event")
        assert node.get(f"/mesh/invitations/{invitation}").json["state"] == "expired"


def test_a_file_that_cannot_be_written_leaves_the_key_and_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise Unusable("cannot write /somewhere/identity.json: No space left on device")

    with TrialNode(tmp_path) as node:
        before = shown(node)
        monkeypatch.setattr(identities.files, "replace", full)
        answer = rotate(node)
        assert (answer.status, answer.json["code"]) == (503, "busy") and "somewhere" not in answer.text
        assert shown(node) == before and rotations(node) == []
        monkeypatch.undo()
        assert rotate(node).status == 200 and key(node) != before["public_key"]


def test_a_log_that_cannot_be_written_is_told_of_the_rotation_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with TrialNode(tmp_path) as node:
        before = key(node)
        room = node.rooms["mesh.identity"]

        def broken(*_: object, **__: object) -> None:
            raise OSError(28, "No space left on device")

        with monkeypatch.context() as broke:
            broke.setattr(room, "_record", broken)
            broke.setattr(room, "record_later", lambda: None)
            assert rotate(node, public_key=before).status == 500
        assert rotations(node) == []
        assert node.rooms["mesh.manifest"].document()["organism_card"]["public_key"] == shown(node)["public_key"] != before
        refused = rotate(node, public_key=before)           # the key has changed all the same, and who asks again hears it
        assert (refused.status, refused.json["public_key"]) == (409, shown(node)["public_key"])
        room.record_later()
        (event,) = node.until(lambda: rotations(node), "the event")
        assert event["previous_public_key"] == before and event["public_key"] == key(node)


# --- what else follows from it

def test_no_private_key_stands_in_an_answer_an_event_or_the_log(tmp_path: Path) -> None:
    written = io.StringIO()
    clock = SetClock()
    with TrialNode(tmp_path, clock=clock, log=Log(clock, "debug", written)) as node:
        said = [rotate(node, reason="test").text, rotate(node, public_key="0" * 64).text, node.get("/mesh/identity").text,
                node.get("/mesh/manifest").text, node.get("/mesh/stream?limit=500").text, node.get("/openapi.json").text]
    found = secrets(tmp_path)
    assert len(found) == 2
    for secret in found:
        assert not [text for text in (*said, written.getvalue()) if secret in text]
    database = b"".join(path.read_bytes() for path in tmp_path.glob("ocp.db*"))
    assert not [secret for secret in found if secret.encode() in database or bytes.fromhex(secret) in database]


def test_everything_that_is_signed_later_is_signed_by_the_new_key(tmp_path: Path) -> None:
    with TrialNode(tmp_path, workers=1) as node:
        before = key(node)
        node.post("/mesh/jobs/submit", {"job": {"kind": "agent.echo", "payload": {"a": 1}}})     # built with the old key
        rotate(node)
        now = key(node)
        answer = TrialPeer("friend").post(node, "/mesh/handshake", {"peer_card": TrialPeer("friend").card()}).json
        signed = envelopes.check_shape(answer["response_envelope"], node.clock.time())
        envelopes.check_signature(signed, "/mesh/handshake", now)
        assert answer["manifest"]["organism_card"]["public_key"] == now != before
        assert node.rooms["mesh.jobs"].identity.public_key_hex == now
        assert node.get("/directory").json["node/id"] == node.core.identity.did


def test_grants_of_the_former_key_open_nothing_any_more_and_new_ones_do(tmp_path: Path) -> None:
    with TrialNode(tmp_path, trusted_proxies=("127.0.0.1",)) as node:
        friend = TrialPeer("friend")
        friend.shakes_hands(node)
        artifact = store(node, b"private content", policy={"classification": "private"})["id"]

        def granted() -> Members:
            scope = {"action": "artifact.read", "max_uses": 9}
            return node.post("/mesh/grants", {"subject_peer_id": "friend", "scope": scope}).json["grant"]

        def read(grant: Members) -> int:
            path = f"/mesh/artifacts/{artifact}"
            return node.get(path, {**FROM_LAN, **grants.present(friend.identity, grant, "GET", path, node.clock, Ids())}).status

        old = granted()
        assert read(old) == 200
        rotate(node)
        new = granted()
        assert (read(old), read(new)) == (401, 200)
        friend.rotates()                                  # whoever holds a grant shows it under the key of the day
        assert read(new) == 401
        friend.shakes_hands(node)
        assert read(new) == 200


def test_invitations_of_the_former_key_end(tmp_path: Path) -> None:
    clock = SetClock()
    with TrialNode(tmp_path / "a", clock=clock, node_id="alpha") as alpha, \
            TrialNode(tmp_path / "b", clock=clock, node_id="beta") as beta:
        made = alpha.post("/mesh/invitations", {}).json
        rotate(alpha)
        assert alpha.get(f"/mesh/invitations/{made['id']}").json["state"] == "expired"
        refused = beta.post("/mesh/invitations/join", {"code": made["code"]})
        assert (refused.status, refused.json["code"]) == (401, "identity_mismatch")
        assert alpha.get("/mesh/peers").json["count"] == beta.get("/mesh/peers").json["count"] == 0
        assert beta.post("/mesh/invitations/join", {"code": alpha.post("/mesh/invitations", {}).json["code"]}).status == 200


def test_the_directory_hears_of_the_new_key_at_once(tmp_path: Path) -> None:
    clock = SetClock()
    with TrialNode(tmp_path / "a", clock=clock, node_id="alpha") as alpha, \
            TrialNode(tmp_path / "b", clock=clock, node_id="beta", directory_publish_to=(alpha.url,),
                      directory_endpoint="wss://beta.example/mesh/stream") as beta:
        old = beta.core.identity.did
        beta.until(lambda: alpha.get(f"/adv/{old}").status == 200, "the first advertisement")
        rotate(beta)
        new = beta.core.identity.did
        told = beta.until(lambda: (answer := alpha.get(f"/adv/{new}")).status == 200 and answer.json, "the second advertisement")
        node_did.check_artifact(node_did.public_key(new), node_did.ADVERTISEMENT, told)
        (own,) = beta.get("/succession").json["items"]                   # its own directory names the successor
        assert (own["old_node_id"], own["new_node_id"], own["state"]) == (old, new, "accepted")
        assert beta.rooms["directory.succession"].successor(old) == new
        brought = alpha.post("/succession", shown(beta)["node_succession"])     # another one is told by its own operator
        assert brought.status == 200 and brought.json["state"] == "imported"
        assert brought.json["succession_id"] == own["succession_id"]
        assert old != new and told["endpoints"] == alpha.get(f"/adv/{old}").json["endpoints"]


# --- rules

@pytest.mark.parametrize("recorded, missing", [("", "abc"), ("a", "abc"), ("b", "bc"), ("c", "c"), ("d", ""), ("z", "abc")])
def test_what_the_log_lacks_is_what_comes_after_the_key_it_knows(recorded: str, missing: str) -> None:
    chain = [{"old_public_key": old, "new_public_key": new} for old, new in ("ab", "bc", "cd")]
    assert "".join(link["old_public_key"] for link in rules.unrecorded(chain, recorded)) == missing


def test_a_node_that_never_rotated_lacks_nothing() -> None:
    assert rules.unrecorded((), "") == rules.unrecorded((), "a") == []


@pytest.mark.parametrize("failures, seconds", [(1, 5), (2, 10), (5, 80), (10, 2560), (11, 3600), (5000, 3600)])
def test_the_next_attempt_at_a_peer_is_later_each_time_up_to_an_hour(failures: int, seconds: float) -> None:
    assert rules.delay_seconds(failures) == seconds


@pytest.mark.parametrize("detail, final", [({}, False), ({"peer_status": 401}, False), ({"peer_status": 403}, True),
                                           ({"peer_status": 400}, True), ({"peer_status": 429}, False),
                                           ({"peer_status": 503}, False)])
def test_only_a_peer_that_does_not_want_us_is_given_up(detail: Members, final: bool) -> None:
    assert rules.final(detail) is final
