"""What may be asked under `/mesh/discovery`."""

from ...contract.limits import MESH_BODY_BYTES_MAX
from ...contract.route import Auth, Lane, Route

ROUTES = (
    Route("mesh.discovery.candidates", "GET", "/mesh/discovery/candidates",
          "List nodes that were found but need not be peers, newest seen first.",
          Auth.PUBLIC, Lane.WORKER, "list_all", reply="CandidateList", query="CandidatePage",
          contract={"handler": "_handle_mesh_discovery_candidates", "group": "runtime",
                    "query": {"limit": "integer", "status": "string"}, "response": "DiscoveryCandidateList"}),
    Route("mesh.discovery.seek", "POST", "/mesh/discovery/seek",
          "Look for nodes at given URLs, hosts or address ranges.",
          Auth.OPERATOR, Lane.LONG, "seek", reply="Found", body="Seek", body_bytes_max=MESH_BODY_BYTES_MAX,
          contract={"handler": "_handle_mesh_discovery_seek", "group": "runtime", "body": {"auto_connect": "boolean",
                    "base_urls": "array", "cidr": "string", "hosts": "array", "limit": "integer", "port": "integer",
                    "trust_tier": "string"}, "response": "Object"}),
    Route("mesh.discovery.scan_local", "POST", "/mesh/discovery/scan-local",
          "Look for nodes on the networks of this machine.",
          Auth.OPERATOR, Lane.LONG, "scan_local", reply="Scanned", body="ScanLocal", body_bytes_max=MESH_BODY_BYTES_MAX,
          contract={"handler": "_handle_mesh_discovery_scan_local", "group": "runtime",
                    "body": {"limit": "integer", "port": "integer", "timeout": "number", "trust_tier": "string"},
                    "response": "Object"}),
)
