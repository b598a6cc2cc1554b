"""Reading artifacts: the traps of JSON, dates, URLs and ids, each by name."""

from __future__ import annotations

import json
import random

import pytest

from ocp_node.base.errors import Malformed, Refusal
from ocp_node.directory import artifact, shape
from ocp_node.directory.artifact import Shape
from tests.support.adverts import Signer

A, B = Signer(1), Signer(2)
SHAPE = Shape()


def faults(document, shape=SHAPE):
    """The pointers and codes of an object's problems."""
    with pytest.raises(Malformed) as caught:
        artifact.of(document, shape)
    assert caught.value.code == "invalid-advertisement"
    return [(problem.pointer(), problem.code) for problem in caught.value.problems]


@pytest.mark.parametrize("raw", [
    b"", b" ", b"null", b"1", b'"x"', b"[]", b"[{}]", b"{", b"{} {}", b"{}x", b'{"a":1,}', b'{"a":NaN}', b'{"a":Infinity}',
                                 b'{"a":-Infinity}',
    b"{'a':1}", b'{"a":01}', b'{"a":.5}', b'{"a":1.}', b'{"a":+1}', b'{"a":"\x01"}', b'{"a":"\xff"}', b"\xef\xbb\xbf{}",
                                 '{"a":1}'.encode("utf-16"),
    '{"a":1}'.encode("utf-32"), b'{"a":1,"a":1}', b'{"x":{"a":1,"a":2}}', b'{"x":[{"a":1,"\\u0061":2}]}',
                                 b'{"a":' + b"9" * 5000 + b"}",
    b"[" * 100_000, b'{"a":' * 20_000, b'{"a":"\xed\xa0\x80"}', b"{}\x00",
])
def test_what_is_no_strict_json_object_is_malformed(raw):
    with pytest.raises(Malformed) as caught:
        artifact.read(raw, SHAPE)
    assert caught.value.code == "malformed-json"


@pytest.mark.parametrize("text, us", [
    ("1970-01-01T00:00:00Z", 0), ("1970-01-01t00:00:01z", 1_000_000), ("1970-01-01T01:00:00+01:00", 0),
                                      ("1969-12-31T23:30:00-00:30", 0),
    ("1970-01-01T00:00:00.5Z", 500_000), ("1970-01-01T00:00:00.123456789Z", 123_456), ("1970-01-01T00:00:60Z", 59_999_999),
    ("2000-02-29T00:00:00Z", 951_782_400_000_000), ("9999-12-31T23:59:59-23:59", 253_402_387_139_000_000),
    ("0001-01-01T00:00:00+23:59", -62_135_683_140_000_000),
])
def test_a_date_time_is_its_instant(text, us):
    assert shape.instant_us(text) == us


@pytest.mark.parametrize("text", [
    "2026-03-23", "20260323T180800Z", "2026-W13-1T00:00:00Z", "2026-03-23T18:08:00", "2026-03-23 18:08:00Z", "2026-03-23T18:08Z",
    "2026-03-23T18:08:00,5Z", "2026-03-23T18:08:00.Z", "2026-03-23T18:08:00.1234567890Z", "2026-02-29T00:00:00Z",
                                  "2026-13-01T00:00:00Z",
    "2026-03-23T24:00:00Z", "2026-03-23T18:60:00Z", "2026-03-23T18:08:61Z", "2026-03-23T18:08:00+24:00",
                                  "2026-03-23T18:08:00+00:60",
    "2026-03-23T18:08:00+0000", "2026-03-23T18:08:00Z\n", " 2026-03-23T18:08:00Z", "٢٠٢٦-03-23T18:08:00Z",
                                  "0000-01-01T00:00:00Z", "", None, 5,
])
def test_what_is_no_date_time_is_refused(text):
    with pytest.raises(ValueError):
        shape.instant_us(text)


@pytest.mark.parametrize("url, fine", [
    ("wss://a", True), ("wss://a/", True), ("wss://a:1/x?y=z", True), ("wss://a:65535", True),
                                       ("wss://192.168.1.2:8421/mesh/stream", True),
    ("wss://[::1]:8421/x", True), ("wss://localhost", True), ("wss://a?x", True), ("WSS://A", True),
                                       ("wss://xn--bcher-kva.example/", True),
    ("ws://a", False), ("https://a", False), ("wss:a", False), ("wss://", False), ("wss:///x", False), ("wss://:1", False),
                                       ("wss://a:0", False),
    ("wss://a:65536", False), ("wss://a:", False), ("wss://a:x", False), ("wss://u@a", False), ("wss://u:p@a/", False),
                                       ("wss://a/#f", False),
    ("wss://a#", False), ("wss://a b", False), ("wss://a/ b", False), ("wss://a\t", False), ("wss://a\n", False),
                                       ("wss://bücher.example", False),
    ("wss://a\\@b", False), ("wss://[::1", False), ("wss://[1.2.3]", False), ("wss://[:::]", False), ("", False),
                                       (" wss://a", False),
])
def test_an_endpoint_is_a_plain_wss_url(url, fine):
    assert shape.is_endpoint_url(url) is fine


