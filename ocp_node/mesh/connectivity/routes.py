"""What may be asked under `/mesh/connectivity`."""

from ...contract.route import Auth, Lane, Route

ROUTES = (
    Route("mesh.connectivity.diagnostics", "GET", "/mesh/connectivity/diagnostics",
          "Show the addresses under which this node can be reached and what stands in the way.",
          Auth.PUBLIC, Lane.WORKER, "diagnostics", reply="Diagnostics",
          contract={"handler": "_handle_mesh_connectivity_diagnostics", "group": "runtime", "response": "Object"}),
)
