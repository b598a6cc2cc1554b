"""What may be asked under `/mesh/treaties`."""

from ...contract.limits import OPS_BODY_BYTES_MAX
from ...contract.route import Auth, Lane, Route

ROUTES = (
    Route("mesh.treaties.list", "GET", "/mesh/treaties",
          "List treaties, latest update first.",
          Auth.PUBLIC, Lane.INLINE, "list_all", reply="TreatyList", query="Listing",
          contract={"handler": "_handle_mesh_treaties", "group": "ops",
                    "query": {"limit": "integer", "status": "string", "treaty_type": "string"}, "response": "TreatyList"}),
    Route("mesh.treaties.show", "GET", "/mesh/treaties/{treaty_id...}",
          "Show one treaty.",
          Auth.PUBLIC, Lane.INLINE, "show", reply="Treaty",
          contract={"handler": "_handle_mesh_treaty_get", "group": "ops", "response": "Treaty"}),
    Route("mesh.treaties.propose", "POST", "/mesh/treaties/propose",
          "Propose or change a treaty.",
          Auth.OPERATOR, Lane.WORKER, "propose", reply="Proposed", body="Propose", body_bytes_max=OPS_BODY_BYTES_MAX,
          contract={"handler": "_handle_mesh_treaty_propose", "group": "ops",
                    "body": {"summary": "string", "title": "string", "treaty_id": "string", "treaty_type": "string"},
                    "response": "Object"}),
    Route("mesh.treaties.audit", "POST", "/mesh/treaties/audit",
          "Check whether the treaties an operation asks for are in force.",
          Auth.OPERATOR, Lane.WORKER, "audit", reply="TreatyAudit", body="AuditRequest", body_bytes_max=OPS_BODY_BYTES_MAX,
          contract={"handler": "_handle_mesh_treaty_audit", "group": "ops",
                    "body": {"metadata": "object", "operation": "string", "treaty_requirements": "array"},
                    "request": "TreatyAuditRequest", "response": "Object"}),
    Route("mesh.treaties.sign", "POST", "/mesh/treaties/{treaty_id...}/sign",
          "Take a party's signature under a treaty.",
          Auth.SIGNED, Lane.WORKER, "sign", reply="Signed", body="Anything", body_bytes_max=OPS_BODY_BYTES_MAX, extra=True),
)
