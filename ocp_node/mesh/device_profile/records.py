"""What travels under `/mesh/device-profile`, and the shapes that other rooms show of a profile."""

from __future__ import annotations

from ...base.records import record, whole, wire


@record
class ComputeProfile:
    """What the device can compute with."""
    cpu_cores: int = wire(minimum=1)
    cpu_threads: int = wire(minimum=1)
    memory_mb: int = wire(minimum=0)
    disk_mb: int = wire(minimum=0)
    gpu_count: int = wire(minimum=0)
    gpu_class: str = wire(choices=("none", "cuda", "rocm", "metal", "mps", "vulkan", "directml", "generic"))
    gpu_vram_mb: int = wire(minimum=0)
    fp16_tflops: float = wire(minimum=0)
    accelerators: list[str] = wire()
    supports_workload_classes: list[str] = wire()
    compute_tags: list[str] = wire()
    gpu_capable: bool = wire()


@record
class OffloadPolicy:
    """When the node asks helpers, and which."""
    enabled: bool = wire()
    mode: str = wire(choices=("manual", "approval", "auto"))
    pressure_threshold: str = wire(choices=("idle", "nominal", "elevated", "saturated"))
    max_auto_enlist: int = wire(minimum=1)
    min_candidate_score: int = wire()
    allowed_trust_tiers: list[str] = wire()
    allowed_device_classes: list[str] = wire()
    approval_trust_tiers: list[str] = wire()
    approval_device_classes: list[str] = wire()
    allow_battery_helpers: bool = wire()
    allow_remote_seek: bool = wire()
    notify_on_action: bool = wire()
    approval_for_gpu_helpers: bool = wire()
    allowed_workload_classes: list[str] = wire()
    approval_workload_classes: list[str] = wire()
    target_device_classes: list[str] = wire()


@record
class DeviceProfile:
    """A whole device profile, normalised."""
    device_class: str = wire(choices=("full", "light", "micro", "relay"))
    execution_tier: str = wire(choices=("heavy", "standard", "light", "control", "sensor"))
    power_profile: str = wire(choices=("line_powered", "battery", "mixed"))
    network_profile: str = wire(choices=("wired", "broadband", "wifi", "metered", "intermittent"))
    mobility: str = wire(choices=("fixed", "portable", "mobile", "wearable"))
    form_factor: str = wire(choices=("server", "workstation", "laptop", "tablet", "phone", "watch", "relay", "edge"))
    compute_ready: bool = wire()
    accepts_remote_jobs: bool = wire()
    artifact_mirror_capable: bool = wire()
    approval_capable: bool = wire()
    secure_secret_capable: bool = wire()
    intermittent: bool = wire()
    sleep_capable: bool = wire()
    battery_powered: bool = wire()
    preferred_sync_interval_seconds: int = wire(minimum=15)
    offline_grace_seconds: int = wire(minimum=15)
    labels: list[str] = wire()
    roles: list[str] = wire()
    compute_profile: ComputeProfile = wire()
    helper_state: str = wire(choices=("active", "draining", "retired"))
    helper_role: str = wire(choices=("", "controller", "helper", "relay", "drain"))
    offload_policy: OffloadPolicy = wire()


@record
class SyncPolicy:
    """How often and in which way a node is to be asked."""
    mode: str = wire(choices=("continuous", "intermittent"))
    sleep_capable: bool = wire()
    intermittent: bool = wire()
    preferred_sync_interval_seconds: int = wire()
    offline_grace_seconds: int = wire()
    delivery_mode: str = wire(choices=("continuous", "poll"))
    relay_recommended: bool = wire()


@record
class Shown:
    """The device profile."""
    status: str = wire()
    device_profile: DeviceProfile = wire()


@record
class Updated:
    """The device profile after a change."""
    status: str = wire()
    device_profile: DeviceProfile = wire()
    updated_at: str = wire()


@record
class Update:
    """Members to change: the two inner objects member by member, others replaced; null derives a member again."""
    device_profile: dict = wire(factory=dict, items_max=64)
    document: dict = whole()
