"""Who may call: a source address alone proves nothing."""

import pytest

from ocp_node.base.clock import SetClock
from ocp_node.base.errors import Refusal
from ocp_node.contract.route import Auth, Lane, Route
from ocp_node.http.gates import Gates, host_name, is_loopback
from ocp_node.http.wire import parse_head

OPERATOR = Route("mesh.leases.acquire", "POST", "/mesh/lease/acquire", "A trial.", Auth.OPERATOR, Lane.WRITE, "acquire")
PUBLIC = Route("mesh.peers.list_peers", "GET", "/mesh/peers", "A trial.", Auth.PUBLIC, Lane.INLINE, "list_peers")


def head(headers="", method="POST", host="127.0.0.1:8421"):
    return parse_head(f"{method} /mesh/lease/acquire HTTP/1.1\r\nHost: {host}\r\n{headers}".removesuffix("\r\n").encode("latin-1"))


def admitted(gates, address, text, route=OPERATOR):
    asked = head(text) if isinstance(text, str) else text
    caller = gates.caller(address, False, asked)
    try:
        gates.check_host(asked)
        gates.check_origin(asked)
        gates.admit(route, asked, caller)
    except Refusal as refusal:
        return refusal.code
    return "admitted"


TOKEN = "X-OCP-Operator-Token: right\r\n"
CASES = [
    ("no token, loopback", "", "127.0.0.1", "", "admitted"),
    ("no token, mapped loopback", "", "::ffff:127.0.0.1", "", "admitted"),
    ("no token, IPv6 loopback", "", "::1", "", "admitted"),
    ("no token, LAN", "", "192.168.77.10", "", "unauthorized"),
    ("no token, unknown address", "", "", "", "unauthorized"),
    ("no token, LAN with some token", "", "192.168.77.10", TOKEN, "unauthorized"),
    ("no token, loopback behind a proxy", "", "127.0.0.1", "X-Forwarded-For: 1.2.3.4\r\n", "unauthorized"),
    ("no token, loopback behind a proxy that uses Forwarded", "", "127.0.0.1", "Forwarded: for=1.2.3.4\r\n", "unauthorized"),
    ("no token, a page of another origin", "", "127.0.0.1", "Origin: http://evil.example\r\n", "origin_not_allowed"),
    ("no token, a sandboxed page", "", "127.0.0.1", "Origin: null\r\n", "origin_not_allowed"),
    ("no token, a page of another local port", "", "127.0.0.1", "Origin: http://127.0.0.1:3000\r\n", "origin_not_allowed"),
    ("no token, a cross-site fetch", "", "127.0.0.1", "Sec-Fetch-Site: cross-site\r\n", "origin_not_allowed"),
    ("no token, our own page", "", "127.0.0.1", "Origin: http://127.0.0.1:8421\r\nSec-Fetch-Site: same-origin\r\n", "admitted"),
    ("token, right from the LAN", "right", "192.168.77.10", TOKEN, "admitted"),
    ("token, none from loopback", "right", "127.0.0.1", "", "unauthorized"),
    ("token, wrong first header hides the right one", "right", "127.0.0.1", "X-OCP-Operator-Token: wrong\r\nAuthorization: Bearer right\r\n", "unauthorized"),
    ("token, empty first header falls through", "right", "127.0.0.1", "X-OCP-Operator-Token:\r\nAuthorization: Bearer right\r\n", "admitted"),
    ("token, bearer in any case", "right", "127.0.0.1", "Authorization: bEaReR right\r\n", "admitted"),
    ("token, without a scheme", "right", "127.0.0.1", "Authorization: right\r\n", "admitted"),
    ("token, the control header", "right", "127.0.0.1", "X-OCP-Control-Token:  right \r\n", "admitted"),
    ("token, not ASCII", "right", "127.0.0.1", "X-OCP-Operator-Token: r\xefght\r\n", "unauthorized"),
]


@pytest.mark.parametrize("what, token, address, text, expected", CASES, ids=[case[0] for case in CASES])
def test_the_operator_gate(what, token, address, text, expected):
    assert admitted(Gates(SetClock(), operator_token=token), address, text) == expected


