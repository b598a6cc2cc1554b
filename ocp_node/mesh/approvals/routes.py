"""What may be asked under `/mesh/approvals`."""

from ...contract.limits import OPS_BODY_BYTES_MAX
from ...contract.route import Auth, Lane, Route

ROUTES = (
    Route("mesh.approvals.list", "GET", "/mesh/approvals",
          "List approvals, newest first.",
          Auth.PUBLIC, Lane.INLINE, "list_all", reply="ApprovalList", query="Listing",
          contract={"handler": "_handle_mesh_approvals", "group": "ops", "query": {"limit": "integer", "status": "string",
                    "target_agent_id": "string", "target_peer_id": "string"}, "response": "ApprovalList"}),
    Route("mesh.approvals.request", "POST", "/mesh/approvals/request",
          "Ask a person to decide.",
          Auth.OPERATOR, Lane.WRITE, "request", reply="Requested", body="Request", body_bytes_max=OPS_BODY_BYTES_MAX,
          contract={"handler": "_handle_mesh_approval_request", "group": "ops",
                    "body": {"metadata": "object", "summary": "string", "title": "string"}, "response": "Object"}),
    Route("mesh.approvals.resolve", "POST", "/mesh/approvals/{approval_id}/resolve",
          "Approve, reject or defer a request.",
          Auth.OPERATOR, Lane.WORKER, "resolve", reply="Resolved", body="Resolve", body_bytes_max=OPS_BODY_BYTES_MAX,
          contract={"handler": "_handle_mesh_approval_resolve", "group": "ops",
                    "body": {"decision": "string", "metadata": "object", "operator_peer_id": "string"}, "response": "Object"}),
)
