"""What may be asked under `/mesh/connectivity`."""

from ...contract.route import Auth, Lane, Route, planned

ROUTES = planned((
    Route("mesh.connectivity.diagnostics", "GET", "/mesh/connectivity/diagnostics",
          "Show the addresses under which this node can be reached and what stands in the way.",
          Auth.PUBLIC, Lane.INLINE, "diagnostics",
          contract={"handler": "_handle_mesh_connectivity_diagnostics", "group": "runtime", "response": "Object"}),
))
