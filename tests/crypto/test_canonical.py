"""One value, one byte string, in each of the three forms."""

from __future__ import annotations

import hashlib
import json
import random
import struct

import pytest

from ocp_node.base import jsontext
from ocp_node.base.errors import Malformed
from ocp_node.crypto import canonical
from tests.support.vectors import load

ENVELOPES = load("mesh", "envelope_vectors")
DIRECTORY = load("directory", "vectors")
BEYOND = load("directory", "vectors-beyond")
REFUSED = {"exponent", "duplicate-keys", "lone-surrogate"}      # whose own words say to reject such input


@pytest.mark.parametrize("case", ENVELOPES["wire_to_canonical"], ids=lambda case: case["id"])
def test_wire_text_becomes_mesh_canonical_text_or_is_refused(case):
    if case["id"] in REFUSED:
        assert "reject such input" in case["why"]
        with pytest.raises(Malformed):
            jsontext.parse(case["wire"].encode())
    else:
        assert canonical.mesh(jsontext.parse(case["wire"].encode())).decode() == case["canonical"]


def test_the_refused_number_alone_is_what_is_wrong_with_the_exponent_case():
    wire = b'{"a":1E5,"c":-0,"d":10000000000000000000000,"e":1.10}'
    assert canonical.mesh(jsontext.parse(wire)) == b'{"a":100000.0,"c":0,"d":10000000000000000000000,"e":1.1}'


@pytest.mark.parametrize("value, text", [
    (1.0, "1.0"), (-0.0, "-0.0"), (1e16, "1e+16"), (1e15, "1000000000000000.0"), (1e-4, "0.0001"), (1e-5, "1e-05"),
    (5e-324, "5e-324"),
    (2**70, "1180591620717411303424"), (True, "true"), (None, "null"),
    ("\x7f\u2028/\u00e9\U0001f600", r'"\u007f\u2028/\u00e9\ud83d\ude00"'),
    ("\b\f\n\r\t\0\x1f\"\\", r'"\b\f\n\r\t\u0000\u001f\"\\"'), ({}, "{}"), ([], "[]"), ([[], {}], "[[],{}]")])
def test_mesh_form_of_single_values(value, text):
    assert canonical.mesh(value).decode() == text


def test_mesh_members_are_in_code_point_order():
    assert canonical.mesh({"\U0001f600": 1, "\ufffd": 2, "a": 3, "B": 4,
                           "": 5}) == rb'{"":5,"B":4,"a":3,"\ufffd":2,"\ud83d\ude00":1}'


@pytest.mark.parametrize("value", [float("nan"), float("inf"), [float("-inf")]])
def test_mesh_form_has_no_infinite_numbers(value):
    with pytest.raises(ValueError):
        canonical.mesh(value)


@pytest.mark.parametrize("case", DIRECTORY["cbor_vectors"], ids=lambda case: case["cbor_hex"][:24])
def test_cbor_vectors(case):
    assert canonical.cbor(jsontext.parse(case["json"].encode())).hex() == case["cbor_hex"]


@pytest.mark.parametrize("value, code, pointer", [
    (2**64, "integer-range", ""), (-2**64 - 1, "integer-range", ""), ({"a": [1, {"b/c": 2**64}]}, "integer-range", "/a/1/b~1c"),
    ([float("inf")], "number-range", "/0"), ({"x": float("nan")}, "number-range", "/x"),
    ({"x": ["\ud800"]}, "invalid-unicode", "/x/0"),
    ({"": 2**64}, "integer-range", "/"), ([1, [2, 2**65]], "integer-range", "/1/1"),
    ({"a": {"\udc00": 1}}, "invalid-unicode", "/a")])
def test_what_cbor_cannot_hold_is_malformed_and_named(value, code, pointer):
    with pytest.raises(Malformed) as caught:
        canonical.cbor(value)
    assert [(problem.code, problem.pointer()) for problem in caught.value.problems] == [(code, pointer)]


@pytest.mark.parametrize("value, encoded",
                         [(2**64 - 1, "1bffffffffffffffff"), (-2**64, "3bffffffffffffffff"), (-2**63, "3b7fffffffffffffff")])
def test_cbor_integers_reach_64_bits_and_a_sign(value, encoded):
    assert canonical.cbor(value).hex() == encoded


