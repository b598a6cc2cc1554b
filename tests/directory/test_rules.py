"""What the directory decides, as tables."""

from __future__ import annotations

import pytest

from ocp_node.base.buckets import Buckets, source_key
from ocp_node.base.clock import SetClock
from ocp_node.base.errors import Refusal
from ocp_node.directory import rules
from ocp_node.directory.artifact import Advertisement
from ocp_node.directory.rules import ClockWatch, Known
from tests.support.adverts import NOON, Signer

A = Signer(1)
EPOCH = "0123456789abcdef"


def submitted(sequence, **more):
    return Advertisement(A.advertisement(sequence, **more))


@pytest.mark.parametrize("sequence, other, how", [
    (16, False, "older"), (17, False, "identical"), (17, True, "different"), (18, False, "newer"), (0, False, "older"),
                                                  (2**63 - 1, False, "newer")])
def test_the_number_alone_decides_what_is_newer(sequence, other, how):
    known = Known(17, submitted(17).digest, 0)
    offered = submitted(sequence, members={"x": 1}) if other else submitted(sequence)
    assert rules.match(offered, known) == how
    assert rules.match(offered, None) == "newer"


def test_a_stale_refusal_has_exactly_the_published_members():
    refusal = rules.stale(submitted(16), Known(17, "d" * 43, 0, held_until_us=10), "older", 5)
    assert refusal.detail == {"node/id": A.node_id, "current/sequence-no": 17, "submitted/sequence-no": 16}
    assert dict(refusal.headers) == {"Adv-Match": "older", "ETag": f'"{"d" * 43}"'}
    assert dict(rules.stale(submitted(16), Known(17, "d" * 43, 0, held_until_us=5), "older", 5).headers) == {"Adv-Match": "older"}


@pytest.mark.parametrize("expires, stored, before, wanted", [
    (100, 0, 0, rules.RETENTION_US), (10**15, 0, 0, 10**15), (100, 50, 10**16, 10**16), (100, 50, 0, 50 + rules.RETENTION_US)])
def test_a_number_is_remembered_until_nothing_older_can_be_replayed(expires, stored, before, wanted):
    assert rules.retain_until_us(expires, stored, Known(1, "", before)) == wanted


@pytest.mark.parametrize("text, highest, wanted", [
    ("", 5, 0), (f"cur:{EPOCH}-0000000000000000", 5, 0), (f"cur:{EPOCH}-0000000000000005", 5, 5),
                                                   (f"cur:{EPOCH}-0000000000000006", 5, None),
    ("cur:ffffffffffffffff-0000000000000001", 5, None), ("cur:01JQNODECUR001", 5, None), (f"cur:{EPOCH}-5", 5, None),
    (f"cur:{EPOCH.upper()}-0000000000000001", 5, None), ("cur:" + "a" * 128, 5, None),
                                                   (f"cur:{EPOCH}-ffffffffffffffff", 5, None)])
def test_a_cursor_goes_on_starts_anew_or_is_none(text, highest, wanted):
    assert rules.cursor_position(text, EPOCH, highest) == wanted


@pytest.mark.parametrize("text", ["42", "abc", " ", "cur:", "cur: ", "cur:a b", "cur:" + "a" * 129, "cur:a\n", "CUR:a", "cur:é",
                                  "cur:a=", "xcur:a"])
def test_what_is_no_cursor_is_refused(text):
    with pytest.raises(Refusal, match="invalid-cursor"):
        rules.cursor_position(text, EPOCH, 5)


@pytest.mark.parametrize("query, since, limit, wait", [
    ("", "", 0, 0), ("since=cur%3Aa&limit=7", "cur:a", 7, 0), ("limit=5000", "", 100, 0), ("limit=007", "", 7, 0),
                                                       ("since=", "", 0, 0),
    ("limit=" + "9" * 6000, "", 100, 0), ("x=1&x=2&&=&%41=b", "", 0, 0), ("wait=20", "", 0, 20), ("wait=1e9&x", None, 0, 0),
                                                       ("wait=99999", "", 0, 300),
    ("wait=0.5", "", 0, 0.5)])
def test_a_query_is_read_exactly(query, since, limit, wait):
    if since is None:
        with pytest.raises(Refusal, match="invalid-query"):
            rules.feed_query(query, 100)
        return
    made = rules.feed_query(query, 100)
    assert (made.since, made.limit, made.wait_seconds) == (since, limit, wait)


