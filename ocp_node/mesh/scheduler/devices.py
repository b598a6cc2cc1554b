"""What a device can take, and how well it suits a job (OCP 0.1 device limits and device score); pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .placement import GPU_WORK, Job

Members = dict[str, Any]

# Most of cores, memory, disk and graphics processors that one job may ask of a tier; None: as much as the device reports.
CAPS: Mapping[str, tuple[float | None, float | None, float | None, int]] = {
    "light": (1, 1024, 2048, 0), "standard": (4, 8192, 16384, 0), "heavy": (None, None, None, 0), "control": (0, 0, 0, 0),
    "sensor": (0, 0, 0, 0)}
# What a job asks for, where the device reports it, and why it is refused.
BOUNDED = (("cpu", "cpu_cores", "device_cpu_limit"), ("memory_mb", "memory_mb", "device_memory_limit"),
           ("disk_mb", "disk_mb", "device_disk_limit"))
CLASS_POINTS = {"full": 90, "light": -40, "micro": -260, "relay": -180}
UNSTEADY = frozenset({"metered", "intermittent"})
TRAINING_VRAM_MB = 16_384


def limit(profile: Mapping[str, Any], job: Job) -> str:
    """Why the device cannot take the job at all, or ""."""
    if job.needs_worker and not profile["compute_ready"]:
        return "device_not_compute_ready"
    if job.needs_worker and not profile["accepts_remote_jobs"] and profile["device_class"] != "full":
        return "device_declines_remote_jobs"
    compute, caps = profile["compute_profile"], CAPS.get(profile["execution_tier"], CAPS["standard"])
    for (wanted, reported, reason), cap in zip(BOUNDED, caps):
        most = _least(cap, compute[reported])
        if most is not None and job.resources.get(wanted, 0) > most:
            return reason
    return "device_gpu_limit" if job.resources.get("gpus", 0) > max(caps[3], compute["gpu_count"]) else ""


def _least(cap: float | None, reported: float) -> float | None:
    """The bound of a tier, lowered to what the device reports; a device that reports nothing has the bound of its tier."""
    if not reported:
        return cap
    return reported if cap is None else min(cap, reported)


def named(profile: Mapping[str, Any]) -> list[str]:
    """The five facts of the device that stand in every list of reasons."""
    return [f"device_class={profile['device_class']}", f"execution_tier={profile['execution_tier']}",
            f"network_profile={profile['network_profile']}", f"mobility={profile['mobility']}",
            f"sync_interval={profile['preferred_sync_interval_seconds']}"]


def unsuited(profile: Mapping[str, Any], job: Job, remote: bool) -> str:
    """Why the device does not suit the job, or ""."""
    placement, compute = job.placement, profile["compute_profile"]
    of_workers = _worker_reasons(profile, compute, job, remote) if job.needs_worker else ()
    others = (
        (placement["require_stable_network"] and profile["network_profile"] in UNSTEADY, "stable_network_required"),
        (placement["require_artifact_mirror"] and not profile["artifact_mirror_capable"], "artifact_mirror_required"),
        (placement["required_device_classes"] and profile["device_class"] not in placement["required_device_classes"],
         "device_class_denied"))
    return next((reason for holds, reason in (*of_workers, *others) if holds), "")


def _worker_reasons(profile: Mapping[str, Any], compute: Mapping[str, Any], job: Job,
                    remote: bool) -> tuple[tuple[Any, str], ...]:
    placement, capable, vram = job.placement, compute["gpu_capable"], compute["gpu_vram_mb"]
    trains = placement["workload_class"] == "gpu_training"
    return (
        (remote and profile["helper_state"] == "retired", "helper_retired"),
        (placement["gpu_required"] and not capable, "gpu_required_not_available"),
        (trains and "gpu_training" not in compute["supports_workload_classes"] and vram < TRAINING_VRAM_MB,
         "workload_class_not_supported"),
        (capable and 0 < vram < placement["min_gpu_vram_mb"], "gpu_vram_insufficient"),
        (0 < compute["memory_mb"] < placement["min_memory_mb"], "memory_insufficient"),
        (0 < compute["cpu_cores"] < placement["min_cpu_cores"], "cpu_cores_insufficient"),
        (profile["intermittent"] and not job.resumable, "intermittent_requires_resumable_job"))


def score(profile: Mapping[str, Any], job: Job, remote: bool) -> tuple[int, list[str]]:
    """The points of a device that suits the job, and the reasons that have a name."""
    parts = [(CLASS_POINTS.get(profile["device_class"], 0), ""), *_compute(profile, job), *_steadiness(profile, job),
             *_placement(profile, job)]
    if job.needs_worker and profile["device_class"] == "full":
        parts += [(30, "full_compute_bonus"), *([(30, "stable_recovery_bonus")] if job.resumable else [])]
    if remote and profile["mobility"] in ("mobile", "wearable"):
        parts.append((-50, "mobile_remote_penalty"))
    return sum(points for points, _ in parts), [reason for _, reason in parts if reason]


def _compute(profile: Mapping[str, Any], job: Job) -> list[tuple[int, str]]:
    placement, compute, parts = job.placement, profile["compute_profile"], []
    workload, cores, memory = placement["workload_class"], compute["cpu_cores"], compute["memory_mb"]
    if job.needs_worker:
        parts += [(80, "cpu_many_cores_bonus")] if cores >= 32 else [(30, "cpu_cores_bonus")] if cores >= 8 else []
        parts += [(40, "memory_large_bonus")] if memory >= 65536 else [(15, "memory_mid_bonus")] if memory >= 16384 else []
    if workload in GPU_WORK and compute["gpu_capable"]:
        parts.append((260 if workload == "gpu_training" else 180, f"gpu_match_{workload}"))
        if placement["gpu_class_preferred"] and placement["gpu_class_preferred"] == compute["gpu_class"]:
            parts.append((90, "gpu_class_preferred_match"))
        if placement["min_gpu_vram_mb"] and compute["gpu_vram_mb"] >= placement["min_gpu_vram_mb"]:
            parts.append((40, "gpu_vram_sufficient"))
    elif workload in GPU_WORK:
        parts.append((-120, "gpu_missing_penalty"))
    elif workload == "cpu_bound" and cores >= 8:
        parts.append((60, "cpu_bound_match"))
    return parts


def _steadiness(profile: Mapping[str, Any], job: Job) -> list[tuple[int, str]]:
    parts: list[tuple[int, str]] = []
    if profile["helper_state"] == "draining":
        parts.append((-220, "helper_draining_penalty" if job.needs_worker else ""))
    elif profile["helper_state"] == "active" and profile["helper_role"] == "helper":
        parts.append((45, "active_helper_bonus"))
    if profile["intermittent"]:
        parts.append((-90, "intermittent_penalty"))
        if job.needs_worker and job.resumable:
            parts.append((35, "intermittent_resume_capable"))
            parts += [(25, "artifact_mirror_ready")] if profile["artifact_mirror_capable"] else []
    return parts


def _placement(profile: Mapping[str, Any], job: Job) -> list[tuple[int, str]]:
    placement, network, parts = job.placement, profile["network_profile"], []
    if placement["avoid_battery"] and profile["battery_powered"]:
        parts.append((-120, "battery_penalty"))
    if profile["device_class"] in placement["preferred_device_classes"]:
        parts.append((140, "preferred_device_class"))
    if placement["batch"]:
        parts += [(40, "fixed_batch_bonus")] if profile["mobility"] == "fixed" else []
        parts += [(30, "stable_network_bonus")] if network in ("wired", "broadband") else []
        parts += [(-45, "sleep_batch_penalty")] if profile["sleep_capable"] else []
    if placement["latency_sensitive"] and network in UNSTEADY:
        parts.append((-80, "latency_network_penalty"))
    return parts
