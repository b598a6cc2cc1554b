"""What may be asked of App Mesh runs."""

from ...contract.limits import APPMESH_BODY_BYTES_MAX
from ...contract.route import Auth, Lane, Route

ROUTES = (
    Route("appmesh.runs.run", "POST", "/appmesh/app/run",
          "Start a command and answer at once with its name.",
          Auth.APPMESH, Lane.STREAM, "run", needs="app-run-async", query="Times", body="appmesh.apps.records:Definition",
          reply="Started",
          body_bytes_max=APPMESH_BODY_BYTES_MAX),
    Route("appmesh.runs.run_and_wait", "POST", "/appmesh/app/syncrun",
          "Run a command and answer with its output when it has ended.",
          Auth.APPMESH, Lane.STREAM, "run_and_wait", needs="app-run-sync", query="Times", body="appmesh.apps.records:Definition",
          body_bytes_max=APPMESH_BODY_BYTES_MAX),
)
