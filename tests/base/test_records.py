"""Records: what is decoded, what is refused, what is written, and what the schema says of it agree."""

from __future__ import annotations

import dataclasses
import enum
import random

import pytest

from ocp_node.base import records
from ocp_node.base.errors import Malformed, Problem
from ocp_node.base.records import Anything, Nothing, decode, decode_texts, encode, record, schema_of, whole, wire


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


@record
class Point:
    """A place."""
    x: int = wire(minimum=0, maximum=9)
    y: float = 0.5


@record
class Sample:
    """Something of every kind.

    More about it.
    """
    node_id: str = wire("node/id", length_min=2, length_max=5, pattern="[a-z]+", about="Who.")
    count: int = wire(default=1, minimum=0, maximum=10)
    share: float = wire(default=0.0, maximum=1)
    on: bool = False
    word: str = wire(default="a", choices=("a", "b"))
    colour: Colour = Colour.RED
    place: Point | None = None
    places: list[Point] = wire(factory=list, items_max=2)
    words: tuple[str, ...] = wire(default=(), items_min=0, items_max=3)
    extra: dict = wire(factory=dict)
    numbers: dict[str, int] = wire(factory=dict)
    value: object = None
    even: int = wire(default=0, check=lambda number: "odd" if number % 2 else "")
    wide: int = 0


@record
class Kept:
    """Keeps the document as it came."""
    name: str = ""
    document: dict = whole()


@record
class Tree:
    """Holds itself."""
    name: str = ""
    children: list[Tree] = wire(factory=list)


def problems(kind: type, value: object) -> list[tuple[str, str, str, str]]:
    with pytest.raises(Malformed) as caught:
        decode(kind, value)
    return [(problem.dotted(), problem.code, problem.expected, problem.actual) for problem in caught.value.problems]


def test_a_document_becomes_a_record_and_defaults_fill_the_rest() -> None:
    found = decode(Sample, {"node/id": "abc", "place": {"x": 1}, "places": [{"x": 2, "y": 3}], "words": ["p", "q"],
                            "colour": "blue", "extra": {"k": [1]}, "numbers": {"n": 1}, "value": [None], "unknown": 1})
    assert (found.node_id, found.count, found.on, found.colour) == ("abc", 1, False, Colour.BLUE)
    assert found.place == Point(x=1) and found.places == [Point(x=2, y=3)]
    assert found.words == ("p", "q") and found.value == [None] and found.numbers == {"n": 1}


def test_a_record_cannot_be_changed_and_has_named_arguments() -> None:
    point = Point(x=1)
    with pytest.raises(dataclasses.FrozenInstanceError):
        point.x = 2                                            # type: ignore[misc]
    with pytest.raises(TypeError):
        Point(1)                                               # type: ignore[call-arg,misc]


@pytest.mark.parametrize("member, value, problem", [
    ("count", True, ("$.count", "type", "integer", "boolean")),
    ("count", 1.0, ("$.count", "type", "integer", "number")),
    ("count", "1", ("$.count", "type", "integer", "string")),
    ("count", None, ("$.count", "type", "integer", "null")),
    ("count", -1, ("$.count", "minimum", "0", "")),
    ("count", 11, ("$.count", "maximum", "10", "")),
    ("count", 10**400, ("$.count", "maximum", "10", "")),
    ("wide", 2**63, ("$.wide", "maximum", str(2**63 - 1), "")),
    ("wide", -2**63, ("$.wide", "minimum", str(1 - 2**63), "")),
    ("word", "a\0", ("$.word", "nul", "", "")),
    ("words", ["a", "\0"], ("$.words[1]", "nul", "", "")),
    ("share", True, ("$.share", "type", "number", "boolean")),
    ("share", 1.01, ("$.share", "maximum", "1", "")),
    ("on", 1, ("$.on", "type", "boolean", "integer")),
    ("node/id", "a", ("$.node/id", "min-length", "2", "")),
    ("node/id", "abcdef", ("$.node/id", "max-length", "5", "")),
    ("node/id", "ab\n", ("$.node/id", "pattern", "[a-z]+", "")),
    ("node/id", ["ab"], ("$.node/id", "type", "string", "array")),
    ("word", "c", ("$.word", "enum", "a b", "")),
    ("colour", "green", ("$.colour", "enum", "red blue", "")),
    ("colour", 1, ("$.colour", "type", "string", "integer")),
    ("place", [], ("$.place", "type", "object", "array")),
    ("place", {}, ("$.place.x", "required", "", "")),
    ("place", {"x": 10}, ("$.place.x", "maximum", "9", "")),
    ("places", {}, ("$.places", "type", "array", "object")),
    ("places", [{"x": 1}] * 3, ("$.places", "max-items", "2", "")),
    ("places", [{"x": 1}, {"x": "1"}], ("$.places[1].x", "type", "integer", "string")),
    ("words", ["a", 1], ("$.words[1]", "type", "string", "integer")),
    ("extra", [], ("$.extra", "type", "object", "array")),
    ("numbers", {"a": "1"}, ("$.numbers.a", "type", "integer", "string")),
    ("even", 3, ("$.even", "odd", "", "")),
])
def test_a_wrong_value_is_named_with_its_place_and_rule(member: str, value: object, problem: tuple[str, ...]) -> None:
    assert problems(Sample, {"node/id": "abc", member: value}) == [problem]


