"""Roles: kept in memory, because every request asks what its caller may do; changed through the one writer."""

from __future__ import annotations

from typing import Any

from ...base.errors import Refusal
from ...contract.route import Call, Reply, Write
from ...core import Core, Rooms
from ..dialect import json_body
from ..users.rules import checked_name
from . import rules, table


class Roles:
    """All roles with their permissions.  Written after commits only."""

    def __init__(self, core: Core) -> None:
        with core.reader.snapshot() as connection:
            self.all: dict[str, frozenset[str]] = table.everything(connection)

    def begin(self, connection: Any) -> None:
        """Inside a change: a node without roles has those of App Mesh."""
        if not table.count(connection):
            for name, permissions in rules.DEFAULT_ROLES.items():
                self.put(connection, name, frozenset(permissions))

    def put(self, connection: Any, name: str, permissions: frozenset[str]) -> None:
        """Inside a change: the role holds these permissions, or is gone when there are none."""
        if permissions:
            table.put(connection, name, permissions)
        else:
            table.delete(connection, name)
        connection.after_commit(lambda: self.all.__setitem__(name, permissions) if permissions else self.all.pop(name, None))


def list_all(room: Roles, call: Call) -> Reply:
    """GET /appmesh/roles: each role with its permissions, sorted."""
    return Reply({name: sorted(permissions) for name, permissions in room.all.items()})


def permissions(room: Roles, call: Call) -> Reply:
    """GET /appmesh/permissions: everything that some role allows."""
    return Reply(sorted(frozenset().union(*room.all.values())))


def put(room: Roles, call: Call) -> Write:
    """POST /appmesh/role/{role}: the role holds exactly these permissions; none at all removes it."""
    name, wanted = checked_name(call.path["role"].strip()), rules.checked_permissions(json_body(call.raw))
    by = call.caller.subject.user.name

    def change(connection: Any) -> None:
        if wanted and table.count(connection) >= rules.ROLES_MAX:
            raise Refusal("invalid_request", f"there are already {rules.ROLES_MAX} roles")
        room.put(connection, name, wanted)
        connection.event("appmesh.role.changed", surface="appmesh", subject=name,
                         payload={"permissions": sorted(wanted), "by": by})

    return Write(change, lambda _: Reply({"message": "Role update success"}))


def delete(room: Roles, call: Call) -> Write:
    """DELETE /appmesh/role/{role}: the role is gone, if it ever was."""
    name, by = call.path["role"].strip(), call.caller.subject.user.name

    def change(connection: Any) -> None:
        room.put(connection, name, frozenset())
        connection.event("appmesh.role.changed", surface="appmesh", subject=name, payload={"permissions": [], "by": by})

    return Write(change, lambda _: Reply({"message": "Role delete success"}))


def build(core: Core, rooms: Rooms) -> Roles:
    return Roles(core)
