"""Who ordered what: operator orders leave an event with the caller's address and kind of credential.

The events are of the surface `node`: the operator's time-line shows them, the mesh's public stream does not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..base.settings import operator_token

if TYPE_CHECKING:
    from ..contract.route import Call
    from ..core import Core
    from ..store.writer import WriteConnection

EVENT = "node.audit"
TOKEN, LOOPBACK, SIGNATURE = "operator_token", "loopback", "peer_signature"


class Audit:
    """Notes orders of one node."""

    def __init__(self, core: Core) -> None:
        self._settings = core.settings
        self._credential = ""

    def note(self, connection: WriteConnection, call: Call, subject: str = "", credential: str = "") -> None:
        """The order stands in the event table with the change that carries it out; inside that change."""
        connection.event(EVENT, surface="node", subject=subject, payload={
            "route": call.route.id, "address": call.caller.address, "credential": credential or self._operator_credential()})

    def _operator_credential(self) -> str:
        """What operators of this node show: the same for all of them as long as the process runs."""
        if not self._credential:
            self._credential = TOKEN if operator_token(self._settings) else LOOPBACK
        return self._credential
