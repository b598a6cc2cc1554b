"""The words for what went wrong."""

from __future__ import annotations

import pytest

from ocp_node.base.errors import Busy, Malformed, Problem, Refusal


@pytest.mark.parametrize("path, pointer, dotted", [
    ((), "", "$"),
    (("a",), "/a", "$.a"),
    (("a", "list", 0), "/a/list/0", "$.a.list[0]"),
    (("node/id",), "/node~1id", "$.node/id"),
    (("a~b",), "/a~0b", "$.a~b"),
    (("~1",), "/~01", "$.~1"),
    (("",), "/", "$."),
])
def test_a_place_is_written_as_a_json_pointer_and_with_dots(path: tuple[str | int, ...], pointer: str, dotted: str) -> None:
    problem = Problem(path, "type", "string", "null")
    assert (problem.pointer(), problem.dotted()) == (pointer, dotted)


def test_equal_problems_are_one_in_a_set() -> None:
    assert len({Problem(("a",), "type"), Problem(("a",), "type"), Problem(("b",), "type")}) == 2
    assert Problem((), "type") != "Problem('', 'type', '', '')"


def test_malformed_keeps_its_problems_and_its_code() -> None:
    assert Malformed().code == "invalid_request"
    fault = Malformed([Problem(("a",), "required")], "invalid_json", "no document")
    assert (fault.code, str(fault), fault.problems) == ("invalid_json", "no document", (Problem(("a",), "required"),))


def test_a_refusal_copies_its_detail() -> None:
    detail = {"id": "x"}
    refusal = Refusal("not_found", "job not found", detail)
    detail["id"] = "changed"
    assert refusal.detail == {"id": "x"}
    assert str(refusal) == "not_found: job not found"


def test_busy_says_when_to_come_back() -> None:
    assert Busy("the writer", 3).headers == (("Retry-After", "3"),)
