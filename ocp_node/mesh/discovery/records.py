"""What travels under `/mesh/discovery`."""

from __future__ import annotations

from ...base.records import record, wire
from ..connectivity.records import Diagnostics
from ..device_profile.records import DeviceProfile
from ..peers.records import TreatyCompatibility


@record
class CandidatePage:
    """Which candidates to list."""
    limit: int = wire(default=25, about="at most so many, newest seen first")
    status: str = wire(default="", about="only those of exactly this status: discovered, connected or error")


@record
class Seek:
    """Where to look: URLs, then hosts, then every address of a network."""
    base_urls: list[str] = wire(factory=list, about="http:// is put before what has no scheme")
    hosts: list[str] = wire(factory=list, about="names or addresses, called at `port`; what has a scheme is a URL")
    cidr: str = wire(default="", length_max=64, about="all hosts of this network")
    port: int = wire(default=8421, minimum=1, maximum=65535)
    trust_tier: str = wire(default="trusted", length_max=40, about="for nodes that are connected to")
    auto_connect: bool = wire(default=False, about="connect to new nodes, sync with known ones")
    include_self: bool = wire(default=False)
    limit: int = wire(default=32, about="URLs at most; never more than 256")
    timeout: float = wire(default=2.0, about="seconds for each URL, 0.1 to 30")
    refresh_known: bool = wire(default=True, about="with auto_connect: sync with nodes that are peers already")


@record
class ScanLocal:
    """How to look around on the networks of this machine."""
    trust_tier: str = wire(default="trusted", length_max=40)
    timeout: float = wire(default=0.8, about="seconds for each address, 0.1 to 30")
    limit: int = wire(default=24, about="addresses at most; never more than 64")
    port: int = wire(default=0, minimum=0, maximum=65535, about="0: the port of this node")


@record
class Candidate:
    """A node that was found, or a URL where none answered."""
    base_url: str = wire()
    peer_id: str = wire(about="who answered there last; empty when nobody did")
    display_name: str = wire()
    endpoint_url: str = wire()
    status: str = wire(choices=("discovered", "connected", "error"))
    trust_tier: str = wire(about="of the call that found it")
    device_profile: DeviceProfile = wire()
    manifest: dict = wire(about="as it answered")
    habitat_roles: list[str] = wire()
    continuity_capabilities: dict = wire(about="as it says, else as its profile implies")
    treaty_capabilities: dict = wire(about="as it says, else as its profile implies")
    treaty_compatibility: TreatyCompatibility = wire()
    governance_summary: dict = wire(about="as it says")
    metadata: dict = wire(about="supported_features, candidate_kind, source: who named it; of directories node_did, verified")
    created_at: str = wire()
    updated_at: str = wire()
    last_seen_at: str = wire()
    last_error: str = wire()
    last_error_at: str = wire()


@record
class CandidateList:
    """The candidates, newest seen first."""
    peer_id: str = wire()
    count: int = wire(minimum=0)
    candidates: list[Candidate] = wire()


@record
class SeekResult:
    """What became of one URL."""
    base_url: str = wire()
    status: str = wire(choices=("discovered", "self", "connected", "error"))
    peer_id: str = wire(default="")
    display_name: str = wire(default="")
    error: str = wire(default="")
    code: str = wire(default="")
    candidate: Candidate = wire()
    connection: dict = wire(factory=dict, about="with auto_connect: what connecting or syncing brought")


@record
class Found:
    """What became of every URL."""
    peer_id: str = wire()
    count: int = wire(minimum=0)
    discovered: int = wire(minimum=0)
    connected: int = wire(minimum=0)
    errors: int = wire(minimum=0)
    results: list[SeekResult] = wire()


@record
class Scanned:
    """What the scan found, and where it looked."""
    peer_id: str = wire()
    count: int = wire(minimum=0)
    discovered: int = wire(minimum=0)
    connected: int = wire(minimum=0)
    errors: int = wire(minimum=0)
    results: list[SeekResult] = wire()
    suggested_urls: list[str] = wire()
    diagnostics: Diagnostics = wire()
