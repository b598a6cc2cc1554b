"""Dumps: written, verified, loaded, sent; by functions and by the command line."""

from __future__ import annotations

import io
import json
import sys

import pytest

from ocp_node.base import settings
from ocp_node.base.clock import Clock, SetClock
from ocp_node.base.errors import Unusable
from ocp_node.base.ids import Ids
from ocp_node.base.log import silent
from ocp_node.cli import main
from ocp_node.directory import exchange
from ocp_node.directory.admission import Admission
from ocp_node.directory.rules import Policy
from ocp_node.store.opening import open_store
from tests.support.adverts import NOON, Signer
from tests.support.node import TrialNode
from tests.support.papers import delegation, registration, revocation

A, B, C, ISSUER, PROXY = (Signer(number) for number in range(5))
JSON = {"Content-Type": "application/json"}


class Shelf:
    """A directory on a disk, without a node."""

    def __init__(self, folder, clock=None):
        self.clock = clock or SetClock(NOON)
        self.store = open_store(folder, self.clock, Ids(), silent(), lambda act: act())
        self.admission = Admission(Policy(settings.of(folder)), self.clock, silent(), lambda stored: None)

    def put(self, signer, sequence, **more):
        self.store.writer.run(self.admission.change(self.admission.verified(signer.raw(sequence, self.clock.seconds, **more),
                                                                            signer.node_id), ""))

    def dump(self):
        lines = []
        report = exchange.dump(self.store.reader, self.clock.time(), lines.append)
        assert report.good and report.lines == len(lines)
        return lines

    def load(self, lines, **named):
        return exchange.load(lines, self.store.writer, self.admission, **named)

    def nodes(self):
        with self.store.reader.snapshot() as connection:
            return dict(connection.execute("SELECT node_id, sequence_no FROM adv_current").fetchall())


@pytest.fixture
def shelves(tmp_path):
    made = [Shelf(tmp_path / name) for name in "ab"]
    yield made
    for shelf in made:
        shelf.store.close()


def test_a_dump_fills_another_directory(shelves):
    one, other = shelves
    one.put(A, 1)
    one.put(B, 7)
    one.put(C, 3, lifetime=30)
    other.put(B, 9)
    one.clock.advance(60)
    other.clock.advance(60)
    lines = one.dump()
    assert [json.loads(line)["kind"] for line in lines] == ["header"] + ["advertisement"] * 3 + ["highwater"] * 3 + ["end"]
    assert exchange.verify(lines, one.clock.time()).counts == {"advertisement": 2, "advertisement expired": 1, "highwater": 3}
    report = other.load(lines)
    assert report.good and report.counts == {"advertisement": 1, "stale-sequence": 1, "expired": 1, "highwater left out": 3}
    assert other.nodes() == {A.node_id: 1, B.node_id: 9}
    assert other.load(lines).counts["stale-sequence"] == 2, "loading twice changes nothing"


def test_marks_of_a_trusted_dump_keep_the_past_from_coming_back(shelves):
    one, other = shelves
    one.put(A, 16, lifetime=9000)
    one.put(A, 17, lifetime=30)
    one.clock.advance(60)
    other.clock.advance(60)
    old = [line for line in one.dump() if b'"highwater"' in line or b'"header"' in line or b'"end"' in line]
    other.load(old, trusted=True)
    with pytest.raises(Exception, match="stale-sequence"):
        other.store.writer.run(other.admission.change(other.admission.verified(A.raw(16, NOON, 9000), A.node_id), ""))


def forged(lines, change):
    """The lines with the first advertisement changed."""
    at = next(index for index, line in enumerate(lines) if b'"advertisement","artifact"' in line)
    return [*lines[:at], change(lines[at]), *lines[at + 1:]]


@pytest.mark.parametrize("change, reason", [
    (lambda line: line.replace(b"node.example", b"evil.example"), "invalid-signature"),
    (lambda line: line.replace(b'"sequence/no":1', b'"sequence/no":2'), "invalid-signature"),
    (lambda line: line.replace(b'"sequence/no":1', b'"sequence/no":-1'), "/sequence~1no integer-range"),
    (lambda line: line[:-20] + b"\n", "no strict JSON object"), (lambda line: b'{"kind":"x"}\n', "an unknown kind of line"),
    (lambda line: b'{"kind":"advertisement"}\n', " type"), (lambda line: b"\xff\n", "no strict JSON object")])
def test_a_dump_that_is_not_true_is_told_by_its_line(shelves, change, reason):
    one, other = shelves
    one.put(A, 1)
    one.put(B, 1)
    lines = forged(one.dump(), change)
    for report in (exchange.verify(lines, NOON), other.load(lines)):
        assert not report.good and report.problems == [(2, reason)]
    assert other.nodes() == {B.node_id: 1}


def test_a_dump_that_was_cut_off_or_mended_is_not_whole(shelves):
    one, _ = shelves
    one.put(A, 1)
    one.put(B, 1)
    lines = one.dump()
    assert not exchange.verify(lines[:-1], NOON).whole
    assert exchange.verify(lines[:2] + lines[3:], NOON).problems[0][1] == "the dump lost or gained lines"
    assert exchange.verify([*lines, lines[1]], NOON).problems[0][1] == "something follows the end"
    with pytest.raises(Unusable):
        exchange.verify([b'{"kind":"header","format":"other","version":1}\n'], NOON)


