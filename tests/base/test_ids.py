"""Names from chance, and foreseeable ones."""

from __future__ import annotations

import re

import pytest

from ocp_node.base.ids import CountedIds, Ids


def test_a_uuid_has_the_form_of_version_4() -> None:
    names = {Ids().uuid() for _ in range(200)}
    assert len(names) == 200
    assert all(re.fullmatch(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", name) for name in names)


@pytest.mark.parametrize("digits", [0, 1, 7, 8, 31, 32, 64])
def test_hex_has_as_many_digits_as_asked_for(digits: int) -> None:
    assert re.fullmatch(f"[0-9a-f]{{{digits}}}", Ids().hex(digits))


def test_bytes_have_the_length_asked_for() -> None:
    assert [len(Ids().bytes(count)) for count in (0, 1, 24)] == [0, 1, 24]


def test_counted_names_are_foreseeable_and_differ() -> None:
    one, other = CountedIds(), CountedIds()
    assert [one.uuid(), one.hex(8)] == [other.uuid(), other.hex(8)] == ["00000000-0000-4000-8000-000000000001", "00000002"]
