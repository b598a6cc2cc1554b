"""Who is at work on this node: registered agents and their sessions (OCP 0.1 agent presence).

Presence is a fact of the running process and lives in memory: after a restart an agent is there once it has registered again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ...core import Core

AGENTS_MAX = 1000                # registered at one time; the one that was silent longest makes room
SHOWN_SECONDS = 60               # a heartbeat is shown to the minute: a document must not differ for it at every reading


class Presence:
    """Registered agents, the control agent of the settings first."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._agents: dict[str, dict[str, Any]] = {}
        settings = core.settings
        if settings.agent_id:
            self.register(settings.agent_id, settings.agent_name, session_id=settings.session_id, runtime="ocp-node",
                          role="controller",
                          scope="node control plane", interface="http", capabilities=("mesh", "worker-runtime"),
                          task="serving mesh routes", alive=True)

    def register(self, agent_id: str, name: str, *, session_id: str = "", agent_type: str = "service", runtime: str = "",
                 role: str = "",
                 scope: str = "", interface: str = "", capabilities: tuple[str, ...] = (), task: str = "",
                 alive: bool = False) -> None:
        """The agent is present and its session active; an `alive` one is as long as the process runs."""
        now = self._core.clock.text()
        if len(self._agents) >= AGENTS_MAX and agent_id not in self._agents:
            silent = min(self._agents.values(), key=lambda agent: (agent["alive"], agent["heard"]))
            del self._agents[silent["shown"]["agent_id"]]
        node_id, session = self._core.identity.node_id, session_id or f"mesh:{agent_id}"
        shown = {"organism_id": node_id, "peer_id": node_id, "agent_id": agent_id, "agent_name": name or agent_id,
                 "agent_type": agent_type,
                 "runtime": runtime, "role": role, "scope": scope, "interface": interface, "status": "active",
                 "mesh_session_id": session,
                 "capabilities": list(capabilities), "capability_cards": [_card(word) for word in capabilities],
                 "active_session": {"id": session, "agent_id": agent_id, "runtime": runtime, "status": "active",
                                    "started_at": now,
                                    "last_heartbeat_at": now, "ended_at": None, "current_task": task, "current_project": "",
                                    "summary": "",
                                    "metadata": {}}}
        self._agents[agent_id] = {"shown": shown, "alive": alive, "heard": now}

    def heartbeat(self, agent_id: str, task: str = "") -> bool:
        """The agent was heard of now.  False when it is not registered."""
        agent = self._agents.get(agent_id)
        if agent is None:
            return False
        now, session = self._core.clock.text(), agent["shown"]["active_session"]
        changed = {**session, "last_heartbeat_at": now, "current_task": task or session["current_task"]} if session else None
        self._agents[agent_id] = {**agent, "heard": now, "shown": {**agent["shown"], "active_session": changed}}
        return True

    def end(self, agent_id: str) -> None:
        """The agent's session is over; the agent stays known as idle."""
        agent = self._agents.get(agent_id)
        if agent is not None:
            self._agents[agent_id] = {**agent, "shown": {**agent["shown"], "status": "idle", "active_session": None}}

    def shown(self, limit: int) -> list[dict[str, Any]]:
        """The first `limit` agents as peers see them."""
        return [self._shown(agent) for agent in list(self._agents.values())[:limit]]

    def _shown(self, agent: dict[str, Any]) -> dict[str, Any]:
        shown: dict[str, Any] = agent["shown"]
        if not agent["alive"]:
            return shown
        from ...base.clock import instant_text
        now = self._core.clock.time()
        heard = instant_text(now - now % SHOWN_SECONDS)
        session = shown["active_session"]
        return {**shown, "active_session": {**session, "last_heartbeat_at": max(heard, session["started_at"])}}


def _card(word: str) -> dict[str, Any]:
    return {"name": word, "kind": "agent-capability", "available": True, "description": "", "metadata": {}}
