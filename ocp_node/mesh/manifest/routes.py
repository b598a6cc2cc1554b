"""What may be asked under `/mesh/manifest`."""

from ...contract.route import Auth, Lane, Route, planned

ROUTES = planned((
    Route("mesh.manifest.show", "GET", "/mesh/manifest",
          "Show who this node is and what it offers.",
          Auth.PUBLIC, Lane.INLINE, "show",
          contract={"handler": "_handle_mesh_manifest", "group": "runtime", "response": "MeshManifest"}),
))
