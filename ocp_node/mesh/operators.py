"""Routes that are open to some callers and ask all others for what operators present."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..http.wire import Head

if TYPE_CHECKING:
    from ..contract.route import Call
    from ..core import Core


def require_operator(core: Core, call: Call) -> None:
    """The caller is an operator, or is refused as on an operator route."""
    head = Head()
    head.method, head.headers, head.path = call.route.method, dict(call.headers), call.target.partition("?")[0]
    assert core.edge is not None
    core.edge.app.gates.require_operator(head, call.caller)