def test_an_integer_is_a_number_and_bounds_are_inclusive() -> None:
    found = decode(Sample, {"node/id": "ab", "share": 1, "count": 10, "place": None})
    assert (found.share, found.count, found.place) == (1, 10, None)
    assert decode(Sample, {"node/id": "abcde", "count": 0}).count == 0


def test_every_wrong_field_is_named_at_once() -> None:
    found = problems(Sample, {"count": "x", "on": None, "places": [{}, {"x": -1}]})
    assert [(place, code) for place, code, _, _ in found] == [
        ("$.node/id", "required"), ("$.count", "type"), ("$.on", "type"), ("$.places[0].x", "required"),
        ("$.places[1].x", "minimum")]


@pytest.mark.parametrize("value, actual", [
    (None, "null"), ([], "array"), ("x", "string"), (1, "integer"), (1.5, "number"), (True, "boolean"),
])
def test_a_document_that_is_no_object_is_refused(value: object, actual: str) -> None:
    assert problems(Point, value) == [("$", "type", "object", actual)]


def test_a_hostile_list_does_not_become_a_longer_answer() -> None:
    assert len(problems(Tree, {"children": [1] * 5000})) == records.PROBLEMS_MAX


def test_lists_and_texts_without_a_bound_of_their_own_are_bounded() -> None:
    assert problems(Tree, {"children": [{}] * (records.LIST_ITEMS_MAX + 1)})[0][1] == "max-items"
    assert problems(Tree, {"name": "x" * (records.TEXT_LENGTH_MAX + 1)})[0][1] == "max-length"


def test_the_problem_never_shows_the_value() -> None:
    with pytest.raises(Malformed) as caught:
        decode(Sample, {"node/id": "HUNTER2", "word": "hunter2", "count": "hunter2"})
    assert "hunter2" not in repr(caught.value.problems).lower()


def test_a_record_that_keeps_its_document_keeps_unknown_members() -> None:
    document = {"name": "n", "more": {"a": 1}}
    assert decode(Kept, document).document == document
    assert encode(decode(Kept, document)) == {"name": "n"}
    assert decode(Anything, {"x": 1}).document == {"x": 1}
    assert encode(decode(Nothing, {"x": 1})) == {}


def test_writing_uses_the_names_of_the_wire() -> None:
    sample = Sample(node_id="abc", colour=Colour.BLUE, place=Point(x=1), words=("p",), extra={"p": Point(x=2)})
    found = encode(sample)
    assert (found["node/id"], found["colour"], found["place"], found["words"]) == ("abc", "blue", {"x": 1, "y": 0.5}, ["p"])
    assert found["extra"] == {"p": {"x": 2, "y": 0.5}}
    assert encode([Point(x=1)]) == [{"x": 1, "y": 0.5}]


def test_reading_undoes_writing() -> None:
    chance = random.Random(20270115)
    for _ in range(200):
        sample = Sample(node_id=chance.choice(("ab", "abcde")), count=chance.randrange(11), share=chance.random(),
                        on=chance.random() < .5, word=chance.choice("ab"), colour=chance.choice(list(Colour)),
                        even=2 * chance.randrange(5),
                        place=chance.choice((None, Point(x=chance.randrange(10)))), value=chance.choice((None, [1], {"a": "b"})),
                        places=[Point(x=n) for n in range(chance.randrange(3))], words=tuple("pqr"[:chance.randrange(4)]))
        assert decode(Sample, encode(sample)) == sample


def test_a_record_may_hold_itself() -> None:
    tree = Tree(name="a", children=[Tree(name="b", children=[Tree(name="c")])])
    assert decode(Tree, encode(tree)) == tree
    found = problems(Tree, {"children": [{"children": [{"name": 1}]}]})
    assert found == [("$.children[0].children[0].name", "type", "string", "integer")]


@record
class Asked:
    """A query."""
    limit: int = wire(default=25, minimum=1, maximum=100)
    share: float | None = None
    all: bool = False
    word: str = wire(default="", length_max=5)
    wide: int = 0