def test_revocations_and_delegations_travel_too(tmp_path, shelves):
    node = TrialNode(tmp_path / "node", clock=SetClock(NOON))
    try:
        body = registration(A, ISSUER, "offer-catalog", "role/offer-catalog")
        node.request("PUT", f"/cap/{A.node_id}/offer-catalog", raw=json.dumps(body).encode(), headers=JSON)
        node.request("POST", "/revoke", raw=json.dumps(revocation(ISSUER, body["passport"])).encode(), headers=JSON)
        lent = delegation(ISSUER, PROXY)
        node.request("PUT", f"/key/{lent['delegation_id']}", raw=json.dumps(lent).encode(), headers=JSON)
        lines = []
        exchange.dump(node.core.reader, NOON, lines.append)
    finally:
        node.stop()
    assert exchange.verify(lines, NOON).counts == {"delegation": 1, "revocation": 1}
    _, other = shelves
    assert other.load(lines).counts == {"delegation": 1, "revocation": 1}
    assert other.load(lines).counts == {"already-known": 2}


# --- the command line -------------------------------------------------------------------------------------------------

@pytest.fixture
def command(tmp_path, capsys, monkeypatch):
    def run(*words, data="node", stdin=b""):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        code = main(["directory", *words, "--data-dir", str(tmp_path / data)], {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path)})
        out = capsys.readouterr()
        return code, out.out, out.err
    return run


def test_the_command_line_dumps_verifies_and_loads(tmp_path, command):
    with TrialNode(tmp_path / "node", clock=Clock()) as node:
        node.request("PUT", A.path, raw=A.raw(1, node.clock.time()), headers=JSON)
        file = str(tmp_path / "nodes.jsonl")
        code, out, _ = command("export", file)
        assert code == 0 and "1  advertisement" in out, "while the node runs"
        code, out, err = command("import", file)
        assert code == 1 and "already uses" in err
        assert command("verify", file, "--json")[0] == 0
        code, out, _ = command("export", "-", "--from", node.url)
        assert code == 0 and '"kind":"advertisement"' in out
        code, shown, _ = command("status", "--url", node.url, "--json")
        assert code == 0 and json.loads(shown)["live"] == 1 and json.loads(shown)["running"] is True
    code, out, _ = command("import", file, "--json", data="other")
    assert code == 0 and json.loads(out)["counts"]["advertisement"] == 1
    code, out, _ = command("status", "--json", "--port", "9", data="other")
    assert code == 0 and json.loads(out)["live"] == 1 and json.loads(out)["running"] is False
    code, _, err = command("status", "--port", "9", data="nowhere")
    assert code == 1 and "no database" in err
    (tmp_path / "bad.jsonl").write_text((tmp_path / "nodes.jsonl").read_text().replace("node.example", "evil.example"))
    code, _, err = command("verify", str(tmp_path / "bad.jsonl"))
    assert code == 1 and "line 2: invalid-signature" in err
    assert command("verify", str(tmp_path / "none"))[0] == 1 and command("frobnicate")[0] == 2


def test_the_status_of_a_node_with_a_token_says_what_only_its_operator_may_see(tmp_path, command):
    (tmp_path / "token").write_text("a-token-of-the-operator\n")
    with TrialNode(tmp_path / "node", clock=Clock(), operator_token="a-token-of-the-operator") as node:
        told = [json.loads(command("status", "--url", node.url, "--json", *more)[1])
                for more in ((), ("--token-file", str(tmp_path / "token")))]
    assert "lan" not in told[0] and told[1]["lan"] == {"state": "off"} and "figures" in told[1]


def test_a_dump_is_published_at_another_directory_as_fast_as_it_wants(tmp_path, shelves, command):
    one, _ = shelves
    one.clock.seconds = Clock().time()
    for number in range(6):
        one.put(Signer(number), 1)
    (tmp_path / "nodes.jsonl").write_bytes(b"".join(one.dump()))
    with TrialNode(tmp_path / "node", clock=Clock(), directory_source_writes_burst=4,
                   directory_source_writes_per_second=10) as node:
        code, out, _ = command("import", str(tmp_path / "nodes.jsonl"), "--to", node.url, "--json")
        assert code == 0 and json.loads(out)["counts"] == {"advertisement": 6, "highwater left out": 6}
        code, out, _ = command("import", str(tmp_path / "nodes.jsonl"), "--to", "http://127.0.0.1:9")
        assert code == 4


def test_limits_are_for_everyone_and_the_rest_for_the_operator(tmp_path):
    from tests.support.node import FROM_LAN
    with TrialNode(tmp_path / "node", clock=SetClock(NOON), trusted_proxies=["127.0.0.1"],
                   directory_upstreams=["http://127.0.0.1:9"]) as node:
        theirs, ours = node.get("/directory", FROM_LAN), node.get("/directory")
    assert theirs.json["limits"]["max-body-bytes"] == 65536 and theirs.json["node/id"] == node.core.identity.did
    assert set(ours.json) - set(theirs.json) == {"figures", "mirror", "publisher", "federation", "lan"}
    assert ours.json["lan"] == {"state": "off"}
    assert ours.json["mirror"][0]["url"] == "http://127.0.0.1:9" and ours.json["publisher"]["state"] == "not asked to publish"
