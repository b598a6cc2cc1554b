"""What may be asked under `/mesh/peers`."""

from ...contract.limits import MESH_BODY_BYTES_MAX, OPS_BODY_BYTES_MAX
from ...contract.route import Auth, Lane, Route

ROUTES = (
    Route("mesh.peers.list", "GET", "/mesh/peers",
          "List the known peers, latest seen first.",
          Auth.PUBLIC, Lane.INLINE, "list_all", reply="PeerList", query="Page",
          contract={"handler": "_handle_mesh_peers", "group": "runtime", "query": {"limit": "integer"}, "response": "PeerList"}),
    Route("mesh.peers.connect", "POST", "/mesh/peers/connect",
          "Reach a node by its URL, exchange cards with it and keep it as a peer.",
          Auth.OPERATOR, Lane.LONG, "connect", reply="Connected", query="ConnectOptions", body="Connect",
          body_bytes_max=MESH_BODY_BYTES_MAX,
          contract={"handler": "_handle_mesh_peers_connect", "group": "runtime",
                    "body": {"base_url": "string", "peer_id": "string", "trust_tier": "string"}, "response": "Object"}),
    Route("mesh.peers.connect_all", "POST", "/mesh/peers/connect-all",
          "Scan the neighbourhood and connect to every candidate found.",
          Auth.OPERATOR, Lane.LONG, "connect_all", reply="ConnectedAll", body="ConnectAll", body_bytes_max=MESH_BODY_BYTES_MAX,
          contract={"handler": "_handle_mesh_peers_connect_all", "group": "runtime",
                    "body": {"limit": "integer", "refresh_manifest": "boolean", "trust_tier": "string"}, "response": "Object"}),
    Route("mesh.peers.sync", "POST", "/mesh/peers/sync",
          "Fetch the events of a connected peer since the last time.",
          Auth.OPERATOR, Lane.LONG, "sync", reply="Synced", body="Sync", body_bytes_max=MESH_BODY_BYTES_MAX,
          contract={"handler": "_handle_mesh_peers_sync", "group": "runtime",
                    "body": {"limit": "integer", "peer_id": "string", "refresh_manifest": "boolean"}, "response": "Object"}),
    Route("mesh.peers.trust", "POST", "/mesh/peers/{peer_id}/trust",
          "Set a peer's trust tier, allow it remote execution, or forget its pinned key.",
          Auth.OPERATOR, Lane.WRITE, "trust", reply="TrustChanged", body="TrustChange", body_bytes_max=OPS_BODY_BYTES_MAX,
          extra=True),
)
