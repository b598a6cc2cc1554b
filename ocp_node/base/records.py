"""Records: the name, type and bound of a field are written once; decoding, encoding and JSON Schema read them.

A record is a frozen, slotted dataclass with named arguments.  `wire(...)` gives a field its name and bounds on the wire:

    @record
    class Claim:
        '''A worker asks for work.'''
        job_id: str = wire(default="", length_max=200)
        ttl_seconds: int = wire(default=0, minimum=0, maximum=86400)

Supported types: str int float bool, `object` (any JSON value), dict (any object), `dict[str, T]`, `list[T]`,
`tuple[T, ...]`, `T | None` (null is allowed), enums with text values, and other records.
`True` is not an integer, `1.0` is not one either, an integer is a number.  Integers are those of 64 bits, and no text has U+0000:
the database keeps no others, and its functions see a text end there.
Unknown members are ignored; a record with a `whole()` field keeps the document as it came.
"""

from __future__ import annotations

import dataclasses
import enum
import re
import types
import typing
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from .errors import Malformed, Problem

T = TypeVar("T")
Place = tuple["str | int", ...]
Schema = dict[str, object]

MISSING: Any = dataclasses.MISSING
PROBLEMS_MAX = 50            # problems named in one answer; a hostile list must not become a longer one
LIST_ITEMS_MAX = 10_000      # where a field names no bound of its own
TEXT_LENGTH_MAX = 1_048_576  # characters, where a field names no bound of its own
INTEGER_MAX = 2**63 - 1


def wire(name: str = "", *, default: object = MISSING, factory: Callable[[], object] = MISSING, minimum: float | None = None,
         maximum: float | None = None, length_min: int = 0, length_max: int | None = None, pattern: str = "",
         choices: tuple[str, ...] = (), items_max: int | None = None, items_min: int = 0, about: str = "",
         check: Callable[[Any], str] | None = None) -> Any:
    """A field with its name and bounds on the wire; without `default` or `factory` it is required.

    `pattern` must match the whole text.  `check` gives the code of a problem, or "" when the value is right.
    """
    facts = {"name": name, "minimum": minimum, "maximum": maximum, "length_min": length_min, "length_max": length_max,
             "pattern": pattern, "choices": choices, "items_max": items_max, "items_min": items_min, "about": about,
             "check": check}
    if factory is not MISSING:
        return dataclasses.field(default_factory=factory, metadata=facts)
    return dataclasses.field(default=default, metadata=facts)


@typing.dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(wire,))
def record(made: type[T]) -> type[T]:
    """The class as a frozen, slotted dataclass whose arguments are named."""
    return dataclasses.dataclass(frozen=True, slots=True, kw_only=True, repr=False)(made)


def whole() -> Any:
    """A field that holds the whole document as it was decoded, unknown members included; it is not on the wire itself."""
    return dataclasses.field(default_factory=dict, repr=False, metadata={"whole": True})


@record
class Nothing:
    """No members are read."""


@record
class Anything:
    """Any object; the handler reads it as it came."""
    document: dict[str, Any] = whole()


class _Decoding:
    """Problems met so far, bounded."""

    __slots__ = ("problems",)

    def __init__(self) -> None:
        self.problems: list[Problem] = []

    def add(self, place: Place, code: str, expected: object = "", actual: str = "") -> None:
        if len(self.problems) < PROBLEMS_MAX:
            self.problems.append(Problem(place, code, str(expected), actual))


Reader = Callable[[Any, Place, _Decoding], Any]


def word_of(value: object) -> str:
    """The JSON word for a value's type."""
    if value is None:
        return "null"
    return {bool: "boolean", int: "integer", float: "number", str: "string", list: "array", dict: "object"}.get(type(value), "object")


def decode(kind: type[T], value: object) -> T:
    """The record that a JSON value spells.  `Malformed` names every wrong field at once."""
    decoding = _Decoding()
    made = _reader_of(kind)(value, (), decoding)
    if decoding.problems:
        raise Malformed(decoding.problems)
    return typing.cast(T, made)


