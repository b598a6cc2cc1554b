"""`call`: which argument goes where, and as what."""

from __future__ import annotations

import json
import sys
import types
from typing import Any

import pytest

from ocp_node.base.records import record, wire
from ocp_node.base.setting import WrongUse
from ocp_node.cli import call
from ocp_node.contract.route import Auth, Lane, Route


@record
class Asked:
    """A query."""
    limit: int = 25


@record
class Lease:
    """A body."""
    resource: str = ""
    ttl_seconds: int | None = None
    metadata: dict = wire(factory=dict)


ROUTES = {
    "list": Route("trial.list", "GET", "/trial", "List.", Auth.PUBLIC, Lane.INLINE, "listed", query="Asked"),
    "show": Route("trial.show", "GET", "/trial/{job_id}", "Show.", Auth.PUBLIC, Lane.INLINE, "show"),
    "acquire": Route("trial.acquire", "POST", "/trial/{room}", "Take.", Auth.OPERATOR, Lane.WRITE, "acquire", query="Asked",
                     body="Lease"),
    "planned": Route("trial.later", "POST", "/trial/later", "Later.", Auth.OPERATOR, Lane.WRITE, "", body="NotWritten"),
}


@pytest.fixture(autouse=True)
def room(monkeypatch: pytest.MonkeyPatch) -> None:
    module = types.ModuleType("ocp_node.trial.records")
    module.__dict__.update({"Asked": Asked, "Lease": Lease})
    monkeypatch.setitem(sys.modules, "ocp_node.trial", types.ModuleType("ocp_node.trial"))
    monkeypatch.setitem(sys.modules, "ocp_node.trial.records", module)


@pytest.mark.parametrize("route, values, parameters, members", [
    ("list", [], {}, {}),
    ("list", ["limit=5"], {"limit": "5"}, {}),
    ("list", ["limit=a=b", "other=x"], {"limit": "a=b", "other": "x"}, {}),
    ("show", ["job_id=job 1"], {"job_id": "job 1"}, {}),
    ("acquire", ["room=r", "limit=1", "resource=12", "ttl_seconds=60", 'metadata={"a":1}'], {"room": "r", "limit": "1"},
     {"resource": "12", "ttl_seconds": 60, "metadata": {"a": 1}}),
    ("acquire", ["ttl_seconds=null", "resource:=12"], {}, {"ttl_seconds": None, "resource": 12}),
    ("acquire", ["other=x", "more=[1]", 'text="1"', "flag=true"], {}, {"other": "x", "more": [1], "text": "1", "flag": True}),
    ("acquire", ["job.kind=demo", "job.command=echo hi", "job.n:=2"], {},
     {"job": {"kind": "demo", "command": "echo hi", "n": 2}}),
    ("planned", ["any=thing"], {}, {"any": "thing"}),
])
def test_arguments_fill_the_path_the_query_and_the_body(route: str, values: list[str], parameters: dict[str, Any],
                                                        members: dict[str, Any]) -> None:
    assert call.sorted_out(ROUTES[route], values) == (parameters, members)


@pytest.mark.parametrize("route, values, words", [
    ("list", ["limit"], "not name=value"), ("list", ["=5"], "not name=value"), ("list", [":=5"], "not name=value"),
    ("acquire", ["ttl_seconds=soon"], "not JSON"), ("acquire", ["a:=x"], "not JSON"),
    ("acquire", ["a=1", "a.b=2"], "has a value already"),
])
def test_an_argument_that_says_nothing_is_wrong_use(route: str, values: list[str], words: str) -> None:
    with pytest.raises(WrongUse) as caught:
        call.sorted_out(ROUTES[route], values)
    assert words in str(caught.value)


def test_a_body_is_json_where_it_is_json_and_bytes_where_not(tmp_path: Any) -> None:
    (tmp_path / "a").write_text(json.dumps({"x": 1}))
    (tmp_path / "b").write_bytes(b"\x00\xff")
    assert call._body(str(tmp_path / "a")) == {"x": 1}
    assert call._body(str(tmp_path / "b")) == b"\x00\xff"
