"""A node publishes itself: numbers before words, back-off, directories that lie."""

from __future__ import annotations

import json

import pytest

from ocp_node.base.clock import SetClock
from ocp_node.directory.publisher import rules
from ocp_node.http.calls import Answer, OutboundError
from tests.support.adverts import NOON
from tests.support.node import TrialNode

ENDPOINT = "wss://node.example/mesh/stream"
STORED = (201, {}, {})


class Directories:
    """Other machines as the test wants them: by host, a list of answers; the last of them for ever."""

    def __init__(self):
        self.answers, self.puts, self.before = {}, [], lambda: None

    def request(self, method, url, *, body=None, **named):
        self.before()
        host = url.split("/")[2]
        if method == "PUT":
            self.puts.append((host, json.loads(body)))
        script = self.answers[host]
        status, headers, document = script.pop(0) if len(script) > 1 else script[0]
        if not status:
            raise OutboundError("timeout", "no answer in time")
        return Answer(status, headers, json.dumps(document).encode(), url, "")

    def close(self):
        pass

    def numbers(self, host="one"):
        return [artifact["sequence/no"] for to, artifact in self.puts if to == host]


@pytest.fixture
def make(tmp_path):
    nodes = []

    def made(*hosts, **settings):
        from ocp_node.directory.publisher.room import Publisher
        node = TrialNode(tmp_path / "node", **{"clock": SetClock(NOON), "directory_endpoint": ENDPOINT, **settings})
        others = node.core._made["outbound"] = Directories()
        others.answers = {host: [STORED] for host in hosts}
        publisher = Publisher(node.core, node.rooms["directory"].admission)
        from ocp_node.directory.publisher.room import Target
        publisher.targets = [Target(f"http://{host}") for host in hosts]
        nodes.append(node)
        return node, publisher, others

    yield made
    for node in nodes:
        node.stop()


def conflict(node, number, match="different"):
    return (409, {"adv-match": match}, {"status": "conflict", "reason": "stale-sequence", "node/id": node.core.identity.did,
                                       "current/sequence-no": number, "submitted/sequence-no": 0})


def test_a_node_publishes_renews_and_is_found_in_its_own_directory(make):
    node, publisher, others = make("one", "two")
    wait = publisher.step()
    assert publisher.state == "published" and 540 <= wait <= 660, "a third of half an hour, a tenth more or less"
    assert others.numbers("one") == others.numbers("two") == [int(NOON)]
    mine = node.get(f"/adv/{node.core.identity.did}").json
    assert mine == others.puts[0][1] and mine["endpoints"][0]["endpoint/url"] == ENDPOINT
    publisher.step()
    assert others.numbers() == [int(NOON)], "nothing to say yet"
    node.clock.advance(wait)
    publisher.step()
    assert others.numbers() == [int(NOON), int(NOON + wait)]
    assert node.get(f"/adv/{node.core.identity.did}").json["sequence/no"] == int(NOON + wait)


def test_a_real_directory_takes_it(make, tmp_path):
    settings = {"clock": SetClock(NOON), "directory_endpoint": ENDPOINT}
    with TrialNode(tmp_path / "directory", clock=SetClock(NOON)) as directory, TrialNode(
            tmp_path / "publishing", directory_publish_to=[directory.url], **settings) as node:
        did = node.core.identity.did
        directory.until(lambda: directory.get(f"/adv/{did}").status == 200, "the advertisement")
        node.until(lambda: node.rooms["directory.publisher"].state == "published")
        node.advance(700)
        directory.clock.advance(700)
        directory.until(lambda: directory.get(f"/adv/{did}").json["sequence/no"] == NOON + 700, "the renewal")


def test_the_number_is_on_the_disk_before_it_is_sent(make):
    node, publisher, others = make("one")
    stored = []

    def look():
        with node.core.reader.snapshot() as connection:
            stored.append(connection.execute("SELECT sequence_no FROM adv_own").fetchone()[0])

    others.before = look
    publisher.step()
    assert stored == others.numbers()


def test_after_a_crash_no_number_is_used_twice(make):
    node, publisher, others = make("one")
    others.answers["one"] = [(0, {}, {})]
    publisher.step()
    again = type(publisher)(node.core, node.rooms["directory"].admission)
    again.targets, others.answers["one"] = publisher.targets, [STORED]
    again.targets[0].due = 0.0
    again.step()
    assert others.numbers() == [int(NOON), int(NOON) + 1]


