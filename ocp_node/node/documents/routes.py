"""What may be asked of the node's own documents."""

from ...contract.route import Auth, Lane, Route

ROUTES = (
    Route("node.documents.openapi", "GET", "/openapi.json",
          "Show every route of every surface as OpenAPI 3.1.",
          Auth.PUBLIC, Lane.INLINE, "openapi", cached=True, static=True),
)
