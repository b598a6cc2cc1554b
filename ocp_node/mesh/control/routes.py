"""What may be asked under `/mesh/control`."""

from ...contract.route import Auth, Lane, Route

ROUTES = (
    Route("mesh.control.stream", "GET", "/mesh/control/stream",
          "Follow the control deck's state as server-sent events.",
          Auth.PUBLIC, Lane.STREAM, "stream", reply="Frame", query="Listen",
          contract={"handler": "_handle_control_stream", "group": "control",
                    "query": {"limit": "integer", "once": "boolean", "since": "integer"}, "response": "ControlStreamSSE"}),
)
