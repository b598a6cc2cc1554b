"""Every route of the program, joined and checked; it starts nothing.

The documents that follow from these routes are made by `ocp_node.contract.snapshot` (`GET /mesh/contract`),
`ocp_node.contract.openapi`, `scripts/export_contract.py` and `scripts/generate_docs.py`.
"""

from ocp_node.appmesh.surface import ROUTES as APPMESH
from ocp_node.contract.route import Route
from ocp_node.directory.surface import ROUTES as DIRECTORY
from ocp_node.mesh.surface import ROUTES as MESH
from ocp_node.node.surface import ROUTES as NODE
from ocp_node.oscp.surface import ROUTES as OSCP

ROUTES: tuple[Route, ...] = (*DIRECTORY, *MESH, *APPMESH, *OSCP, *NODE)
BY_ID: dict[str, Route] = {route.id: route for route in ROUTES}

assert len(BY_ID) == len(ROUTES), "two routes share an id"
assert len({(route.method, route.path) for route in ROUTES}) == len(ROUTES), "two routes share a request"
assert all(route.summary.endswith(".") for route in ROUTES), "a summary is a sentence"
