"""What may be asked under `/mesh/cooperative-tasks`."""

from ...contract.limits import MESH_BODY_BYTES_MAX
from ...contract.route import Auth, Lane, Route

ROUTES = (
    Route("mesh.cooperative_tasks.list", "GET", "/mesh/cooperative-tasks",
          "List cooperative tasks, newest first.",
          Auth.PUBLIC, Lane.WORKER, "list_all", reply="TaskList", query="TasksQuery",
          contract={"handler": "_handle_mesh_cooperative_tasks", "group": "missions",
                    "query": {"limit": "integer", "state": "string"}, "response": "CooperativeTaskList"}),
    Route("mesh.cooperative_tasks.show", "GET", "/mesh/cooperative-tasks/{task_id}",
          "Show one cooperative task with its shards.",
          Auth.PUBLIC, Lane.LONG, "show", reply="Task",
          contract={"handler": "_handle_mesh_cooperative_task_get", "group": "missions", "response": "CooperativeTask"}),
    Route("mesh.cooperative_tasks.launch", "POST", "/mesh/cooperative-tasks/launch",
          "Cut a job into shards and place each on a node.",
          Auth.OPERATOR, Lane.LONG, "launch", reply="Task", body="Launch", body_bytes_max=MESH_BODY_BYTES_MAX,
          contract={"handler": "_handle_mesh_cooperative_task_launch", "group": "missions",
                    "body": {"base_job": "object", "name": "string", "shards": "array"}, "response": "Object"}),
)
