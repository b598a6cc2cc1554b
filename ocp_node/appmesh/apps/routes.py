"""What may be asked of App Mesh apps."""

from ...contract.limits import APPMESH_BODY_BYTES_MAX
from ...contract.route import Auth, Lane, Route

ROUTES = (
    Route("appmesh.apps.list", "GET", "/appmesh/applications",
          "List the applications the caller may read.",
          Auth.APPMESH, Lane.WORKER, "list_all", needs="app-view-all"),
    Route("appmesh.apps.show", "GET", "/appmesh/app/{app}",
          "Show one application.",
          Auth.APPMESH, Lane.WORKER, "show", needs="app-view", reply="Shown"),
    Route("appmesh.apps.health", "GET", "/appmesh/app/{app}/health",
          "Tell 0 when an application is healthy, else 1.",
          Auth.PUBLIC, Lane.INLINE, "health"),
    Route("appmesh.apps.output", "GET", "/appmesh/app/{app}/output",
          "Read what an application printed, waiting for its end if asked to.",
          Auth.APPMESH, Lane.STREAM, "output", needs="app-output-view", query="OutputQuery"),
    Route("appmesh.apps.put", "PUT", "/appmesh/app/{app}",
          "Define or redefine an application.",
          Auth.APPMESH, Lane.WORKER, "put", needs="app-reg", body="Definition", reply="Shown",
          body_bytes_max=APPMESH_BODY_BYTES_MAX),
    Route("appmesh.apps.enable", "POST", "/appmesh/app/{app}/enable",
          "Let an application run.",
          Auth.APPMESH, Lane.WRITE, "enable", needs="app-control", reply="Message"),
    Route("appmesh.apps.disable", "POST", "/appmesh/app/{app}/disable",
          "Stop an application and keep it stopped.",
          Auth.APPMESH, Lane.WRITE, "disable", needs="app-control", reply="Message"),
    Route("appmesh.apps.delete", "DELETE", "/appmesh/app/{app}",
          "Stop an application and forget it.",
          Auth.APPMESH, Lane.WRITE, "delete", reply="Message"),
)