@pytest.mark.parametrize("members, found", [
    ({"schema/v": True}, [("/schema~1v", "const")]),
    ({"schema/v": 1.0}, [("/schema~1v", "const")]),
    ({"schema/v": "1"}, [("/schema~1v", "const")]),
    ({"sequence/no": 17.0}, [("/sequence~1no", "integer-range")]),
    ({"sequence/no": 2**63}, [("/sequence~1no", "integer-range")]),
    ({"advertisement/id": "a\nb"}, [("/advertisement~1id", "pattern")]),
    ({"advertisement/id": "x" * 257}, [("/advertisement~1id", "pattern")]),
    ({"federation/id": ""}, [("/federation~1id", "type")]),
    ({"federation/id": None}, [("/federation~1id", "type")]),
    ({"node/id": A.node_id + "\n"}, [("/node~1id", "pattern")]),
    ({"node/id": A.node_id + "1"}, [("/node~1id", "not-canonical-did-key")]),
    ({"node/id": "node:did:key:z6Mkunknownpeer1111111111111111111111111111111"}, [("/node~1id", "not-canonical-did-key")]),
    ({"node/id": "participant:did:key:" + A.key_text}, [("/node~1id", "pattern")]),
    ({"key/alg": "Ed25519"}, [("/key~1alg", "enum")]),
    ({"key/public": A.key_text + "\n"}, [("/key~1public", "pattern")]),
    ({"endpoints": {}}, [("/endpoints", "type")]),
    ({"endpoints": [[]]}, [("/endpoints/0", "type")]),
    ({"endpoints": [{"endpoint/url": 5, "endpoint/transport": "wss", "endpoint/role": "peer", "endpoint/priority": True}]},
     [("/endpoints/0/endpoint~1url", "type"), ("/endpoints/0/endpoint~1role", "enum"),
      ("/endpoints/0/endpoint~1priority", "integer-range")]),
    ({"transports/supported": ["wss", "wss"]}, [("/transports~1supported", "unique-items")]),
    ({"transports/supported": [["wss"]]}, [("/transports~1supported/0", "enum")]),
    ({"succession": {}}, [("/succession/successor~1node-id", "required")]),
    ({"succession": {"successor/node-id": B.node_id, "proof/current": ""}}, [("/succession/proof~1current", "type")]),
    ({"x": {"~/": 2**64}}, [("/x/~0~1", "integer-range")]),
    ({"x": -2**64 - 1}, [("/x", "integer-range")]),
    ({"x": float("inf")}, [("/x", "number-range")]),
    ({"x": ["\ud800"]}, [("/x/0", "invalid-unicode")]),
    ({"x": {"\udfff": 1}}, [("/x", "invalid-unicode")]),
    ({"advertised-at": "2026-03-23T18:18:00Z"}, [("/expires-at", "not-after-advertised-at")]),
])
def test_every_wrong_member_is_named(members, found):
    assert faults({**A.advertisement(1), **members}) == found


@pytest.mark.parametrize("members", [
    {"x": 2**64 - 1}, {"x": -2**64}, {"x": 1.5}, {"x": None}, {"x": "é"}, {"endpoint/extra": {"a": [True, False]}},
    {"succession": {"successor/node-id": B.node_id, "more": 1}}, {"policy_annotations": {"a": 1}}, {"federation/id": "x" * 256},
])
def test_unknown_members_are_kept_and_signed(members):
    signed = A.advertisement(1, members=members)
    read = artifact.read(json.dumps(signed).encode(), SHAPE)
    artifact.verify(read)
    assert json.loads(read.text) == signed
    name = next(iter(members))
    with pytest.raises(Refusal, match="invalid-signature"):
        artifact.verify(artifact.of({**signed, name: {"successor/node-id": A.node_id}}
                                    if name in ("succession", "policy_annotations")
                                    else {**signed, name: "other"}, SHAPE))


def test_members_beside_the_signature_are_signed_by_nobody_and_dropped():
    signed = A.advertisement(1)
    signed["signature"]["injected"] = "by the messenger"
    read = artifact.of(signed, SHAPE)
    artifact.verify(read)
    assert "injected" not in read.document["signature"] and b"injected" not in read.text


def test_the_digest_does_not_depend_on_spelling():
    signed = A.advertisement(1, members={"x": "é"})
    one = artifact.read(json.dumps(signed, indent=3).encode(), SHAPE)
    other = artifact.read(json.dumps(dict(reversed(signed.items())), ensure_ascii=False).encode(), SHAPE)
    assert one.digest == other.digest and one.text != other.text


def test_the_bounds_are_the_operators():
    deep: object = 1
    for _ in range(100):
        deep = [deep]
    artifact.of(A.advertisement(1, members={"x": deep}), Shape(depth=0))
    assert ("/x/0", "too-deep") in faults(A.advertisement(1, members={"x": [[1]]}), Shape(depth=2))
    assert faults(A.advertisement(1), Shape(endpoints=0, url_length=10)) == [("/endpoints/0/endpoint~1url", "uri")]


def test_another_key_than_the_named_one_is_an_unknown_signer():
    with pytest.raises(Refusal, match="key-mismatch"):
        artifact.verify(artifact.of(A.advertisement(1, members={"key/public": B.key_text}), SHAPE))


def test_no_bytes_make_the_reader_fail_otherwise():
    chance = random.Random(7)
    base = A.raw(1, members={"x": [1, {"y": "é", "z": 1.5}]})
    for _ in range(3000):
        data = bytearray(base)
        for _ in range(chance.randint(1, 4)):
            at = chance.randrange(len(data))
            match chance.randrange(4):
                case 0: data[at] = chance.randrange(256)
                case 1: del data[at:at + chance.randint(1, 40)]
                case 2: data[at:at] = chance.choice([b"[", b"{", b"9" * 400, b"1e999", b"\\ud800", b"true", b"null", b'"',
                                                     b"\xff", b"-"])
                case _: data[at:at] = data[max(0, at - 30):at]
        try:
            artifact.verify(artifact.read(bytes(data), SHAPE))
        except Malformed as malformed:
            assert malformed.code in ("malformed-json", "invalid-advertisement")
        except Refusal as refusal:
            assert refusal.code in ("invalid-signature", "key-mismatch")
