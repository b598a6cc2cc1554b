"""What may be asked under `/mesh/routes`."""

from ...contract.limits import MESH_BODY_BYTES_MAX
from ...contract.route import Auth, Lane, Route

ROUTES = (
    Route("mesh.routes.health", "GET", "/mesh/routes/health",
          "Show for each peer which route works and how fresh the proof is.",
          Auth.PUBLIC, Lane.WORKER, "health", reply="RouteList",
          contract={"handler": "_handle_mesh_routes_health", "group": "runtime", "response": "RouteHealthList"}),
    Route("mesh.routes.probe", "POST", "/mesh/routes/probe",
          "Try the routes to a peer and keep what was found.",
          Auth.OPERATOR, Lane.LONG, "probe", reply="ProbeResult", body="ProbeRequest", body_bytes_max=MESH_BODY_BYTES_MAX,
          contract={"handler": "_handle_mesh_routes_probe", "group": "runtime",
                    "body": {"base_url": "string", "limit": "integer", "peer_id": "string", "timeout": "number"},
                    "request": "RouteProbeRequest", "response": "RouteProbeResult"}),
)
