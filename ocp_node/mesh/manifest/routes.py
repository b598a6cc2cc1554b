"""What may be asked under `/mesh/manifest`."""

from ...contract.route import Auth, Lane, Route

ROUTES = (
    Route("mesh.manifest.show", "GET", "/mesh/manifest",
          "Show who this node is and what it offers.",
          Auth.PUBLIC, Lane.INLINE, "show", reply="Manifest", cached=True,
          contract={"handler": "_handle_mesh_manifest", "group": "runtime", "response": "MeshManifest"}),
)
