"""What may be asked under `/mesh/secrets`."""

from ...contract.limits import OPS_BODY_BYTES_MAX
from ...contract.route import Auth, Lane, Route

ROUTES = (
    Route("mesh.secrets.list", "GET", "/mesh/secrets",
          "List the names of secrets, for loopback callers and the operator.",
          Auth.PUBLIC, Lane.INLINE, "list_all", reply="SecretList", query="Listing",
          contract={"handler": "_handle_mesh_secrets", "group": "ops", "query": {"limit": "integer", "scope": "string"},
                    "response": "SecretList"}),
    Route("mesh.secrets.put", "POST", "/mesh/secrets/put",
          "Store or replace a secret value.",
          Auth.OPERATOR, Lane.WORKER, "put", reply="Stored", body="Put", body_bytes_max=OPS_BODY_BYTES_MAX,
          contract={"handler": "_handle_mesh_secret_put", "group": "ops",
                    "body": {"metadata": "object", "name": "string", "scope": "string", "value": "string"},
                    "response": "Object"}),
)