def test_cbor_refuses_what_is_not_json():
    with pytest.raises(TypeError):
        canonical.cbor({"a": b"bytes"})


def test_random_values_have_one_cbor_whatever_their_member_order():
    dice = random.Random(4)
    for _ in range(200):
        members = [("k" * dice.randrange(30) + str(number),
                    dice.choice([dice.random(), dice.randrange(10**6), "ą", None, [1.5], {"z": 1}]))
                   for number in range(dice.randrange(12))]
        first = canonical.cbor(dict(members))
        dice.shuffle(members)
        assert canonical.cbor(dict(members)) == first


def decoded(raw: bytes) -> object:
    """A small strict CBOR reader, written apart from the encoder."""
    value, rest = item(raw)
    assert rest == b""
    return value


def item(raw: bytes) -> tuple[object, bytes]:
    major, low, raw = raw[0] >> 5, raw[0] & 31, raw[1:]
    if major == 7:
        if low in (20, 21, 22):
            return {20: False, 21: True, 22: None}[low], raw
        width, form = {25: (2, ">e"), 26: (4, ">f"), 27: (8, ">d")}[low]
        return struct.unpack(form, raw[:width])[0], raw[width:]
    if low >= 24:
        width = 1 << (low - 24)
        low, raw = int.from_bytes(raw[:width], "big"), raw[width:]
    if major == 0:
        return low, raw
    if major == 1:
        return -1 - low, raw
    if major == 3:
        return raw[:low].decode(), raw[low:]
    values = []
    for _ in range(low * (2 if major == 5 else 1)):
        value, raw = item(raw)
        values.append(value)
    return (values if major == 4 else dict(zip(values[::2], values[1::2]))), raw


def test_an_independent_reader_gets_random_values_back():
    dice = random.Random(8949)

    def value(depth: int) -> object:
        kind = dice.randrange(8 if depth else 6)
        if kind < 6:
            return [dice.randrange(-2**64, 2**64), dice.uniform(-1e10, 1e10), float(dice.randrange(5000)),
                    "x" * dice.randrange(300),
                    dice.choice([True, False, None]), "ż\U0001f310"][kind]
        if kind == 6:
            return [value(depth - 1) for _ in range(dice.randrange(30))]
        return {str(dice.randrange(10**6)): value(depth - 1) for _ in range(dice.randrange(30))}

    for _ in range(100):
        made = value(3)
        assert repr_sorted(decoded(canonical.cbor(made))) == repr_sorted(made)


def repr_sorted(value: object) -> str:
    return json.dumps(value, sort_keys=True)


def test_the_published_canonical_json_digest():
    for case in BEYOND["canonical_json"]:
        assert canonical.jcs(case["input"]).decode() == case["canonical"]
        assert canonical.sha256_text(canonical.jcs(case["input"])) == case["digest"]
    claim = BEYOND["node_address_claim"]
    assert canonical.sha256_text(canonical.jcs(claim["claim"])) == claim["digest"]


# RFC 8785 appendix B: the bits of a double, and its text
RFC_8785_NUMBERS = [
    ("0000000000000000", "0"), ("8000000000000000", "0"), ("0000000000000001", "5e-324"), ("8000000000000001", "-5e-324"),
    ("7fefffffffffffff", "1.7976931348623157e+308"), ("ffefffffffffffff", "-1.7976931348623157e+308"),
    ("4340000000000000", "9007199254740992"), ("c340000000000000", "-9007199254740992"),
    ("4430000000000000", "295147905179352830000"),
    ("44b52d02c7e14af5", "9.999999999999997e+22"), ("44b52d02c7e14af6", "1e+23"), ("44b52d02c7e14af7", "1.0000000000000001e+23"),
    ("444b1ae4d6e2ef4e", "999999999999999700000"), ("444b1ae4d6e2ef4f", "999999999999999900000"), ("444b1ae4d6e2ef50", "1e+21"),
    ("3eb0c6f7a0b5ed8c", "9.999999999999997e-7"), ("3eb0c6f7a0b5ed8d", "0.000001"), ("41b3de4355555553", "333333333.3333332"),
    ("41b3de4355555554", "333333333.33333325"), ("41b3de4355555555", "333333333.3333333"),
    ("41b3de4355555556", "333333333.3333334"),
    ("41b3de4355555557", "333333333.33333343"), ("becbf647612f3696", "-0.0000033333333333333333"),
    ("43143ff3c1cb0959", "1424953923781206.2")]


