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


@record
class Handoff:
    """Work that an agent of a peer handed over."""
    id: str = wire()
    request_id: str = wire()
    from_peer_id: str = wire()
    to_peer_id: str = wire()
    from_agent: str = wire()
    to_agent: str = wire()
    summary: str = wire(length_max=4096)
    intent: str = wire(length_max=4096)
    constraints: dict = wire()
    artifact_refs: list[object] = wire(items_max=100)
    status: str = wire()
    created_at: str = wire()
    updated_at: str = wire()
    deduped: bool = wire(default=False, about="the same request came before; this is what it gave then")


@record
class Taken:
    """The hand-off is in the inbox."""
    status: str = wire()
    handoff: Handoff = wire()