@pytest.mark.parametrize("query, reason", [
    ("since=a&since=a", "invalid-cursor"), ("limit=1&limit=1", "invalid-limit"), ("limit=0", "invalid-limit"),
                                           ("limit=000", "invalid-limit"),
    ("limit=-1", "invalid-limit"), ("limit=+1", "invalid-limit"), ("limit=1.0", "invalid-limit"), ("limit=", "invalid-limit"),
                                           ("limit", "invalid-limit"),
    ("limit=%31%", "invalid-query"), ("limit=١", "invalid-limit"), ("since=%ff", "invalid-query"), ("x=%zz", "invalid-query"),
                                           ("wait=-1", "invalid-query"),
    ("wait=1&wait=2", "invalid-query")])
def test_a_query_is_never_guessed_at(query, reason):
    with pytest.raises(Refusal, match=reason):
        rules.feed_query(query, 100)


@pytest.mark.parametrize("header, has", [("", False), ('"a"', True), ('W/"a"', True), ('"b", "a"', True), ("*", True),
                                         ('"b"', False), ("a", False)])
def test_a_reader_names_what_it_has(header, has):
    assert rules.has(header, '"a"') is has


def test_a_reader_keeps_an_artifact_for_30_seconds_at_most():
    assert [rules.max_age(until, 0) for until in (10**9, 29_999_999, 999_999, 0, -5)] == [30, 29, 0, 0, 0]


def test_a_clock_is_trusted_to_forget_after_an_hour_without_a_jump():
    watch = ClockWatch(0, 0)
    assert not watch.settled(60, 60)
    assert watch.settled(3600, 3600)
    assert not watch.settled(10**9, 3660), "set forward by thirty years"
    assert not watch.settled(10**9 + 3599, 3660 + 3599)
    assert watch.settled(10**9 + 3600, 3660 + 3600)
    assert not watch.settled(7320, 7320), "and set back again"
    assert watch.settled(7320 + 3601 + 59, 7320 + 3601), "a clock that is slewed a little is no jump"


def test_a_bucket_gives_its_burst_and_then_its_refill():
    clock = SetClock()
    buckets = Buckets(3, 2, clock.monotonic)
    assert [buckets.take("a") for _ in range(4)] == [0, 0, 0, 0.5]
    assert buckets.wait_seconds("a") == 0.5 and buckets.take("b") == 0
    clock.advance(0.5)
    assert [buckets.take("a") for _ in range(2)] == [0, 0.5]
    clock.jump(10**9)
    assert buckets.take("a") == 0.5, "the wall clock has nothing to do with it"
    clock.advance(10**6)
    assert [bool(buckets.take("a")) for _ in range(4)] == [False, False, False, True]


@pytest.mark.parametrize("burst, per_second", [(0, 1), (5, 0), (0, 0)])
def test_without_a_burst_or_a_refill_there_is_no_limit(burst, per_second):
    buckets = Buckets(burst, per_second, SetClock().monotonic)
    assert not any(buckets.take("a") for _ in range(1000)) and not len(buckets)


def test_buckets_stay_bounded_and_forget_the_fullest():
    clock = SetClock()
    buckets = Buckets(10, 1, clock.monotonic, keys_max=100)
    for number in range(1000):
        for _ in range(3):
            buckets.take(f"key {number}")
        clock.advance(0.01)
        assert len(buckets) <= 100
    assert buckets.wait_seconds("key 999") == 0
    for _ in range(7):
        buckets.take("key 999")
    assert buckets.take("key 999") > 0, "the one used last is remembered"


@pytest.mark.parametrize("address, key", [
    ("192.0.2.1", "192.0.2.1"), ("2001:db8:1:2::1", "20010db800010002"), ("2001:db8:1:2:ffff::9", "20010db800010002"),
                                          ("::ffff:192.0.2.1", "192.0.2.1"),
    ("fe80::1%eth0", "fe80000000000000"), ("not an address:", "not an address:")])
def test_a_source_is_an_address_or_a_64(address, key):
    assert source_key(address) == key


def test_noon_is_the_instant_of_the_published_example():
    assert submitted(1).advertised_us == NOON * 1e6
