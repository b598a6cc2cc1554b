"""Directories that read each other: through partitions, lies, crashes and clocks."""

from __future__ import annotations

import json
import random

import pytest

from ocp_node.base.clock import SetClock
from ocp_node.directory.mirror import rules
from ocp_node.directory.mirror.rules import BadPage
from ocp_node.http.calls import Answer, OutboundError
from tests.support.adverts import NOON, Signer
from tests.support.node import TrialNode

NODES = [Signer(number) for number in range(8)]
A, B, C = NODES[:3]
JSON = {"Content-Type": "application/json"}


class Wire:
    """Stands in a node's outgoing client: cut, or answered by the test, or carried on to the real one."""

    def __init__(self, node):
        self.cut, self.script, self.asked = False, [], []
        self._real = node.core.outbound
        node.core._made["outbound"] = self

    def request(self, method, url, **named):
        self.asked.append(url)
        if self.cut:
            raise OutboundError("unreachable", "no way there")
        if self.script:
            status, headers, body = self.script.pop(0)
            return Answer(status, headers, body if isinstance(body, bytes) else json.dumps(body).encode(), url, "")
        return self._real.request(method, url, **named)

    def close(self):
        self._real.close()


@pytest.fixture
def make(tmp_path):
    nodes = []

    def made(name, **settings):
        node = TrialNode(tmp_path / name, **{"clock": SetClock(NOON), **settings})
        node.wire = Wire(node)
        nodes.append(node)
        return node

    yield made
    for node in nodes:
        node.stop()


def put(node, signer, sequence, **more):
    answer = node.request("PUT", signer.path, raw=signer.raw(sequence, node.clock.time(), **more), headers=JSON)
    assert answer.status in (200, 201), answer


def reads(node, other):
    """`node` mirrors `other`; its step is taken by the test."""
    from ocp_node.directory.mirror.room import Upstream
    return Upstream(node.core, node.rooms["directory"].admission, other if isinstance(other, str) else other.url, 45.0)


def state(node):
    return {item["node/id"]: (item["sequence/no"], item["signature"]["value"]) for item in node.get("/adv").json["items"]}


def page(*items, cursor="cur:x-1"):
    return (200, {}, {"items": list(items), "next": cursor, "max-items": 100})


def test_a_mirror_follows_what_is_published(make):
    a, b = make("a"), make("b")
    put(a, A, 1)
    put(a, B, 5)
    mirror = reads(b, a)
    assert 40 < mirror.step() < 50
    assert state(a) == state(b)
    put(a, A, 2)
    mirror.step()
    assert state(a) == state(b) and mirror.counts == {"pages": 4, "stored": 3, "known": 0, "refused": 0}
    commits = b.core.writer.commits
    mirror.step()
    assert b.core.writer.commits == commits, "nothing new, nothing written"


def test_two_directories_come_together_after_any_partition(make):
    a, b = make("a"), make("b")
    ab, ba = reads(a, b), reads(b, a)
    chance = random.Random(5)
    sequences = dict.fromkeys(NODES, 0)
    for _ in range(12):
        a.wire.cut, b.wire.cut = chance.random() < 0.4, chance.random() < 0.4
        for _ in range(chance.randrange(12)):
            signer = chance.choice(NODES)
            sequences[signer] += chance.randint(1, 3)
            for node in chance.choice([(a,), (b,), (a, b), (b, a)]):
                node.request("PUT", signer.path, raw=signer.raw(sequences[signer], NOON), headers=JSON)
        for step in chance.choices([ab.step, ba.step], k=3):
            step()
    a.wire.cut = b.wire.cut = False
    for _ in range(2):
        ab.step()
        ba.step()
    assert state(a) == state(b)
    assert {node_id: number for node_id, (number, _) in state(a).items()} == {
        signer.node_id: number for signer, number in sequences.items() if number}
    positions = [node.rooms["directory"].figures()["position"] for node in (a, b)]
    for _ in range(3):
        ab.step()
        ba.step()
    assert [node.rooms["directory"].figures()["position"] for node in (a, b)] == positions, "and they come to rest"


def test_a_ring_of_three_comes_to_rest(make):
    ring = [make(name) for name in "abc"]
    mirrors = [reads(node, ring[(at + 1) % 3]) for at, node in enumerate(ring)]
    for at, signer in enumerate(NODES):
        put(ring[at % 3], signer, at + 1)
    for _ in range(3):
        for mirror in mirrors:
            mirror.step()
    assert state(ring[0]) == state(ring[1]) == state(ring[2]) and len(state(ring[0])) == len(NODES)