def decode_texts(kind: type[T], texts: Mapping[str, str]) -> T:
    """The record that query parameters spell: each text is read as its field's type; an empty text counts as absent.

    A boolean is false for `0`, `false`, `no`, `off` and true for every other word.
    """
    decoding = _Decoding()
    members: dict[str, object] = {}
    for name, plain in _plan(kind).text_kinds.items():
        text = texts.get(name, "")
        if text:
            members[name] = _from_text(text, plain, name, decoding)
    made = None if decoding.problems else _reader_of(kind)(members, (), decoding)
    if decoding.problems:
        raise Malformed(decoding.problems)
    return typing.cast(T, made)


_INTEGER = re.compile(r"[+-]?[0-9]{1,19}\Z")
_NUMBER = re.compile(r"[+-]?[0-9]{1,19}(\.[0-9]{1,19})?\Z")
_FALSE_WORDS = frozenset({"0", "false", "no", "off"})


def _from_text(text: str, kind: type, name: str, decoding: _Decoding) -> object:
    if kind is int:
        if _INTEGER.match(text):
            return int(text)
        decoding.add((name,), "type", "integer", "string")
        return 0
    if kind is float:
        if _NUMBER.match(text):
            return float(text)
        decoding.add((name,), "type", "number", "string")
        return 0.0
    if kind is bool:
        return text.strip().lower() not in _FALSE_WORDS
    return text


class _Plan:
    """What decoding and encoding need to know of one record class; worked out once."""

    __slots__ = ("fields", "whole", "text_kinds", "make")

    def __init__(self, record: type) -> None:
        hints = typing.get_type_hints(record)
        self.make = record
        self.whole = ""
        self.fields: list[tuple[str, str, Reader, bool]] = []
        self.text_kinds: dict[str, type] = {}
        for item in dataclasses.fields(record):
            if item.metadata.get("whole"):
                self.whole = item.name
                continue
            name = item.metadata.get("name") or item.name
            required = item.default is MISSING and item.default_factory is MISSING
            self.fields.append((name, item.name, _bounded(_reader(hints[item.name]), item.metadata), required))
            self.text_kinds[name] = _plain(hints[item.name])


_plans: dict[type, _Plan] = {}


def _plan(record: type) -> _Plan:
    plan = _plans.get(record)
    if plan is None:
        plan = _plans[record] = _Plan(record)
    return plan


def _plain(hint: Any) -> type:
    """The plain type behind a hint (`int | None` is int); text when there is none."""
    for option in typing.get_args(hint) or (hint,):
        supertype = getattr(option, "__supertype__", option)
        if supertype in (int, float, bool):
            return typing.cast(type, supertype)
    return str


def _reader_of(record: type) -> Reader:
    plan = _plan(record)

    def read(value: Any, place: Place, decoding: _Decoding) -> Any:
        if type(value) is not dict:
            decoding.add(place, "type", "object", word_of(value))
            return None
        before = len(decoding.problems)
        made: dict[str, Any] = {}
        for name, attribute, reader, required in plan.fields:
            if name in value:
                made[attribute] = reader(value[name], (*place, name), decoding)
            elif required:
                decoding.add((*place, name), "required")
        if plan.whole:
            made[plan.whole] = value
        return plan.make(**made) if len(decoding.problems) == before else None

    return read


def _reader(hint: Any) -> Reader:
    """The reader for one type hint."""
    hint = getattr(hint, "__supertype__", hint)
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return _optional_reader(arguments)
    if origin in (list, tuple):
        return _list_reader(_reader(arguments[0]), tuple if origin is tuple else list)
    if origin in (dict, Mapping):
        return _map_reader(_reader(arguments[1]))
    if hint in _PLAIN:
        return _PLAIN[hint]
    if hint in (object, Any):
        return lambda value, place, decoding: value
    if isinstance(hint, type) and issubclass(hint, enum.Enum):
        return _enum_reader(hint)
    if dataclasses.is_dataclass(hint):
        return lambda value, place, decoding: _reader_of(typing.cast(type, hint))(value, place, decoding)
    raise TypeError(f"a record cannot hold {hint!r}")


def _typed(kind: type, word: str) -> Reader:
    def read(value: Any, place: Place, decoding: _Decoding) -> Any:
        if type(value) is not kind:                     # not isinstance: True is an int in Python
            decoding.add(place, "type", word, word_of(value))
        return value
    return read


def _text(value: Any, place: Place, decoding: _Decoding) -> Any:
    if type(value) is not str:
        decoding.add(place, "type", "string", word_of(value))
    elif "\0" in value:
        decoding.add(place, "nul")
    return value


