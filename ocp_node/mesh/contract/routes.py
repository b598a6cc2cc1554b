"""What may be asked under `/mesh/contract`."""

from ...contract.route import Auth, Lane, Route

ROUTES = (
    Route("mesh.contract.show", "GET", "/mesh/contract",
          "Show the contract: every route, schema and conformance fixture.",
          Auth.PUBLIC, Lane.INLINE, "show", cached=True, static=True,
          contract={"handler": "_handle_mesh_contract", "group": "runtime", "response": "ContractSnapshot"}),
)
