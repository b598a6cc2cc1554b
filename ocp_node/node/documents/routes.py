"""What may be asked of the node's own documents."""

from ...contract.route import Auth, Lane, Route, planned

ROUTES = planned((
    Route("node.documents.openapi", "GET", "/openapi.json",
          "Show every route of every surface as OpenAPI 3.1.",
          Auth.PUBLIC, Lane.INLINE, "openapi"),
))
