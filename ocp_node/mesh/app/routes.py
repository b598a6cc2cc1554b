"""What may be asked under `/mesh/app`."""

from ...contract.limits import MESH_BODY_BYTES_MAX
from ...contract.route import Auth, Lane, Route

ROUTES = (
    Route("mesh.app.status", "GET", "/mesh/app/status",
          "Show the node's state as the app page needs it.",
          Auth.PUBLIC, Lane.WORKER, "status", reply="Status",
          contract={"handler": "_handle_mesh_app_status", "group": "runtime", "response": "AppStatus"}),
    Route("mesh.app.history", "GET", "/mesh/app/history",
          "List samples of the node's state, oldest first.",
          Auth.PUBLIC, Lane.WORKER, "history", reply="History", query="HistoryPage",
          contract={"handler": "_handle_mesh_app_history", "group": "runtime", "query": {"limit": "integer"},
                    "response": "AppStatusHistory"}),
    Route("mesh.app.sample", "POST", "/mesh/app/history/sample",
          "Take a sample of the node's state now.",
          Auth.OPERATOR, Lane.WORKER, "sample", reply="Sampled", body="Source", body_bytes_max=MESH_BODY_BYTES_MAX,
          contract={"handler": "_handle_mesh_app_history_sample", "group": "runtime", "body": {"source": "string"},
                    "request": "AppHistorySampleRequest", "response": "AppHistorySampleResponse"}),
)