def test_a_directory_that_lies_cannot_forge_or_roll_back(make):
    node = make("a")
    put(node, A, 5)
    mirror = reads(node, "http://liar.example")
    true = A.advertisement(9)
    forged = {**true, "endpoints": [{**true["endpoints"][0], "endpoint/url": "wss://evil.example/peer"}]}
    stolen = {**B.advertisement(9), "node/id": A.node_id}
    expired = C.advertisement(1, at=NOON - 9000)
    node.wire.script = [page(forged, stolen, expired, A.advertisement(4), A.advertisement(5), 7, [], {}, None,
                             A.advertisement(5, members={"x": 1})),
                        page(cursor="cur:x-1")]
    before = state(node)
    mirror.step()
    assert state(node) == before
    assert mirror.counts == {"pages": 2, "stored": 0, "known": 2, "refused": 8}
    with node.core.reader.snapshot() as connection:
        from ocp_node.directory.mirror import table
        assert [source for source, _, _ in table.sources(connection, A.node_id)] == ["http://liar.example"]
        assert table.sources(connection, B.node_id) == table.sources(connection, C.node_id) == []


@pytest.mark.parametrize("answer", [
    (200, {}, b"no json"), (200, {}, b'{"items":[],"next":"cur:a","next":"cur:b"}'), (200, {}, []),
                                    (200, {}, {"items": {}, "next": "cur:a"}),
    (200, {}, {"items": []}), (200, {}, {"items": [], "next": ""}), (200, {}, {"items": [], "next": 5}),
                                    (200, {}, {"items": [], "next": "cur: a"}),
    (200, {}, {"items": [], "next": "cur:" + "a" * 200}), (200, {}, {"items": [1] * 1001, "next": "cur:a"}), (404, {}, {}),
                                    (500, {}, b""),
    (301, {"location": "http://other/"}, b""), (410, {}, b"?"), (410, {}, {"next": 7})])
def test_what_is_no_page_is_a_failure_and_moves_nothing(make, answer):
    node = make("a")
    mirror = reads(node, "http://odd.example")
    node.wire.script = [answer]
    assert 2.5 <= mirror.step() <= 5
    assert mirror.failures == 1 and mirror.error and mirror.figures()["cursor"] == ""


def test_a_dead_or_busy_directory_is_left_alone_for_longer_and_longer(make):
    node = make("a")
    mirror = reads(node, "http://dead.example")
    node.wire.cut = True
    waits = [mirror.step() for _ in range(12)]
    assert all(rules.BACK_OFF_SECONDS * 2 ** at * 0.5 <= wait <= rules.BACK_OFF_SECONDS * 2 ** at for at,
               wait in enumerate(waits[:7]))
    assert rules.BACK_OFF_SECONDS_MAX / 2 <= waits[-1] <= rules.BACK_OFF_SECONDS_MAX
    node.wire.cut = False
    node.wire.script = [(429, {"retry-after": "1800"}, {}), (503, {"retry-after": "x"}, {}),
                        (503, {"retry-after": "999999999"}, {}), page()]
    assert mirror.step() == 1800
    assert mirror.step() <= rules.BACK_OFF_SECONDS_MAX
    assert mirror.step() == rules.RETRY_AFTER_SECONDS_MAX
    node.wire.script += [page()]
    assert mirror.step() > 40 and mirror.failures == 0 and not mirror.error


def stand_strangely(url):
    return lambda connection: connection.execute("INSERT OR REPLACE INTO adv_upstream VALUES (?, 'cur:strange', 0, 0)", (url,))


def test_a_reset_and_a_forgotten_cursor_go_on_from_what_is_named(make):
    a, b = make("a"), make("b", directory_unknown_cursor="gone")
    put(a, A, 1)
    put(b, B, 1)
    reader = make("reader")
    mirror = reads(reader, a)
    mirror.step()
    for other, signer in ((a, A), (b, B)):
        mirror.url = other.url
        reader.core.writer.run(stand_strangely(other.url))
        mirror.step()
        assert mirror.failures == 0 and signer.node_id in state(reader)


def test_what_cannot_be_taken_now_is_looked_at_again(make):
    a, b = make("a"), make("b")
    a.clock.advance(600)
    put(a, A, 1, lifetime=20_000)
    mirror = reads(b, a)
    mirror.step()
    assert state(b) == {} and mirror.counts["refused"] == 1, "its clock is ten minutes ahead of ours"
    b.clock.advance(rules.RESCAN_SECONDS - 1)
    mirror.step()
    assert state(b) == {}
    b.clock.advance(1)
    mirror.step()
    assert state(a) == state(b)
    asked = len(b.wire.asked)
    mirror.step()
    assert len(b.wire.asked) == asked + 1, "once is enough"


