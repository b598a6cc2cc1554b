"""Whose word on a certificate counts, for which URLs, and until when."""

from __future__ import annotations

from typing import Any

import pytest

from ocp_node.base.errors import Refusal
from ocp_node.mesh.peers import pins
from ocp_node.mesh.peers.peer import CERTIFICATE_PIN, STORED, Members, Peer, made

OURS, OTHER, NEWER = "a" * 64, "b" * 64, "c" * 64
URL, ELSEWHERE = "https://10.0.0.7:8421", "https://10.0.0.9:8421"
TOLD: Members = {CERTIFICATE_PIN: {"sha256": OURS, "by": "peer", "at": 100.0}}
GIVEN: Members = {CERTIFICATE_PIN: {"sha256": OURS, "by": "operator"}}


def peer(metadata: Members, **members: Any) -> Peer:
    usual: Members = dict.fromkeys(STORED, "")
    return made({**usual, "peer_id": "p", "trust_tier": "trusted", "status": "connected", "capability_cards": [], "card": {},
                 "reliability": {}, "remote_execution": None, "metadata": metadata, **members})


def said(certificate: Any = OURS, url: Any = URL, at: float = 100.0) -> pins.Said:
    return pins.said({"peer_card": {"endpoint_url": url}, pins.CERTIFICATE: certificate}, at)


@pytest.mark.parametrize("text", [OURS, OURS.upper(), f"sha256:{OURS}", ":".join(["AA"] * 32), f"  {OURS}\n"])
def test_a_fingerprint_may_look_as_programs_show_it(text: str) -> None:
    assert pins.fingerprint(text) == OURS


@pytest.mark.parametrize("text", ["x", OURS[:-1], OURS + "0", "g" * 64, "sha256:", "  ", "sha1:" + OURS])
def test_what_is_no_fingerprint_is_refused(text: str) -> None:
    with pytest.raises(Refusal) as caught:
        pins.fingerprint(text)
    assert caught.value.code == "invalid_request"


@pytest.mark.parametrize("certificate, port, url, word", [
    (OURS, 8421, URL, OURS), (OURS, 443, "https://node.example", OURS), ("", 8421, URL, ""),
    (OURS, 8421, "http://10.0.0.7:8421", ""),
    (OURS, 8421, "https://node.example", ""), (OURS, 8421, "nonsense", "")])
def test_a_node_speaks_of_its_certificate_for_urls_that_lead_to_its_own_port(certificate: str, port: int, url: str,
                                                                             word: str) -> None:
    assert pins.own(certificate, port, url) == word


@pytest.mark.parametrize("certificate, url, word", [
    (OURS, URL, (OURS, "https")), (None, URL, ("", "https")), (OURS.upper(), URL, ("", "https")), ([OURS], URL, ("", "https")),
    (OURS[:-1], URL, ("", "https")), (OURS, "http://10.0.0.7:8421", ("", "http")), (OURS, "", ("", "")), (OURS, 7, ("", "")),
    (OURS, "https://user@10.0.0.7", ("", ""))])
def test_what_a_handshake_says_is_taken_only_in_its_exact_form_and_for_an_https_url(certificate: Any, url: Any,
                                                                                    word: tuple[str, str]) -> None:
    assert said(certificate, url)[:2] == word


def test_a_body_without_a_card_says_nothing() -> None:
    assert pins.said({pins.CERTIFICATE: OURS}, 1.0).certificate == ""


@pytest.mark.parametrize("before, word, after", [
    ({}, said(), TOLD),
    ({}, said(None), {}),
    (TOLD, said(NEWER, at=101.0), {CERTIFICATE_PIN: {"sha256": NEWER, "by": "peer", "at": 101.0}}),
    (TOLD, said(NEWER, at=99.0), TOLD),                               # signed before the one that stands, come after it
    (TOLD, said(None, at=99.0), TOLD),
    (TOLD, said(None, at=101.0), {}),
    (TOLD, said(OURS, "http://10.0.0.7:8421", 101.0), {}),
    (GIVEN, said(None), GIVEN),
    (GIVEN, said(NEWER), {CERTIFICATE_PIN: {"sha256": NEWER, "by": "peer", "at": 100.0}}),
    (GIVEN, said(OURS, "http://10.0.0.7:8421"), {}),
    (GIVEN, said(OURS, ""), GIVEN)])
def test_what_a_peer_says_takes_the_place_of_what_stood_before(before: Members, word: pins.Said, after: Members) -> None:
    assert pins.heard({"x": 1, **before}, word) == {"x": 1, **after}


def test_what_an_operator_gives_takes_the_place_of_what_the_peer_said() -> None:
    assert pins.given(TOLD, OTHER) == {CERTIFICATE_PIN: {"sha256": OTHER, "by": "operator"}} and pins.given(TOLD, "") == TOLD


@pytest.mark.parametrize("metadata, url, pin", [
    ({}, URL, ""), ({}, "http://10.0.0.7:8421", ""), (TOLD, URL, OURS), (GIVEN, URL, OURS),
    (TOLD, "HTTPS://10.0.0.7:8421/x", OURS), (TOLD, ELSEWHERE, OURS), (GIVEN, "https://node.example", OURS)])
def test_the_pin_judges_every_call_to_its_peer_so_that_no_authority_leads_it_elsewhere(metadata: Members, url: str,
                                                                                       pin: str) -> None:
    assert pins.pin(peer(metadata), url) == pin


@pytest.mark.parametrize("metadata", [TOLD, GIVEN])
def test_a_downgrade_of_a_pinned_peer_to_http_is_refused_and_its_plain_urls_are_not_offered(metadata: Members) -> None:
    found = peer({**metadata, "last_reachable_base_url": "http://10.0.0.7:80"}, endpoint_url=URL)
    assert found.base_urls == [URL]
    for url in ("http://10.0.0.7:80", "HTTP://10.0.0.7:8421", "nonsense"):
        with pytest.raises(Refusal) as caught:
            pins.pin(found, url)
        assert caught.value.code == "peer_unreachable" and "not called without" in caught.value.message


@pytest.mark.parametrize("members", [{"trust_tier": "public"}, {"trust_tier": "public", "status": "pending"}])
def test_what_a_stranger_told_counts_from_its_admission_on(members: Members) -> None:
    assert pins.pin(peer(TOLD, **members), URL) == "" and pins.pin(peer(GIVEN, **members), URL) == OURS
    assert pins.pin(peer({**TOLD, "admitted": True}, trust_tier="public"), URL) == OURS


def test_a_peer_whose_card_names_the_url_of_another_pins_nothing_there() -> None:
    liar = peer(TOLD, endpoint_url=URL)
    honest = peer({**TOLD, "last_reachable_base_url": ELSEWHERE})
    assert pins.at([liar], URL) == "" and pins.at([liar, honest], ELSEWHERE) == OURS
    assert pins.at([honest], "http://10.0.0.9:8421") == "" and pins.at([honest], "https://10.0.0.9:8422") == ""


def test_what_was_learnt_without_the_pin_of_a_peer_is_not_taken_for_its_word() -> None:
    pins.check(peer(TOLD), URL, OURS)
    pins.check(peer({}), URL, "")
    for used in ("", OTHER):
        with pytest.raises(Refusal):
            pins.check(peer(TOLD), URL, used)