def test_a_rebound_name_is_refused_whatever_is_asked():
    assert admitted(Gates(SetClock()), "127.0.0.1", head(host="evil.example")) == "host_not_allowed"
    assert admitted(Gates(SetClock(), hosts=["node.example:8421"]), "127.0.0.1", head(host="node.example")) == "unauthorized"


def test_guessing_a_token_is_slowed_down_and_forgotten_again():
    clock = SetClock()
    gates = Gates(clock, operator_token="right")
    wrong = "X-OCP-Operator-Token: wrong\r\n"
    assert [admitted(gates, "10.0.0.9", wrong) for _ in range(21)] == ["unauthorized"] * 20 + ["rate_limited"]
    assert admitted(gates, "10.0.0.8", wrong) == "unauthorized"
    assert admitted(gates, "10.0.0.9", TOKEN) == "admitted"
    clock.advance(61)
    assert admitted(gates, "10.0.0.9", wrong) == "unauthorized"


@pytest.mark.parametrize("token, detail", [
    ("right", "set OCP_OPERATOR_TOKEN and send X-OCP-Operator-Token or Authorization Bearer credentials"),
    ("", "raw mesh mutation routes are limited to loopback unless OCP_OPERATOR_TOKEN is configured"),
])
def test_a_refusal_says_what_is_missing_in_the_words_of_the_protocol(token, detail):
    gates, asked = Gates(SetClock(), operator_token=token), head()
    with pytest.raises(Refusal) as refused:
        gates.require_operator(asked, gates.caller("192.168.77.10", False, asked))
    assert refused.value.message == "operator authorization required"
    assert refused.value.detail == {"method": asked.method, "path": asked.path, "client_address": "192.168.77.10", "detail": detail}


def test_reads_can_be_closed_too():
    gates = Gates(SetClock(), operator_token="right", read_auth="token")
    assert admitted(gates, "10.0.0.9", head(method="GET"), PUBLIC) == "unauthorized"
    assert admitted(gates, "10.0.0.9", head(TOKEN, method="GET"), PUBLIC) == "admitted"
    assert not gates.answers_all_alike(PUBLIC)


def test_a_trusted_proxy_names_the_caller_but_cannot_make_it_local():
    gates = Gates(SetClock(), trusted_proxies=["127.0.0.1"])
    asked = head("X-Forwarded-For: 127.0.0.1, 10.9.9.9\r\n")
    caller = gates.caller("127.0.0.1", False, asked)
    assert caller.address == "10.9.9.9" and not caller.loopback and not caller.operator


@pytest.mark.parametrize("said", ["X-Real-IP: 10.9.9.9", "Forwarded: for=10.9.9.9", "Via: 1.1 proxy", "X-Forwarded-For: 127.0.0.1",
                                  "X-Forwarded-For: ::1", "X-Forwarded-For:", "X-Forwarded-For: ,"])
def test_whoever_comes_through_a_trusted_proxy_is_not_local_whatever_it_says_of_it(said):
    gates = Gates(SetClock(), trusted_proxies=["127.0.0.1"])
    caller = gates.caller("127.0.0.1", False, head(f"{said}\r\n"))
    assert not caller.loopback and not caller.operator and not caller.trusted_view
    assert gates.caller("127.0.0.1", False, head()).operator


@pytest.mark.parametrize("host, name", [("localhost:1", "localhost"), ("[::1]:8421", "::1"), ("::1", "::1"), ("A.B", "a.b"), ("", "")])
def test_a_host_value_names_a_host(host, name):
    assert host_name(host) == name


@pytest.mark.parametrize("address, local", [
    ("127.0.0.1", True), ("127.9.9.9", True), ("::1", True), ("::ffff:127.0.0.1", True), ("", False), ("1270.0.0.1", False),
    ("127.0.0.1.example", False), ("127.", False), ("10.0.0.1", False), ("localhost", False)])
def test_only_loopback_addresses_are_loopback(address, local):
    assert is_loopback(address) is local
