"""App Mesh tokens: the published and captured ones, and the known attacks."""

from __future__ import annotations

import pytest

from ocp_node.base import jsontext
from ocp_node.base.errors import Refusal
from ocp_node.base.ids import CountedIds, Ids
from ocp_node.crypto import base64url, tokens
from tests.support.vectors import load

VECTORS = load("appmesh", "test_vectors")
VECTOR = VECTORS["jwt_hs256"]
SECRET = VECTOR["secret"].encode()
CLAIMS = VECTOR["claims"]
ISSUED = CLAIMS["iat"]
CAPTURED = load("appmesh", "captured_tokens")["tokens"]


def check(token: str, now: float = ISSUED, secret: bytes = SECRET, issuer: str = "vm", audience: str = "appmesh-service") -> dict:
    return tokens.verify(token, secret, issuer=issuer, audience=audience, now_seconds=now)


def refused(token: str, **given) -> str:
    with pytest.raises(Refusal) as caught:
        check(token, **given)
    assert caught.value.code == "unauthorized"
    return caught.value.message


def made(header: dict | None = None, secret: bytes = SECRET, **changes: object) -> str:
    claims = {name: value for name, value in {**CLAIMS, **changes}.items() if value is not None}
    if header is None:
        return tokens.make(claims, secret)
    signed = f"{base64url.encode(jsontext.compact(header))}.{base64url.encode(jsontext.compact(claims))}"
    return f"{signed}.{tokens._mac(signed, secret)}"


def test_the_vector_is_made_byte_for_byte_and_verifies():
    assert tokens.make(CLAIMS, SECRET) == VECTOR["token"]
    assert check(VECTOR["token"]) == CLAIMS


@pytest.mark.parametrize("name", CAPTURED)
def test_captured_tokens_fare_as_they_did(name):
    captured = CAPTURED[name]
    if captured["status"] == 200:
        assert check(captured["token"], now=1795295800)["sub"] == "admin"
    else:
        assert refused(captured["token"], now=1795295800) == captured["message"]


def test_claims_in_any_order_give_one_token():
    assert tokens.make(dict(reversed(list(CLAIMS.items()))), SECRET) == VECTOR["token"]


@pytest.mark.parametrize("token",
                         ["", "garbage", "a.b", "a.b.c", "a.b.c.d", "..", VECTOR["token"] + ".x", "é.é.é", "x" * 9000,
                          "e30.e30\n.e30",
                          "W10.e30.e30", "e31.e30.e30"])
def test_what_is_no_token_is_invalid(token):
    assert refused(token) in ("invalid token supplied", "Authentication failed: wrong algorithm")


@pytest.mark.parametrize("header", [{"alg": "none"}, {"alg": "HS512"}, {"alg": "RS256"}, {"alg": "hs256"}, {}, {"alg": None},
                                    {"alg": "HS256", "crit": ["exp"]}])
def test_only_the_one_algorithm_is_taken(header):
    assert refused(made(header)) == "Authentication failed: wrong algorithm"


def test_a_token_without_signature_is_refused():
    head, claims, _ = VECTOR["token"].split(".")
    assert refused(f"{head}.{claims}.") == "Authentication failed: invalid signature"


def test_a_header_with_typ_is_taken():
    assert check(made({"typ": "JWT", "alg": "HS256"})) == CLAIMS


@pytest.mark.parametrize("change",
                         [lambda t: t[:-1] + ("A" if t[-1] != "A" else "B"), lambda t: t + "=", lambda t: t.replace(".", "..", 1),
                          lambda t: t[:60] + ("A" if t[60] != "A" else "B") + t[61:]])
def test_a_changed_token_is_refused(change):
    refused(change(VECTOR["token"]))


def test_another_secret_is_refused():
    assert refused(made(secret=b"another")) == "Authentication failed: invalid signature"


@pytest.mark.parametrize("after, expired", [(0, False), (59, False), (60, False), (61, True), (10**9, True)])
def test_a_token_lives_until_a_minute_after_its_expiry(after, expired):
    if expired:
        assert refused(VECTOR["token"], now=CLAIMS["exp"] + after) == "Authentication failed: token expired"
    else:
        check(VECTOR["token"], now=CLAIMS["exp"] + after)


@pytest.mark.parametrize("claim", ["iat", "nbf"])
def test_a_token_from_more_than_a_minute_ahead_is_refused(claim):
    check(made(**{claim: ISSUED + 60}))
    assert refused(made(**{claim: ISSUED + 61})) == "Authentication failed: token is not valid yet"


@pytest.mark.parametrize("changes, text", [
    ({"iss": "other"}, "Authentication failed: token doesn't contain the required issuer"),
    ({"iss": None}, "Authentication failed: token doesn't contain the required issuer"),
    ({"aud": "appmesh-refresh"}, "Authentication failed: token doesn't contain the required audience"),
    ({"aud": None}, "Authentication failed: token doesn't contain the required audience"),
    ({"aud": ["x"]}, "Authentication failed: token doesn't contain the required audience"),
    ({"sub": None}, "Authentication failed: token doesn't name a user"),
    ({"sub": ""}, "Authentication failed: token doesn't name a user"),
    ({"sub": 5}, "Authentication failed: token doesn't name a user"), ({"exp": None}, "Authentication failed: token expired"),
    ({"exp": "2030"}, "invalid token supplied"), ({"exp": True}, "invalid token supplied"),
    ({"iat": "now"}, "invalid token supplied")])
def test_claims_are_checked(changes, text):
    assert refused(made(**changes)) == text


def test_one_of_several_audiences_is_enough():
    assert check(made(aud=["x", "appmesh-service"]))["sub"] == "mesh"


def test_a_user_name_beyond_ascii_survives():
    assert check(made(sub="żółw"))["sub"] == "żółw"


@pytest.mark.parametrize("header, token",
                         [("Bearer abc", "abc"), ("bearer  abc ", "abc"), ("abc", "abc"), (" abc ", "abc"), ("", ""),
                          ("Bearer", ""), ("Basic eDp5", "Basic eDp5")])
def test_the_word_bearer_may_be_absent(header, token):
    assert tokens.bearer(header) == token


def test_a_token_id_is_eleven_base62_characters_and_new_each_time():
    found = {tokens.new_id(Ids()) for _ in range(200)}
    assert len(found) == 200 and all(len(each) == 11 and each.isalnum() and each.isascii() for each in found)
    assert tokens.new_id(CountedIds()) == "10000000000"


@pytest.mark.parametrize("case", VECTORS["fnv1a64_challenge"], ids=lambda case: case["input"] or "empty")
def test_fnv_vectors(case):
    assert f"H{tokens.fnv1a64(case['input'].encode())}" == case["output"]


def test_a_revoked_token_is_remembered_by_its_id_or_else_its_hash():
    assert tokens.revocation_key("t", {"jti": "abc"}) == "abc"
    assert tokens.revocation_key("abc", {}) == tokens.revocation_key("abc", {"jti": 5}) == "H16654208175385433931"