def _number(value: Any, place: Place, decoding: _Decoding) -> Any:
    if type(value) not in (int, float):
        decoding.add(place, "type", "number", word_of(value))
        return 0.0
    return value


_PLAIN: dict[Any, Reader] = {
    str: _text, int: _typed(int, "integer"), bool: _typed(bool, "boolean"), dict: _typed(dict, "object"),
    list: _typed(list, "array"), float: _number,
}


def _optional_reader(options: tuple[Any, ...]) -> Reader:
    kinds = [option for option in options if option is not type(None)]
    if len(kinds) != 1:
        raise TypeError(f"a record field has one type, or one type and None, not {options!r}")
    inner, nullable = _reader(kinds[0]), type(None) in options

    def read(value: Any, place: Place, decoding: _Decoding) -> Any:
        return None if value is None and nullable else inner(value, place, decoding)

    return read


def _list_reader(item: Reader, make: Callable[[list[Any]], Any]) -> Reader:
    def read(value: Any, place: Place, decoding: _Decoding) -> Any:
        if type(value) is not list:
            decoding.add(place, "type", "array", word_of(value))
            return make([])
        if len(value) > LIST_ITEMS_MAX:
            decoding.add(place, "max-items", LIST_ITEMS_MAX)
            return make([])
        return make([item(member, (*place, index), decoding) for index, member in enumerate(value)])
    return read


def _map_reader(item: Reader) -> Reader:
    def read(value: Any, place: Place, decoding: _Decoding) -> Any:
        if type(value) is not dict:
            decoding.add(place, "type", "object", word_of(value))
            return {}
        return {name: item(member, (*place, name), decoding) for name, member in value.items()}
    return read


def _enum_reader(kind: type[enum.Enum]) -> Reader:
    words = {member.value: member for member in kind}

    def read(value: Any, place: Place, decoding: _Decoding) -> Any:
        if type(value) is not str:
            decoding.add(place, "type", "string", word_of(value))
        elif value not in words:
            decoding.add(place, "enum", " ".join(words))
        else:
            return words[value]
        return None

    return read


def _bounded(reader: Reader, facts: Mapping[str, Any]) -> Reader:
    """`reader`, and then the bounds of the field; a value of the wrong type is not looked at further."""
    tests = _bounds(facts)

    def read(value: Any, place: Place, decoding: _Decoding) -> Any:
        before = len(decoding.problems)
        made = reader(value, place, decoding)
        if made is not None and len(decoding.problems) == before:
            for test, code, bound in tests:
                if not test(made):
                    decoding.add(place, code, bound)
                    break
            else:
                check = facts.get("check")
                if check and (code := check(made)):
                    decoding.add(place, code)
        return made

    return read


def _bounds(facts: Mapping[str, Any]) -> list[tuple[Callable[[Any], bool], str, object]]:
    tests: list[tuple[Callable[[Any], bool], str, object]] = []
    minimum, maximum = facts.get("minimum"), facts.get("maximum")
    if minimum is not None:
        tests.append((lambda value: value >= minimum, "minimum", minimum))
    if maximum is not None:
        tests.append((lambda value: value <= maximum, "maximum", maximum))
    tests.append((lambda value: type(value) is not int or value <= INTEGER_MAX, "maximum", INTEGER_MAX))
    tests.append((lambda value: type(value) is not int or value >= -INTEGER_MAX, "minimum", -INTEGER_MAX))
    length_min, items_min = facts.get("length_min") or 0, facts.get("items_min") or 0
    length_max = TEXT_LENGTH_MAX if facts.get("length_max") is None else facts["length_max"]
    items_max = LIST_ITEMS_MAX if facts.get("items_max") is None else facts["items_max"]
    tests.append((lambda value: not isinstance(value, str) or len(value) <= length_max, "max-length", length_max))
    if length_min:
        tests.append((lambda value: not isinstance(value, str) or len(value) >= length_min, "min-length", length_min))
    tests.append((lambda value: not isinstance(value, (list, tuple, dict)) or len(value) <= items_max, "max-items", items_max))
    if items_min:
        tests.append((lambda value: len(value) >= items_min, "min-items", items_min))
    if facts.get("choices"):
        words = frozenset(facts["choices"])
        tests.append((lambda value: value in words, "enum", " ".join(facts["choices"])))
    if facts.get("pattern"):
        form = re.compile(facts["pattern"])
        tests.append((lambda value: form.fullmatch(value) is not None, "pattern", facts["pattern"]))
    return tests


