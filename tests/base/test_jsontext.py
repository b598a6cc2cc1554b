"""Strict JSON: every trap of a lenient parser is refused, and nothing else is."""

from __future__ import annotations

import json
import random

import pytest

from ocp_node.base import jsontext
from ocp_node.base.errors import Malformed

REFUSED = {
    "nothing": b"", "blanks": b"  \n", "half": b'{"a":', "two values": b"1 2", "trailing comma": b"[1,]", "comment": b"/* */1",
    "single quotes": b"{'a':1}", "NaN": b"NaN", "Infinity": b"[Infinity]", "minus Infinity": b'{"a":-Infinity}',
    "a number past the range": b"1e999", "one deep inside": b'{"a":[1,{"b":-1e400}]}',
    "an integer past the range": b"2" + b"0" * 308, "an integer without end": b"[-" + b"9" * 5000 + b"]", "a leading zero": b"01", "a plus": b"+1",
    "hexadecimal": b"0x1", "a bare point": b".5", "a repeated name": b'{"a":1,"a":2}',
    "a repeated name inside": b'[{"a":{"b":1,"b":1}}]',
    "a name repeated by an escape": b'{"a":1,"\\u0061":2}', "UTF-8 that is none": b'"\xff"', "an overlong form": b'"\xc0\xaf"',
    "a surrogate in UTF-8": b'"\xed\xa0\x80"', "UTF-16": '{"a":1}'.encode("utf-16"), "a byte order mark": b"\xef\xbb\xbf{}",
    "an unpaired surrogate": b'"\\ud800"', "the low half alone": b'["\\udc00"]', "halves turned round": b'"\\udc00\\ud800"',
    "an unpaired surrogate in a name": b'{"\\ud83d":1}', "a control character": b'"a\x01b"', "a line break in a text": b'"a\nb"',
    "an unknown escape": b'"\\x41"', "a cut escape": b'"\\u12"', "True": b"True",
}


@pytest.mark.parametrize("raw", REFUSED.values(), ids=REFUSED.keys())
def test_it_is_refused(raw: bytes) -> None:
    with pytest.raises(Malformed) as caught:
        jsontext.parse(raw)
    assert caught.value.code == "invalid_json"
    assert caught.value.message


@pytest.mark.parametrize("raw, value", [
    (b"{}", {}), (b" [1, 2.5, -3e2] ", [1, 2.5, -300.0]), (b'"\\ud83d\\ude00"', "\U0001f600"), ('"é😀"'.encode(), "é😀"),
    (b"null", None), (b'{"a":{"a":1}}', {"a": {"a": 1}}), (b"123456789012345678901234567890", 123456789012345678901234567890),
    (b"1" + b"0" * 308, 10**308), (b'{"":0}', {"": 0}), (b'"\\u0000"', "\0"), (b"1e-400", 0.0), (b'"NaN"', "NaN"),
])
def test_what_is_json_is_read(raw: bytes, value: object) -> None:
    assert jsontext.parse(raw) == value
    assert jsontext.parse(bytearray(raw)) == value
    assert jsontext.parse(memoryview(raw)) == value


@pytest.mark.parametrize("opening, closing", [("[", "]"), ('{"a":', "}")])
def test_nesting_is_bounded_at_exactly_the_limit(opening: str, closing: str) -> None:
    def nested(levels: int) -> bytes:
        return (opening * levels + "1" + closing * levels).encode()

    assert jsontext.depth(jsontext.parse(nested(jsontext.DEPTH_MAX))) == jsontext.DEPTH_MAX
    with pytest.raises(Malformed):
        jsontext.parse(nested(jsontext.DEPTH_MAX + 1))
    assert jsontext.parse(nested(3), depth_max=3)
    with pytest.raises(Malformed):
        jsontext.parse(nested(4), depth_max=3)


def test_nesting_that_breaks_a_parser_is_an_answer_not_a_crash() -> None:
    for levels in (1_000, 100_000):
        with pytest.raises(Malformed) as caught:
            jsontext.parse(b"[" * levels + b"]" * levels)
        assert "deep" in caught.value.message


