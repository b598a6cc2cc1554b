"""Parts that other rooms provide, and what strangers see of anything."""

from __future__ import annotations

from typing import Any

import pytest

from ocp_node.base.log import silent
from ocp_node.mesh.lists import bounded
from ocp_node.mesh.parts import Parts, optional
from ocp_node.mesh.redaction import redacted


class SomeRooms:
    """Rooms by name; others do not exist."""

    def __init__(self, **rooms: Any) -> None:
        self._rooms = rooms
        self.asked: list[str] = []

    def __getitem__(self, name: str) -> Any:
        self.asked.append(name)
        room = self._rooms.get(name.removeprefix("mesh."))
        if room is None:
            raise ModuleNotFoundError(name, name=f"ocp_node.{name}.room")
        return room() if callable(room) else room


def test_a_part_without_a_room_is_its_empty_default() -> None:
    rooms = SomeRooms()
    parts = Parts(rooms, silent(), {"queue": "mesh.queue"}, {"queue": lambda: {"count": 0},
                                                             "other": list})  # type: ignore[arg-type]
    assert parts.value("queue") == {"count": 0} and parts.value("other") == []
    assert parts.value("queue") == {"count": 0} and rooms.asked == ["mesh.queue"]      # not asked for again and again


def test_a_room_is_built_when_its_part_is_wanted() -> None:
    parts: Parts
    rooms = SomeRooms(queue=lambda: parts.part("queue", lambda: {"count": 7}) or "queue")
    parts = Parts(rooms, silent(), {"queue": "mesh.queue"}, {"queue": dict})  # type: ignore[arg-type]
    assert parts.value("queue") == {"count": 7}


def test_a_room_that_is_there_already_names_its_parts() -> None:
    class Room:
        offers = {"queue": (lambda: {"lock_token": "t", "count": 7}, None), "other": (dict, None)}

    parts = Parts(SomeRooms(queue=Room), silent(), {"queue": "mesh.queue"}, {"queue": dict})  # type: ignore[arg-type]
    assert parts.value("queue") == {"lock_token": "t", "count": 7} and parts.value("queue", trusted=False) == {"count": 7}


@pytest.mark.parametrize("trusted, public, shown", [(True, False, {"lock_token": "t", "a": 1}), (False, False, {"a": 1}),
                                                    (False, True, {"b": 2})])
def test_a_part_is_shown_as_its_caller_may_see_it(trusted: bool, public: bool, shown: dict[str, Any]) -> None:
    parts = Parts(SomeRooms(), silent(), {}, {"queue": dict})  # type: ignore[arg-type]
    parts.part("queue", lambda: {"lock_token": "t", "a": 1}, (lambda: {"b": 2}) if public else None)
    assert parts.value("queue", trusted) == shown


def test_a_room_that_cannot_be_built_or_a_provider_that_fails_leaves_the_part_empty() -> None:
    def fails() -> Any:
        raise OSError("disk")

    parts = Parts(SomeRooms(queue=fails), silent(), {"queue": "mesh.queue"},
                  {"queue": dict, "jobs": dict})  # type: ignore[arg-type]
    parts.part("jobs", fails)
    assert parts.value("queue") == {} and parts.value("jobs") == {}


def test_only_a_room_that_is_not_there_counts_as_missing() -> None:
    class Broken:
        def __getitem__(self, name: str) -> Any:
            raise ModuleNotFoundError("x", name="some.dependency")

    assert optional(SomeRooms(), "mesh.nothing") is None  # type: ignore[arg-type]
    with pytest.raises(ModuleNotFoundError):
        optional(Broken(), "mesh.queue")  # type: ignore[arg-type]


@pytest.mark.parametrize("value, shown", [
    ({"payload_inline": {"a": 1}, "id": "x"}, {"id": "x"}),
    ({"spec": {"execution": {"command": ["rm"], "inline_code": "x", "env": {}, "payload": 1, "timeout": 5}}},
     {"spec": {"execution": {"timeout": 5}}}),
    ({"metadata": {"job_spec": {"execution": {"command": 1}, "kind": "k"}}}, {"metadata": {"job_spec": {"kind": "k"}}}),
    ({"lease": {"lock_token": "t", "metadata": {"registry_lock": {}, "note": 1}}}, {"lease": {"metadata": {"note": 1}}}),
    ([{"path": "/home/me/x"}, {"path": "C:\\x"}, {"path": "relative/x"}, {"path": 5}],
     [{}, {}, {"path": "relative/x"}, {"path": 5}]),
    ({"command": "kept elsewhere", "payload": {"kept": True}}, {"command": "kept elsewhere", "payload": {"kept": True}}),
    ("text", "text"), (None, None), ([], []),
])
def test_what_strangers_do_not_see(value: Any, shown: Any) -> None:
    before = repr(value)
    assert redacted(value) == shown and repr(value) == before


@pytest.mark.parametrize("limit, when_zero, count", [(25, 1, 25), (0, 1, 1), (0, 25, 25), (-3, 25, 1), (500, 1, 500),
                                                     (501, 1, 500), (10**9, 1, 500)])
def test_lists_are_bounded(limit: int, when_zero: int, count: int) -> None:
    assert bounded(limit, when_zero) == count
