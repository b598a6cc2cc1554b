"""What may be asked of App Mesh tasks."""

from ...contract.limits import TASK_BODY_BYTES_MAX
from ...contract.route import Auth, Lane, Route, planned

ROUTES = planned((
    Route("appmesh.tasks.send", "POST", "/appmesh/app/{app}/task",
          "Give an application a task and wait for its answer.",
          Auth.APPMESH, Lane.STREAM, "send", needs="app-run-task", body_raw=True, body_bytes_max=TASK_BODY_BYTES_MAX),
    Route("appmesh.tasks.cancel", "DELETE", "/appmesh/app/{app}/task",
          "Cancel the task an application works on.",
          Auth.APPMESH, Lane.INLINE, "cancel", needs="app-run-task"),
    Route("appmesh.tasks.fetch", "GET", "/appmesh/app/{app}/task",
          "Fetch the next task, as the program itself.",
          Auth.SIGNED, Lane.STREAM, "fetch"),
    Route("appmesh.tasks.answer", "PUT", "/appmesh/app/{app}/task",
          "Answer the task in work, as the program itself.",
          Auth.SIGNED, Lane.INLINE, "answer", body_raw=True, body_bytes_max=TASK_BODY_BYTES_MAX),
))
