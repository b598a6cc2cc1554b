"""What travels under `/mesh/agents`, and how agents are shown to peers."""

from __future__ import annotations

from ...base.records import record, wire


@record
class AgentCapability:
    """One ability of an agent."""
    name: str = wire()
    kind: str = wire()
    available: bool = wire()
    description: str = wire()
    metadata: dict = wire()


@record
class AgentSession:
    """One run of an agent."""
    id: str = wire()
    agent_id: str = wire()
    runtime: str = wire()
    status: str = wire()
    started_at: str = wire()
    last_heartbeat_at: str = wire()
    ended_at: str | None = wire()
    current_task: str = wire()
    current_project: str = wire()
    summary: str = wire()
    metadata: dict = wire()


@record
class AgentPresence:
    """An agent that is known here, and whether it is at work."""
    organism_id: str = wire()
    peer_id: str = wire()
    agent_id: str = wire()
    agent_name: str = wire()
    agent_type: str = wire()
    runtime: str = wire()
    role: str = wire()
    scope: str = wire()
    interface: str = wire()
    status: str = wire()
    mesh_session_id: str = wire()
    capabilities: list[str] = wire()
    capability_cards: list[AgentCapability] = wire()
    active_session: AgentSession | None = wire()


@record
class Beacon:
    """A short message that an agent leaves for others."""
    id: str = wire()
    text: str = wire()
    domain: str = wire()
    agent_id: str = wire()
    agent_name: str = wire()
    energy: float = wire()
    metadata: dict = wire()
    created_at: str = wire()
