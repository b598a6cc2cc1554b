"""What may be asked under `/mesh/pressure`."""

from ...contract.route import Auth, Lane, Route

ROUTES = (
    Route("mesh.pressure.show", "GET", "/mesh/pressure",
          "Show how loaded this node is and whether it needs help.",
          Auth.PUBLIC, Lane.INLINE, "show", reply="Pressure",
          contract={"handler": "_handle_mesh_pressure", "group": "ops", "response": "MeshPressure"}),
)