def encode(value: Any) -> Any:
    """A record, or lists and objects of records, as JSON values with the names of the wire."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        plan = _plan(type(value))
        return {name: encode(getattr(value, attribute)) for name, attribute, _, _ in plan.fields}
    if isinstance(value, dict):
        return {name: encode(member) for name, member in value.items()}
    if isinstance(value, (list, tuple)):
        return [encode(member) for member in value]
    return value.value if isinstance(value, enum.Enum) else value


# --- JSON Schema -----------------------------------------------------------------------------------------------------

def schema_of(record: type, named: dict[str, Schema], prefix: str = "#/components/schemas/") -> Schema:
    """A reference to the record's JSON Schema (2020-12); the schema itself and those it needs are put into `named`."""
    name = schema_name(record)
    if name not in named:
        named[name] = {}                                  # claimed first: a record may hold itself
        named[name] = _object_schema(record, named, prefix)
    return {"$ref": prefix + name}


def schema_name(record: type) -> str:
    """`mesh.jobs.Submit` for a record of that room, so that two rooms may use one word; the bare name outside this package."""
    package, _, place = record.__module__.partition(".")
    if package != __name__.partition(".")[0]:
        return record.__name__
    return f"{place.removesuffix('.records')}.{record.__name__}"


def _object_schema(record: type, named: dict[str, Schema], prefix: str) -> Schema:
    hints = typing.get_type_hints(record)
    properties: dict[str, object] = {}
    required: list[str] = []
    for item in dataclasses.fields(record):
        if item.metadata.get("whole"):
            continue
        name = item.metadata.get("name") or item.name
        shape = _hint_schema(hints[item.name], named, prefix)
        properties[name] = {**shape, **_bound_schema(item.metadata, shape)}
        if item.default is MISSING and item.default_factory is MISSING:
            required.append(name)
        elif item.default is not MISSING and isinstance(item.default, (str, int, float, bool)):
            properties[name]["default"] = encode(item.default)      # type: ignore[index]
    schema: Schema = {"type": "object", "properties": properties}
    if required:
        schema["required"] = required
    if record.__doc__ and not record.__doc__.startswith(record.__name__ + "("):
        schema["description"] = record.__doc__.strip().splitlines()[0]
    return schema


_PLAIN_SCHEMAS: dict[Any, Schema] = {str: {"type": "string"}, int: {"type": "integer"}, float: {"type": "number"},
                                     bool: {"type": "boolean"}, dict: {"type": "object"}, list: {"type": "array"}}


def _hint_schema(hint: Any, named: dict[str, Schema], prefix: str) -> Schema:
    hint = getattr(hint, "__supertype__", hint)
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        inner = _hint_schema(next(option for option in arguments if option is not type(None)), named, prefix)
        return {"anyOf": [inner, {"type": "null"}]}
    if origin in (list, tuple):
        return {"type": "array", "items": _hint_schema(arguments[0], named, prefix)}
    if origin in (dict, Mapping):
        return {"type": "object", "additionalProperties": _hint_schema(arguments[1], named, prefix)}
    if hint in _PLAIN_SCHEMAS:
        return dict(_PLAIN_SCHEMAS[hint])
    if isinstance(hint, type) and issubclass(hint, enum.Enum):
        return {"type": "string", "enum": [member.value for member in hint]}
    if dataclasses.is_dataclass(hint):
        return schema_of(typing.cast(type, hint), named, prefix)
    return {}


def _bound_schema(facts: Mapping[str, Any], shape: Schema) -> Schema:
    kind = shape.get("type", "")
    words = {"minimum": facts.get("minimum"), "maximum": facts.get("maximum"), "pattern": facts.get("pattern") or None,
             "description": facts.get("about") or None, "enum": list(facts.get("choices") or ()) or None}
    if words["enum"] and "anyOf" in shape:
        words["enum"] = [*words["enum"], None]                # null is allowed beside the words
    if kind == "string":
        words |= {"minLength": facts.get("length_min") or None, "maxLength": facts.get("length_max")}
    if kind == "array":
        words |= {"minItems": facts.get("items_min") or None, "maxItems": facts.get("items_max")}
    return {word: bound for word, bound in words.items() if bound is not None}
