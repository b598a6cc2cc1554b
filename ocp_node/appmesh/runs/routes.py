"""What may be asked of App Mesh runs."""

from ...contract.limits import APPMESH_BODY_BYTES_MAX
from ...contract.route import Auth, Lane, Route, planned

ROUTES = planned((
    Route("appmesh.runs.run", "POST", "/appmesh/app/run",
          "Start a command and answer at once with its name.",
          Auth.APPMESH, Lane.WORKER, "run", needs="app-run-async", body_bytes_max=APPMESH_BODY_BYTES_MAX),
    Route("appmesh.runs.run_and_wait", "POST", "/appmesh/app/syncrun",
          "Run a command and answer with its output when it has ended.",
          Auth.APPMESH, Lane.LONG, "run_and_wait", needs="app-run-sync", body_bytes_max=APPMESH_BODY_BYTES_MAX),
))