@pytest.mark.parametrize("texts, found", [
    ({}, Asked()), ({"limit": "7"}, Asked(limit=7)), ({"limit": "+7"}, Asked(limit=7)), ({"limit": ""}, Asked()),
    ({"share": "1.50"}, Asked(share=1.5)), ({"share": "2"}, Asked(share=2)), ({"word": "1"}, Asked(word="1")),
    ({"other": "x"}, Asked()),
    *[({"all": word}, Asked(all=False)) for word in ("0", "false", "No", " OFF ", "")],
    *[({"all": word}, Asked(all=True)) for word in ("1", "true", "yes", "x")],
])
def test_query_texts_are_read_as_the_type_of_their_field(texts: dict[str, str], found: Asked) -> None:
    assert decode_texts(Asked, texts) == found


@pytest.mark.parametrize("texts, place, code", [
    ({"limit": "x"}, "$.limit", "type"), ({"limit": "1.0"}, "$.limit", "type"), ({"limit": "1_0"}, "$.limit", "type"),
    ({"limit": "١"}, "$.limit", "type"), ({"limit": " 1"}, "$.limit", "type"), ({"limit": "9" * 30}, "$.limit", "type"),
    ({"wide": str(2**63)}, "$.wide", "maximum"), ({"wide": str(-2**63)}, "$.wide", "minimum"), ({"word": "\0"}, "$.word", "nul"),
    ({"limit": "0"}, "$.limit", "minimum"), ({"limit": "101"}, "$.limit", "maximum"), ({"share": "nan"}, "$.share", "type"),
    ({"share": "1e5"}, "$.share", "type"), ({"word": "abcdef"}, "$.word", "max-length"),
])
def test_a_wrong_query_text_is_named(texts: dict[str, str], place: str, code: str) -> None:
    with pytest.raises(Malformed) as caught:
        decode_texts(Asked, texts)
    assert [(problem.dotted(), problem.code) for problem in caught.value.problems] == [(place, code)]


def test_a_field_that_cannot_travel_is_found_when_the_record_is_first_used() -> None:
    @record
    class Odd:
        when: set = wire(factory=set)

    with pytest.raises(TypeError):
        decode(Odd, {})


def test_the_schema_tells_names_types_and_bounds() -> None:
    named: dict[str, dict[str, object]] = {}
    assert schema_of(Sample, named) == {"$ref": "#/components/schemas/Sample"}
    sample = named["Sample"]
    properties = sample["properties"]
    assert sample["required"] == ["node/id"]
    assert sample["description"] == "Something of every kind."
    assert properties["node/id"] == {"type": "string", "minLength": 2, "maxLength": 5, "pattern": "[a-z]+", "description": "Who."}
    assert properties["count"] == {"type": "integer", "minimum": 0, "maximum": 10, "default": 1}
    assert properties["word"] == {"type": "string", "enum": ["a", "b"], "default": "a"}
    assert properties["colour"]["enum"] == ["red", "blue"]
    assert properties["place"] == {"anyOf": [{"$ref": "#/components/schemas/Point"}, {"type": "null"}]}
    assert properties["places"] == {"type": "array", "items": {"$ref": "#/components/schemas/Point"}, "maxItems": 2}
    assert properties["numbers"] == {"type": "object", "additionalProperties": {"type": "integer"}}
    assert named["Point"]["required"] == ["x"]


def test_the_schema_of_a_record_that_holds_itself_ends() -> None:
    named: dict[str, dict[str, object]] = {}
    schema_of(Tree, named, "#/x/")
    assert named["Tree"]["properties"]["children"]["items"] == {"$ref": "#/x/Tree"}


def test_a_kept_document_is_not_in_the_schema() -> None:
    named: dict[str, dict[str, object]] = {}
    schema_of(Kept, named)
    assert list(named["Kept"]["properties"]) == ["name"]


def test_problems_compare_by_what_they_say() -> None:
    assert Problem(("a",), "type", "x") == Problem(("a",), "type", "x") != Problem(("a",), "type", "y")


@record
class Perhaps:
    """A word or null."""
    word: str | None = wire(default=None, choices=("a", "b"))


def test_a_schema_allows_null_where_the_reader_does() -> None:
    named: dict[str, dict[str, object]] = {}
    schema_of(Perhaps, named)
    assert named["Perhaps"]["properties"]["word"]["enum"] == ["a", "b", None]
    assert decode(Perhaps, {"word": None}).word is None
    assert problems(Perhaps, {"word": "c"}) == [("$.word", "enum", "a b", "")]