@pytest.mark.parametrize("bits, text", RFC_8785_NUMBERS)
def test_jcs_prints_doubles_as_ecmascript_does(bits, text):
    assert canonical.jcs(struct.unpack(">d", bytes.fromhex(bits))[0]).decode() == text


@pytest.mark.parametrize("value, text", [
    (100.0, "100"), (0.1, "0.1"), (-0.5, "-0.5"), (0.05, "0.05"), (123456789.125, "123456789.125"),
    (1e20, "100000000000000000000"), (1.5e-7, "1.5e-7"),
    (1, "1"), (-7, "-7"), (2**53 - 1, "9007199254740991"), ("\x7fą\n\x1f\"\\/", '"\x7fą\\n\\u001f\\"\\\\/"'), (True, "true"),
    (None, "null")])
def test_jcs_form_of_single_values(value, text):
    assert canonical.jcs(value).decode() == text


def test_every_jcs_double_reads_back_as_itself():
    dice = random.Random(8785)
    for _ in range(3000):
        number = struct.unpack(">d", dice.randbytes(8))[0]
        if number == number and abs(number) != float("inf"):
            assert float(canonical.jcs(number)) == number


def test_jcs_members_are_in_utf_16_order():
    members = {"\u20ac": 1, "\r": 2, "\ufb33": 3, "1": 4, "\U0001f600": 5, "\x80": 6, "\xf6": 7}       # RFC 8785 section 3.2.3
    assert list(json.loads(canonical.jcs(members))) == ["\r", "1", "\x80", "\xf6", "\u20ac", "\U0001f600", "\ufb33"]


@pytest.mark.parametrize("value, code, pointer", [
    (2**53, "integer-range", ""), ([-2**53], "integer-range", "/0"), ({"a": float("inf")}, "number-range", "/a"),
    ({"a": ["\ud800"]}, "invalid-unicode", "/a/0")])
def test_what_jcs_cannot_hold_is_malformed_and_named(value, code, pointer):
    with pytest.raises(Malformed) as caught:
        canonical.jcs(value)
    assert [(problem.code, problem.pointer()) for problem in caught.value.problems] == [(code, pointer)]


def test_texts_are_normalised_only_when_asked():
    decomposed, composed = {"a\u0328": "a\u0328"}, {"ą": "ą"}
    assert canonical.jcs(decomposed) != canonical.jcs(composed)
    assert canonical.jcs(decomposed, nfc=True) == canonical.jcs(composed, nfc=True) == canonical.jcs(composed)


def test_names_that_normalise_to_one_are_refused():
    with pytest.raises(Malformed) as caught:
        canonical.jcs({"a\u0328": 1, "ą": 2}, nfc=True)
    assert caught.value.problems[0].code == "duplicate"


def test_the_query_attestation_digest_is_that_of_its_body():
    attestation = next(case for case in BEYOND["signing_vectors"] if case["name"] == "query-attestation")
    digest = canonical.sha256_text(canonical.jcs(attestation["attested_body"], nfc=True))
    assert digest == attestation["artifact"]["result/digest"]
    assert attestation["artifact"]["attestation/id"].endswith(digest.removeprefix("sha256:"))


def test_the_first_vector_has_the_published_length_and_digest():
    first = ENVELOPES["vectors"][0]
    assert len(first["canonical_utf8"]) == first["canonical_length"] == 206
    assert hashlib.sha256(first["canonical_utf8"].encode()).hexdigest() == first["canonical_sha256"]


def test_members_encoded_one_by_one_make_the_same_bytes():
    for case in DIRECTORY["signing_vectors"]:
        members = canonical.cbor_members(case["artifact"])
        assert canonical.cbor_joined(members.values()) == canonical.cbor(case["artifact"])
        without = {name: value for name, value in case["artifact"].items() if name != "signature"}
        assert canonical.cbor_joined([pair for name, pair in members.items() if name in without]) == canonical.cbor(without)
    wide = {f"member {number}": number for number in range(300)}
    assert canonical.cbor_joined(canonical.cbor_members(wide).values()) == canonical.cbor(wide)
    with pytest.raises(Malformed) as caught:
        canonical.cbor_members({"a": [1, 2**70]})
    assert caught.value.problems[0].pointer() == "/a/1"
