"""What may be asked under `/mesh/stream`."""

from ...contract.route import Auth, Lane, Route

ROUTES = (
    Route("mesh.stream.read", "GET", "/mesh/stream",
          "Read the node's events after a cursor, once or over a WebSocket.",
          Auth.PUBLIC, Lane.STREAM, "read", reply="Snapshot", query="After",
          contract={"handler": "_handle_mesh_stream", "group": "runtime", "query": {"limit": "integer", "since": "integer"},
                    "response": "EventStreamSnapshot"}),
)
