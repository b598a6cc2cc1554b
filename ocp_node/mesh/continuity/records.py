"""What travels about keeping missions alive."""

from __future__ import annotations

from ...base.records import record, wire
from ..missions.records import Mission, MissionContinuity


@record
class Export:
    """How a mission is packed."""
    dry_run: object = wire(default=None, about="boolean, true when absent: nothing is stored")
    include_artifacts: object = wire(default=None, about="boolean: checkpoint and results go into the vessel, up to 4 MiB")
    metadata: object = wire(default=None, about="object: kept in the vessel with the order")
    operator_id: object = wire(default=None, about="text: who orders it")
    reason: object = wire(default=None, about="text")


@record
class Verify:
    """Which vessel is checked."""
    artifact_id: object = wire(default=None, about="text")
    vessel_artifact_id: object = wire(default=None, about="text: the same")
    include_content: object = wire(default=None, about="boolean, true when absent: the vessel's document is in the answer")


@record
class RestorePlan:
    """For which vessel, and where, a restore is planned."""
    artifact_id: object = wire(default=None, about="text")
    vessel_artifact_id: object = wire(default=None, about="text: the same")
    target_peer_id: object = wire(default=None, about="text: where the mission should go on")
    constraints: object = wire(default=None, about="object: device_classes, trust_tiers, peer_ids (arrays) and connected "
                                                   "(boolean) narrow the devices")
    operator_id: object = wire(default=None, about="text: who asks")
    reason: object = wire(default=None, about="text")


@record
class Compatibility:
    """How far a device's treaties and this node's work together."""
    advisory_state: str = wire(choices=("full", "advisory", "limited"))
    shared_treaty_validation: bool
    remote_custody_review: bool
    custody_pairing_ready: bool
    reasons: list[str]
    summary: str


@record
class Device:
    """A device on which a mission could go on."""
    peer_id: str
    display_name: str
    trust_tier: str
    device_class: str
    execution_tier: str
    form_factor: str
    habitat_roles: list[str]
    continuity_capabilities: dict
    treaty_capabilities: dict
    treaty_compatibility: Compatibility
    connected: bool
    current: bool = wire(about="it has a job of the mission")
    sleep_capable: bool
    relay_recommended: bool
    stability: str = wire(choices=("stable", "portable", "compact"))
    summary: str


@record
class Treaties:
    """Whether the treaties that are asked for are in force."""
    satisfied: bool
    operation: str
    required: list[str]
    matched: list[dict]
    missing: list[str]
    inactive: list[str]


@record
class RecoveryAdvice:
    """Whether and how the mission can go on."""
    recoverable: bool
    checkpoint_ready: bool
    recommended_action: str
    reason: str


@record
class Held:
    """An artifact of the mission."""
    label: str
    available: bool
    artifact: dict
    pinned: bool


@record
class HeldArtifacts:
    """Where the mission could go on from, and what it has brought."""
    checkpoint: Held
    result_bundle: Held


@record
class Action:
    """Something the operator can do with the mission."""
    action: str
    label: str
    description: str
    primary: bool


@record
class Governed:
    """What treaties the mission asks for, and how they stand."""
    treaty_requirements: list[str]
    treaty_audit: dict


@record
class ContinuitySummary:
    """How a mission could go on after a loss."""
    mission_id: str
    title: str
    status: str
    continuity_state: str = wire(choices=("ready_to_continue", "attention_needed", "in_progress", "completed", "stopped",
                                          "preparing"))
    headline: str
    operator_summary: str
    intent: str
    recommended_action: str
    recommended_action_label: str
    current_devices: list[Device]
    recommended_device: dict = wire(about="one of the safe devices, {} when there is none")
    recommended_treaty_device: dict = wire(about="one of the safe devices that takes what treaties govern, or {}")
    safe_devices: list[Device]
    preferred_target_device_classes: list[str]
    recovery: RecoveryAdvice
    artifacts: HeldArtifacts
    treaty_validation: Treaties
    governance: Governed
    available_actions: list[Action]
    mission: Mission
    continuity: MissionContinuity
    latest_checkpoint_ref: dict
    checkpoints: list[dict]


@record
class Exported:
    """The packed mission; only a real export has stored it."""
    status: str = wire(choices=("planned", "exported"))
    dry_run: bool
    mission_id: str
    artifact_kind: str
    continuity_state: str
    warnings: list[str]
    treaty_validation: Treaties
    governance: dict
    vessel: dict = wire(about="what another node needs to go on with the mission, without secrets")
    witness: dict = wire(about="this node's signed word that it packed it")
    vessel_ref: dict = wire(about="the stored vessel; {} in a dry run")
    witness_ref: dict = wire(about="the stored witness; {} in a dry run")


@record
class VesselCopy:
    """A vessel that is stored here."""
    artifact: dict
    payload: dict


@record
class WitnessCopy:
    """A witness of the vessel, and whether it holds."""
    artifact: dict
    payload: dict
    subject_matches: bool
    digest_matches: bool
    signature_valid: bool = wire(about="signed by this node, or by a peer with the key it is known by")


@record
class Available:
    """An artifact that a vessel names."""
    required: bool
    available: bool
    artifact: dict
    included: bool = wire(default=False, about="its bytes are in the vessel itself")


@record
class Availability:
    """Which of the artifacts that a vessel names can be had here."""
    checkpoint_ref: Available
    result_bundle_ref: Available
    result_ref: Available


@record
class MissingRef:
    """An artifact that a vessel names and that cannot be had here."""
    role: str
    artifact_id: str
    digest: str


@record
class Verified:
    """Whether a packed mission is whole and unchanged."""
    status: str = wire(choices=("verified", "attention_needed"))
    mission_id: str
    treaty_validation: Treaties
    vessel: VesselCopy
    witnesses: list[WitnessCopy]
    artifact_availability: Availability
    missing_refs: list[MissingRef]
    warnings: list[str]
    artifact_id: str
    valid: bool
    governance: dict
    referenced_artifacts: list[dict]


@record
class PlanArtifacts:
    """Which artifacts a restore could use."""
    checkpoint: Available
    result_bundle: Available
    result: Available


@record
class Plan:
    """How a packed mission would be restored."""
    status: str = wire(choices=("ready", "attention_needed", "blocked"))
    dry_run: bool
    mission_id: str
    vessel_artifact_id: str
    recommended_action: str
    target: dict = wire(about="one of the safe devices, {} when there is none")
    recommended_treaty_device: dict
    safe_devices: list[Device] = wire(about="as this node sees them now")
    preferred_target_device_classes: list[str]
    artifacts: PlanArtifacts
    artifact_readiness: PlanArtifacts
    treaty_validation: Treaties
    governance: dict
    verification: Verified
    blockers: list[str]
    warnings: list[str]
    operator_request: dict
    exported_safe_devices: list[dict] = wire(about="as the exporter saw them")