def test_many_shallow_objects_are_not_deep() -> None:
    value = jsontext.parse(b"[" + b",".join([b"{}"] * 1000) + b"]")
    assert jsontext.depth(value) == 2


def test_an_empty_list_counts_as_a_level() -> None:
    assert [jsontext.depth(value) for value in (1, [], {}, [[]], {"a": []}, [1, [2, [3]]])] == [0, 1, 1, 2, 2, 3]


def test_the_message_never_quotes_the_input() -> None:
    for raw in (b'{"password":"hunter2",}', b'{"hunter2":1,"hunter2":2}', b'"hunter2\x01"', b'["hunter2",NaN]'):
        with pytest.raises(Malformed) as caught:
            jsontext.parse(raw)
        assert "hunter2" not in caught.value.message + str(caught.value) + repr(caught.value.problems)


def test_the_place_of_a_lone_surrogate_is_named() -> None:
    with pytest.raises(Malformed) as caught:
        jsontext.parse(b'{"a":[0,{"b":"\\ud800"}]}')
    assert caught.value.problems[0].dotted() == "$.a[1].b"


def test_writing_has_no_blanks_and_keeps_the_order() -> None:
    value = {"b": 1, "a": ["é", None, True, 1.5]}
    assert jsontext.compact(value) == '{"b":1,"a":["é",null,true,1.5]}'.encode()
    assert jsontext.compact_sorted(value) == '{"a":["é",null,true,1.5],"b":1}'.encode()
    assert jsontext.ascii_text(value) == '{"b":1,"a":["\\u00e9",null,true,1.5]}'


@pytest.mark.parametrize("write", [jsontext.compact, jsontext.compact_sorted, jsontext.ascii_text])
def test_what_is_not_json_is_not_written(write: object) -> None:
    for value in (float("nan"), [float("inf")]):
        with pytest.raises(ValueError):
            write(value)                                        # type: ignore[operator]


def made(chance: random.Random, level: int = 0) -> object:
    kind = chance.randrange(8 if level < 5 else 6)
    if kind == 6:
        return [made(chance, level + 1) for _ in range(chance.randrange(4))]
    if kind == 7:
        return {text(chance): made(chance, level + 1) for _ in range(chance.randrange(4))}
    return (None, True, False, chance.randrange(-10**20, 10**20), chance.uniform(-1e9, 1e9), text(chance))[kind]


def text(chance: random.Random) -> str:
    def letter() -> str:
        return chr(chance.choice((chance.randrange(0xD800), chance.randrange(0xE000, 0x110000), 34, 92)))

    return "".join(letter() for _ in range(chance.randrange(6)))


def test_reading_undoes_writing() -> None:
    chance = random.Random(20270115)
    for _ in range(300):
        value = made(chance)
        for write in (jsontext.compact, jsontext.compact_sorted):
            assert jsontext.parse(write(value)) == value
        assert jsontext.parse(jsontext.ascii_text(value).encode()) == value == jsontext.load(jsontext.ascii_text(value))


def test_whatever_the_bytes_are_it_is_a_value_or_malformed() -> None:
    chance = random.Random(8421)
    whole = json.dumps({"a": [1, {"b": "é\ud83d\ude00"}], "c": -1.5e3}).encode()
    for _ in range(2000):
        raw = bytearray(whole)
        for _ in range(chance.randrange(1, 4)):
            raw[chance.randrange(len(raw))] = chance.randrange(256)
        try:
            jsontext.parse(bytes(raw[:chance.randrange(len(raw) + 1)]))
        except Malformed as fault:
            assert fault.code == "invalid_json"


@pytest.mark.parametrize("members, texts", [
    ({}, {}), ({"a": 1}, {}), ({}, {"a": "1"}), ({"a": 1}, {"a": "2"}), ({"a": 1, "b": [2]}, {"b": '{"c":"\\u00e9"}', "d": "[]"}),
    ({'q"': "\u00e9"}, {'n"\n': "null"}),
])
def test_texts_go_into_an_object_as_they_are(members: dict[str, object], texts: dict[str, str]) -> None:
    assert jsontext.parse(jsontext.spliced(members, texts).encode()) == members | {
        name: json.loads(text) for name, text in texts.items()}
