"""What may be asked under `/mesh/scheduler`."""

from ...contract.route import Auth, Lane, Route

ROUTES = (
    Route("mesh.scheduler.decisions", "GET", "/mesh/scheduler/decisions",
          "List placement decisions, newest first.",
          Auth.PUBLIC, Lane.INLINE, "decisions", reply="DecisionList", query="DecisionsQuery",
          contract={"handler": "_handle_mesh_scheduler_decisions", "group": "ops",
                    "query": {"limit": "integer", "status": "string", "target_type": "string"},
                    "response": "SchedulerDecisionList"}),
)