def test_without_tls_nothing_is_published_and_the_status_says_why(make):
    node, publisher, others = make("one", directory_endpoint="")
    publisher.step()
    assert "wss" in publisher.state and publisher.state.startswith("not published") and others.puts == []
    node.core.base_url = "https://192.168.1.5:8421"
    publisher.step()
    assert others.puts[0][1]["endpoints"][0]["endpoint/url"] == "wss://192.168.1.5:8421/mesh/stream"
    node.core.base_url = "https://192.168.1.6:8421"
    publisher.step()
    told = others.puts[1][1]["endpoints"][0]["endpoint/url"]
    assert told == "wss://192.168.1.6:8421/mesh/stream", "a new address is told at once"


def test_a_lost_answer_is_recognised(make):
    node, publisher, others = make("one")
    others.answers["one"] = [(0, {}, {}), conflict(node, int(NOON), "identical")]
    publisher.step()
    node.clock.advance(10)
    publisher.step()
    assert publisher.state == "published" and others.numbers() == [int(NOON)] * 2


def test_a_higher_number_of_ours_is_gone_on_from(make):
    node, publisher, others = make("one", "two")
    others.answers["one"] = [conflict(node, int(NOON) + 500), STORED]
    publisher.step()
    publisher.step()
    assert others.numbers("one") == [int(NOON), int(NOON) + 501] and others.numbers("two")[-1] == int(NOON) + 501
    assert publisher.state == "published"


@pytest.mark.parametrize("claim", [2**63 - 1, 2**40, -5, "7", True, None, 2**70])
def test_a_directory_that_lies_about_our_number_cannot_use_it_up(make, claim):
    node, publisher, others = make("liar", "honest")
    others.answers["liar"] = [conflict(node, claim)]
    for _ in range(30):
        node.clock.advance(600)
        publisher.step()
    assert others.numbers("honest")[-1] <= NOON + 40_000
    assert publisher.targets[0].error and publisher.targets[1].error == ""


def test_a_dead_directory_is_left_alone_for_longer_and_the_others_do_not_wait(make):
    node, publisher, others = make("dead", "alive")
    others.answers["dead"] = [(0, {}, {})]
    attempts = []
    for _ in range(200):
        publisher.step()
        attempts.append(len(others.numbers("dead")))
        node.clock.advance(2.5)
    assert others.numbers("alive") == [int(NOON)]
    assert 5 <= attempts[-1] <= 9, "in 500 seconds"


@pytest.mark.parametrize("answer, low, high", [
    ((429, {"retry-after": "120"}, {"reason": "source-rate-limit"}), 120, 120),
                                               ((503, {"retry-after": "9999999"}, {}), 660, 3600),
    ((403, {}, {"reason": "not-yet-valid"}), 2.5, 5), ((500, {}, {}), 2.5, 5), ((404, {}, []), 2.5, 5),
                                               ((200, {}, {}), 540, 660)])
def test_an_answer_says_when_to_come_back(make, answer, low, high):
    node, publisher, others = make("one")
    others.answers["one"] = [answer]
    publisher.step()
    due = publisher.targets[0].due - node.clock.monotonic()
    wait = due if answer[0] != 200 else publisher.step()
    assert low <= wait <= high
    assert publisher.targets[0].error == (answer[2].get("reason", f"status {answer[0]}") if isinstance(answer[2], dict)
                                          else f"status {answer[0]}"
                                          ) or answer[0] == 200


def test_a_clock_that_was_set_gets_a_new_advertisement(make):
    node, publisher, others = make("one")
    publisher.step()
    node.clock.jump(86_400)
    publisher.step()
    node.clock.jump(-86_400)
    publisher.step()
    assert others.numbers() == [int(NOON), int(NOON) + 86_400, int(NOON) + 86_401], "numbers rise although time fell"
    assert others.puts[-1][1]["advertised-at"] == "2026-03-23T18:08:00Z"


@pytest.mark.parametrize("configured, base, wanted", [
    ("", "http://a:1", ""), ("", "https://a:1", "wss://a:1/mesh/stream"), ("", "https://[::1]:8421",
                                                                           "wss://[::1]:8421/mesh/stream"),
    ("wss://b/x", "http://a", "wss://b/x"), ("wss://u@b/x", "https://a", ""), ("", "", ""),
                                                      ("", "https://a/prefix/", "wss://a/prefix/mesh/stream")])
def test_only_a_wss_url_is_an_endpoint(configured, base, wanted):
    assert rules.endpoint(configured, base) == wanted
