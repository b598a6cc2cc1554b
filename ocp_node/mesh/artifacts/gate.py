"""Who may have an artifact's content (OCP 0.1 private artifact content): operators anything, everybody what is public, and the
holder of a grant what it names.  The gate is asked before anything is said about whether the artifact exists."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ...base.errors import Refusal
from ...contract.route import Call
from ...core import Core, Rooms
from ...crypto import grants
from ...http.wire import Head
from ..parts import optional
from . import governance

if TYPE_CHECKING:
    from ...http.gates import Gates


class Gate:
    """Lets calls through, or refuses them as an operator route does."""

    def __init__(self, core: Core, rooms: Rooms) -> None:
        self._core = core
        self._rooms = rooms

    def admit_metadata(self, call: Call, artifact: Mapping[str, Any] | None) -> None:
        """Metadata are open to all, unless this node asks for its token for every read; a grant that stands opens them then."""
        if self._core.settings.read_auth != "token" or call.caller.operator:
            return
        presented = self._judged(call, artifact)
        if presented is None or artifact is None:
            self._require_operator(call)
        elif self._rooms["mesh.grants"].is_revoked(presented.grant_id):
            raise self._rejected(call, Refusal("unauthorized", "grant is revoked"))

    def admit_content(self, call: Call, artifact: Mapping[str, Any] | None) -> grants.Presented | None:
        """The caller may have the content: by itself (None), or by a grant that is good but for being spent."""
        if call.caller.operator or self._open_to_all(artifact):
            return None
        presented = self._judged(call, artifact)
        if presented is None or artifact is None:
            self._require_operator(call)
        return presented

    def spend(self, call: Call, presented: grants.Presented | None, artifact_id: str, *, resumed: bool) -> str:
        """The grant, if it takes one, was used once more; gives its id, or "".  In a long lane, once the content is at hand."""
        if presented is None:
            return ""
        room = self._rooms["mesh.grants"]
        try:
            self._core.writer.run(lambda connection: room.spend(connection, presented, artifact_id, resumed=resumed))
        except Refusal as reason:
            raise self._rejected(call, reason) from None
        return presented.grant_id

    def _open_to_all(self, artifact: Mapping[str, Any] | None) -> bool:
        """Public, and under no sealed treaty."""
        return (artifact is not None and artifact["policy"]["classification"] == "public"
                and self._core.settings.read_auth != "token" and not self._sealed(artifact))

    def _sealed(self, artifact: Mapping[str, Any]) -> bool:
        """Do its metadata or its content name a treaty of this node that is sealed?"""
        treaties = optional(self._rooms, "mesh.treaties")
        if treaties is None or not treaties.posture()["count"]:          # the content need not be read
            return False
        required = governance.requirements(artifact["metadata"]) or governance.requirements({}, self._payload(artifact))
        with self._core.reader.snapshot() as connection:
            found = treaties.validate(connection, required, governance.OPERATION)
        return governance.is_sealed(found)

    def _payload(self, artifact: Mapping[str, Any]) -> Any:
        replication = self._rooms["mesh.artifacts"].replication
        try:
            return replication.payload(artifact["media_type"], artifact["digest"], artifact["size_bytes"])
        except Refusal:                      # spoiled or gone: that is told where it is opened
            return None

    def _judged(self, call: Call, artifact: Mapping[str, Any] | None) -> grants.Presented | None:
        asked = grants.Asked(method="GET", path=call.target.partition("?")[0], artifact_id=call.path["artifact_id"],
                             digest=artifact["digest"] if artifact else "")
        try:
            presented: grants.Presented | None = self._rooms["mesh.grants"].judged(call.headers, asked)
        except Refusal as reason:
            raise self._rejected(call, reason) from None
        return presented

    def _require_operator(self, call: Call) -> None:
        self._gates.require_operator(_head(call), call.caller)

    def _rejected(self, call: Call, reason: Refusal) -> Refusal:
        """The ordinary refusal, with what is wrong with the grant.  Any other refusal stays what it is."""
        if reason.code != "unauthorized":
            return reason
        from ...http.gates import unauthorized
        made = unauthorized(_head(call), call.caller, self._gates.has_token)
        return Refusal(made.code, made.message, {**made.detail, "detail": f"capability grant rejected: {reason.message}"}, made.headers)

    @property
    def _gates(self) -> Gates:
        assert self._core.edge is not None
        return self._core.edge.app.gates


def _head(call: Call) -> Head:
    """As much of the request's head as a refusal tells."""
    head = Head()
    head.method, head.headers = call.route.method, dict(call.headers)
    head.path = call.target.partition("?")[0]
    return head