def test_a_feed_without_end_gets_one_step_at_a_time(make):
    node = make("a")
    mirror = reads(node, "http://endless.example")
    node.wire.script = [page(A.advertisement(1), cursor=f"cur:x-{number}") for number in range(500)]
    mirror.step()
    assert mirror.step() > 40
    assert mirror.counts["pages"] == 2 * rules.PAGES_PER_STEP


def test_a_long_feed_is_read_without_a_pause(make):
    a, b = make("a", directory_page_items=1), make("b")
    for signer in NODES:
        put(a, signer, 1)
    mirror = reads(b, a)
    old, rules.PAGES_PER_STEP = rules.PAGES_PER_STEP, 3
    try:
        assert mirror.step() == 0 and mirror.step() == 0
    finally:
        rules.PAGES_PER_STEP = old
    mirror.step()
    assert len(state(b)) == len(NODES)


def test_the_cursor_is_stored_with_what_it_stands_behind(make):
    a, b = make("a"), make("b")
    put(a, A, 1)

    def spoil(connection):
        connection.execute("CREATE TRIGGER full BEFORE INSERT ON adv_highwater BEGIN SELECT RAISE(ROLLBACK, 'disk full'); END")

    b.core.writer.run(spoil)
    mirror = reads(b, a)
    with pytest.raises(Exception, match="could not be stored"):
        mirror.step()
    assert mirror.figures()["cursor"] == ""
    b.core.writer.run(lambda connection: connection.execute("DROP TRIGGER full"))
    mirror.step()
    assert state(a) == state(b)


def test_configured_directories_are_read_by_tickers_of_their_own(make):
    a, c = make("a"), make("c")
    put(a, A, 1)
    put(c, C, 1)
    b = make("b", directory_upstreams=[a.url + "/", "http://127.0.0.1:9"], directory_read_from=[c.url])
    b.until(lambda: len(state(b)) == 2, "both directories to be read")
    figures = {figure["url"]: figure for figure in b.rooms["directory.mirror"].figures()}
    assert set(figures) == {a.url, c.url, "http://127.0.0.1:9"}


@pytest.mark.parametrize("raw", [b"{}", b"[]", b"", b"{"])
def test_a_batch_needs_items_and_a_cursor(raw):
    with pytest.raises(BadPage):
        rules.batch(raw)


def test_what_is_revoked_there_is_revoked_here_before_it_is_even_registered(make):
    from tests.support.papers import registration, revocation
    issuer, stranger = Signer(20), Signer(21)
    body = registration(A, issuer, "offer-catalog", "role/offer-catalog")
    path = f"/cap/{A.node_id}/offer-catalog"
    a, b = make("a"), make("b")

    def register(node, document):
        return node.request("PUT", path, raw=json.dumps(document).encode(), headers=JSON)

    register(a, body)
    a.request("POST", "/revoke", raw=json.dumps(revocation(issuer, body["passport"])).encode(), headers=JSON)
    from ocp_node.directory.mirror.room import Upstream
    mirror = Upstream(b.core, b.rooms["directory"].admission, a.url, 45.0, lambda: b.rooms["directory.revocations"])
    mirror.step()
    assert b.get("/revocations").json["items"] == a.get("/revocations").json["items"] and mirror.counts["revoked"] == 1
    assert register(b, body).json["reason"] == "revoked"
    mirror.step()
    assert mirror.counts["revoked"] == 1
    liar = Upstream(b.core, b.rooms["directory"].admission, "http://liar.example", 45.0, lambda: b.rooms["directory.revocations"])
    fresh = registration(A, issuer, "offer-catalog", "role/offer-catalog", 2, number=2)
    foreign = {"artifact_family": "capability-passport", "artifact": revocation(stranger, fresh["passport"])}
    forged = {"artifact_family": "capability-passport", "artifact": {**revocation(issuer, fresh["passport"]), "reason": "forged"}}
    b.wire.script = [page(), page(cursor="cur:x-1"), page(foreign, forged, 7, {},
                                                          {"artifact_family": "federation-service-endorsement"}),
                     page(cursor="cur:x-1")]
    liar.step()
    assert register(b, fresh).status == 201, "a revocation counts only against passports of whoever signed it"
    b.wire.script = [page(), page(cursor="cur:x-1"), (404, {}, {})]
    other = Upstream(b.core, b.rooms["directory"].admission, "http://small.example", 45.0,
                     lambda: b.rooms["directory.revocations"])
    assert other.step() > 40 and other.failures == 0, "a directory without a catalogue"
