"""Where a node can be reached, and where it looks for others (OCP 0.1 connectivity)."""

from __future__ import annotations

import itertools

import pytest

from ocp_node.mesh.connectivity import rules

CAPTURED = [f"http://192.168.77.{last}:8421" for last in (
    9, 11, 8, 12, 7, 13, 6, 14, 5, 4, 3, 2, 1, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25)]


def test_the_neighbourhood_is_walked_as_captured() -> None:
    assert rules.scan_urls([], [], ["192.168.77.10"], 8421, 24, []) == CAPTURED
    assert rules.scan_urls(["http://127.0.0.1:8499"], [], ["192.168.77.10"], 8421, 24, []) == ["http://127.0.0.1:8499",
                                                                                               *CAPTURED[:23]]


@pytest.mark.parametrize("address, first", [
    ("10.0.0.0", ["10.0.0.1", "10.0.0.2"]), ("10.0.0.255", ["10.0.0.254", "10.0.0.253"]),
    ("10.0.0.16", ["10.0.0.17", "10.0.0.18"]),
    ("10.0.0.15", ["10.0.0.14", "10.0.0.13"]), ("not an address", []), ("::1", []),
])
def test_a_neighbourhood_ends_at_the_edges_of_its_network(address: str, first: list[str]) -> None:
    found = list(rules.neighbours(address))
    assert found[:2] == first and address not in found and len(found) == len(set(found)) <= 254


def test_a_network_has_neither_its_own_nor_its_broadcast_address() -> None:
    found = list(rules.neighbours("192.0.2.200"))
    assert len(found) == 253 and not {"192.0.2.0", "192.0.2.255", "192.0.2.200"} & set(found)


def test_a_scan_never_looks_at_this_node_itself_nor_twice_nor_at_what_is_no_http() -> None:
    found = rules.scan_urls(["http://a:1/", "http://own:1", "wss://b/mesh/stream"], ["http://a:1", "http://192.0.2.2:5"],
                            ["192.0.2.1", "192.0.2.2"], 5, 100, ["http://own:1"])
    assert found[0] == "http://a:1" and len(found) == len(set(found)) == 100
    assert not {"http://own:1", "wss://b/mesh/stream", "http://192.0.2.1:5", "http://192.0.2.2:5"} & set(found)


@pytest.mark.parametrize("host, urls", [
    ("127.0.0.1", []), ("::1", []), ("localhost", []), ("127.9.9.9", []),
    ("0.0.0.0", ["http://192.0.2.1:8421", "http://192.0.2.9:8421"]), ("::", ["http://192.0.2.1:8421", "http://192.0.2.9:8421"]),
    ("192.0.2.9", ["http://192.0.2.9:8421"]), ("2001:db8::1", ["http://[2001:db8::1]:8421"]),
])
def test_who_reaches_the_node_follows_from_where_it_listens(host: str, urls: list[str]) -> None:
    assert rules.lan_urls(host, 8421, "http", ["192.0.2.1", "192.0.2.9"]) == urls
    assert rules.lan_urls(host, 8421, "https", ["192.0.2.1", "192.0.2.9"]) == [url.replace("http:", "https:") for url in urls]


def test_a_wildcard_without_any_address_reaches_nobody() -> None:
    assert rules.lan_urls("0.0.0.0", 8421, "http", []) == []


@pytest.mark.parametrize("host, addresses, word", [
    ("127.0.0.1", ["192.0.2.1"], "OCP_HOST"), ("127.0.0.1", [], "no IPv4 address"), ("0.0.0.0", [], "no IPv4 address"),
    ("0.0.0.0", ["192.0.2.1"], ""), ("192.0.2.1", ["192.0.2.1"], ""),
])
def test_advice_is_given_only_where_something_is_in_the_way(host: str, addresses: list[str], word: str) -> None:
    advice = rules.share_advice(host, addresses)
    assert word in advice and bool(advice) is bool(word)


def test_only_ipv4_addresses_count_as_such() -> None:
    assert rules.ipv4_only(["192.0.2.1", "2001:db8::1", "fe80::1"]) == ["192.0.2.1"]
    assert list(itertools.islice(rules.neighbours("192.0.2.1"), 2)) == ["192.0.2.2", "192.0.2.3"]
