"""What a device profile means (OCP 0.1 device profile): words, defaults by device class, and what follows from them.

Only what somebody gave is kept; everything else is worked out again at each reading, so that a graphics card that is added
or removed later changes what follows from it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ...base.errors import Refusal

Members = dict[str, Any]

WORDS: Mapping[str, tuple[str, ...]] = {
    "device_class": ("full", "light", "micro", "relay"),
    "execution_tier": ("heavy", "standard", "light", "control", "sensor"),
    "power_profile": ("line_powered", "battery", "mixed"),
    "network_profile": ("wired", "broadband", "wifi", "metered", "intermittent"),
    "mobility": ("fixed", "portable", "mobile", "wearable"),
    "form_factor": ("server", "workstation", "laptop", "tablet", "phone", "watch", "relay", "edge"),
    "helper_state": ("active", "draining", "retired"),
    "helper_role": ("", "controller", "helper", "relay", "drain"),
}
# By device class: the default words, seconds between syncs, seconds of grace, roles.
BY_CLASS: Mapping[str, Members] = {
    "full": {"execution_tier": "standard", "power_profile": "line_powered", "network_profile": "broadband", "mobility": "fixed",
             "form_factor": "workstation", "sync": 30, "grace": 300, "roles": ["compute", "storage", "control"]},
    "light": {"execution_tier": "light", "power_profile": "battery", "network_profile": "wifi", "mobility": "mobile",
              "form_factor": "phone", "sync": 120, "grace": 1800, "roles": ["control", "approval", "edge"]},
    "micro": {"execution_tier": "sensor", "power_profile": "battery", "network_profile": "intermittent", "mobility": "wearable",
              "form_factor": "watch", "sync": 300, "grace": 3600, "roles": ["approval", "presence", "sensor"]},
    "relay": {"execution_tier": "control", "power_profile": "line_powered", "network_profile": "broadband", "mobility": "fixed",
              "form_factor": "relay", "sync": 60, "grace": 900, "roles": ["relay", "storage", "control"]},
}
DERIVED = ("compute_ready", "accepts_remote_jobs", "artifact_mirror_capable", "approval_capable", "secure_secret_capable",
           "intermittent", "sleep_capable")
SECONDS = ("preferred_sync_interval_seconds", "offline_grace_seconds")
SYNC_SECONDS_MIN = 15
CORES = {"heavy": 16, "standard": 8, "light": 4, "control": 2, "sensor": 1}
MEMORY_MB = {"heavy": 32768, "standard": 16384, "light": 6144, "control": 2048, "sensor": 512}
COMPUTING_TIERS = ("heavy", "standard", "light")
LARGE_GPU_MB = 16384
HEAVY_CORES = 16

GPU_CLASSES = ("none", "cuda", "rocm", "metal", "mps", "vulkan", "directml", "generic")
GPU_ALIASES = {"apple": "metal", "apple_silicon": "metal", "nvidia": "cuda", "amd": "rocm", "intel": "vulkan",
               "pytorch_mps": "mps",
               "d3d12": "directml", "gpu": "generic"}
WORKLOADS = ("default", "cpu_bound", "io_bound", "gpu_inference", "gpu_training", "mixed")
WORKLOAD_ALIASES = {"cpu": "cpu_bound", "io": "io_bound", "gpu": "gpu_inference", "inference": "gpu_inference",
                    "training": "gpu_training"}

COMPUTE_INTEGERS = ("cpu_cores", "cpu_threads", "memory_mb", "disk_mb", "gpu_count", "gpu_vram_mb")
COMPUTE_LISTS = ("accelerators", "supports_workload_classes", "compute_tags")
COMPUTE_ALIASES = {"cpu": "cpu_cores", "gpus": "gpu_count", "fp16_throughput_tflops": "fp16_tflops",
                   "workload_classes": "supports_workload_classes"}
OFFLOAD_SWITCHES = ("enabled", "allow_battery_helpers", "allow_remote_seek", "notify_on_action", "approval_for_gpu_helpers")
OFFLOAD_INTEGERS = ("max_auto_enlist", "min_candidate_score")
OFFLOAD_WORDS = {"mode": ("manual", "approval", "auto"), "pressure_threshold": ("idle", "nominal", "elevated", "saturated")}
OFFLOAD_LISTS: Mapping[str, tuple[str, ...]] = {
    "allowed_trust_tiers": ("trusted", "partner"), "allowed_device_classes": ("full", "relay"),
    "approval_trust_tiers": ("partner", "market", "public"), "approval_device_classes": ("light", "micro"),
    "allowed_workload_classes": (), "approval_workload_classes": (), "target_device_classes": ("full", "light", "micro"),
}
LIST_WORDS_MAX = 64
WORD_LENGTH_MAX = 64
NUMBER_MAX = 2**53 - 1
TRUE_WORDS = ("1", "true", "yes", "on", "enabled")
FALSE_WORDS = ("0", "false", "no", "off", "disabled", "")


# --- what was given ------------------------------------------------------------------------------------------------------

def merged(given: Mapping[str, Any], changes: Mapping[str, Any]) -> Members:
    """What is given after `changes`: the two inner objects member by member, everything else replaced; null forgets a member.

    `Refusal("invalid_request")` for a value of the wrong type.  Members that no profile has are left out.
    """
    made = {name: value for name, value in given.items() if name not in ("compute_profile", "offload_policy")}
    for name, value in changes.items():
        if name in _READERS:
            _put(made, name, _READERS[name], value)
    for name, readers in (("compute_profile", _COMPUTE), ("offload_policy", _OFFLOAD)):
        made[name] = _inner(name, readers, given.get(name, {}), changes.get(name))
    return made


def lenient(document: object) -> Members:
    """What a foreign profile gives; whatever is not right in it counts as not given."""
    made: Members = {}
    if isinstance(document, Mapping):
        for name in _READERS.keys() | {"compute_profile", "offload_policy"}:
            if name in document:
                made = _tried(made, name, document[name])
    return made


def _tried(made: Members, name: str, value: Any) -> Members:
    changes = [{name: {inner: value[inner]}} for inner in value] if isinstance(value, Mapping) else [{name: value}]
    for change in changes[:LIST_WORDS_MAX]:
        try:
            made = merged(made, change)
        except Refusal:
            continue
    return made


def given_of(profile: Mapping[str, Any]) -> Members:
    """What must have been given for a whole profile to be what it is: the members that do not follow from its words."""
    words = lenient({name: profile.get(name) for name in WORDS if name in profile})
    implied, whole = normalised(words), lenient(profile)
    for name in (*DERIVED, *SECONDS, "labels", "roles"):
        if whole.get(name) == implied[name]:
            whole.pop(name, None)
    for inner in ("compute_profile", "offload_policy"):
        whole[inner] = {name: value for name, value in whole.get(inner, {}).items() if value != implied[inner].get(name)}
    return whole


def _inner(name: str, readers: Mapping[str, Any], given: Mapping[str, Any], changes: Any) -> Members:
    if changes is None:
        return dict(given)
    if not isinstance(changes, Mapping):
        raise _wrong(name, "an object")
    made = dict(given)
    for member, value in changes.items():
        known = COMPUTE_ALIASES.get(str(member), str(member))
        if known in readers:
            _put(made, known, readers[known], value)
    return made


def _put(made: Members, name: str, reader: Any, value: Any) -> None:
    if value is None:
        made.pop(name, None)
    else:
        made[name] = reader(name, value)


def _word(name: str, value: Any) -> str:
    if not isinstance(value, str):
        raise _wrong(name, "a string")
    return value.strip().lower()[:WORD_LENGTH_MAX]


def _switch(name: str, value: Any) -> bool:
    if isinstance(value, str) and value.strip().lower() in TRUE_WORDS + FALSE_WORDS:
        return value.strip().lower() in TRUE_WORDS
    if not isinstance(value, (bool, int, float)):
        raise _wrong(name, "a boolean")
    return bool(value)


def _integer(name: str, value: Any) -> int:
    if isinstance(value, str) and value.strip().lstrip("+-").isdecimal() and len(value) <= 20:
        value = int(value)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if type(value) is not int or abs(value) > NUMBER_MAX:
        raise _wrong(name, "an integer")
    return value


def _number(name: str, value: Any) -> float:
    """The protocol takes whatever is no number here for 0."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        return 0.0
    return round(number, 3) if 0.0 <= number <= NUMBER_MAX else 0.0


def _list(name: str, value: Any) -> list[str]:
    if not isinstance(value, (list, tuple)) or not all(isinstance(word, str) for word in value):
        raise _wrong(name, "a list of strings")
    return _unique(word.strip().lower()[:WORD_LENGTH_MAX] for word in value)


def _wrong(name: str, what: str) -> Refusal:
    return Refusal("invalid_request", f"{name} must be {what}")


_READERS: Mapping[str, Any] = {**dict.fromkeys(WORDS, _word), **dict.fromkeys(DERIVED, _switch),
                               **dict.fromkeys(SECONDS, _integer),
                               "labels": _list, "roles": _list}
_COMPUTE: Mapping[str, Any] = {**dict.fromkeys(COMPUTE_INTEGERS, _integer), **dict.fromkeys(COMPUTE_LISTS, _list),
                               "gpu_class": _word, "fp16_tflops": _number}
_OFFLOAD: Mapping[str, Any] = {**dict.fromkeys(OFFLOAD_SWITCHES, _switch), **dict.fromkeys(OFFLOAD_INTEGERS, _integer),
                               **dict.fromkeys(OFFLOAD_WORDS, _word), **dict.fromkeys(OFFLOAD_LISTS, _list)}


# --- what follows --------------------------------------------------------------------------------------------------------

def normalised(given: Mapping[str, Any]) -> Members:
    """The whole profile that follows from what was given."""
    kind = _choice("device_class", given, "full")
    usual = BY_CLASS[kind]
    tier = _choice("execution_tier", given, usual["execution_tier"] if not given.get("execution_tier") else "standard")
    words = {name: _choice(name, given, usual[name]) for name in ("power_profile", "network_profile", "mobility", "form_factor")}
    profile: Members = {"device_class": kind, "execution_tier": tier, **words}
    profile |= _switches(given, profile)
    seconds = max(SYNC_SECONDS_MIN, given.get(SECONDS[0], usual["sync"]))
    profile |= {"battery_powered": words["power_profile"] != "line_powered", SECONDS[0]: seconds,
                SECONDS[1]: max(seconds, given.get(SECONDS[1], usual["grace"]))}
    compute = _compute(given.get("compute_profile", {}), tier)
    return {**profile, "labels": _unique([*given.get("labels", ()), *(["gpu_helper"] if compute["gpu_capable"] else [])]),
            "roles": _roles(given.get("roles") or usual["roles"], profile, compute), "compute_profile": compute,
            "helper_state": _choice("helper_state", given, "active"), "helper_role": _choice("helper_role", given, ""),
            "offload_policy": _offload(given.get("offload_policy", {}), profile)}


def _choice(name: str, given: Mapping[str, Any], usual: str) -> str:
    word = given.get(name, "")
    return word if word in WORDS[name] and word else usual


def _switches(given: Mapping[str, Any], profile: Members) -> Members:
    kind, tier, network, mobility = (profile[name] for name in ("device_class", "execution_tier", "network_profile", "mobility"))
    moves = mobility in ("mobile", "wearable")
    ready = given.get("compute_ready", tier in COMPUTING_TIERS and kind != "micro")
    intermittent = given.get("intermittent", network in ("metered", "intermittent") or moves)
    implied = {
        "compute_ready": ready,
        "accepts_remote_jobs": ready and tier in COMPUTING_TIERS and kind in ("full", "light"),
        "artifact_mirror_capable": kind in ("full", "light", "relay"),
        "approval_capable": True,
        "secure_secret_capable": kind in ("full", "light", "micro"),
        "intermittent": intermittent,
        "sleep_capable": intermittent or kind in ("light", "micro") or moves,
    }
    return {name: given.get(name, value) for name, value in implied.items()}


def _roles(roles: Iterable[str], profile: Members, compute: Members) -> list[str]:
    kind, added = profile["device_class"], []
    if profile["compute_ready"]:
        added.append("compute")
    if profile["artifact_mirror_capable"] and kind in ("full", "relay"):
        added.append("storage")
    if profile["approval_capable"] and kind in ("light", "micro"):
        added.append("approval")
    if compute["gpu_capable"]:
        added.append("compute")
    return _unique([*roles, *added])


def _compute(given: Mapping[str, Any], tier: str) -> Members:
    cores = max(1, given.get("cpu_cores", CORES[tier]))
    gpus, vram = max(0, given.get("gpu_count", 0)), max(0, given.get("gpu_vram_mb", 0))
    kind = gpu_class(given.get("gpu_class", "generic")) if gpus else "none"
    if gpus and kind == "none":
        kind = "generic"
    tags = [*(["gpu"] if gpus else []), *(["large_gpu"] if gpus and vram >= LARGE_GPU_MB else []),
            *(["cpu_heavy"] if cores >= HEAVY_CORES else [])]
    return {"cpu_cores": cores, "cpu_threads": max(cores, given.get("cpu_threads", cores)),
            "memory_mb": max(0, given.get("memory_mb", MEMORY_MB[tier])), "disk_mb": max(0, given.get("disk_mb", 0)),
            "gpu_count": gpus, "gpu_class": kind, "gpu_vram_mb": vram, "fp16_tflops": given.get("fp16_tflops", 0.0),
            "accelerators": _unique([*given.get("accelerators", ()), *([kind] if gpus else [])]),
            "supports_workload_classes": workload_classes(given.get("supports_workload_classes", ()))
            or _workloads(gpus, vram, tier),
            "compute_tags": _unique([*given.get("compute_tags", ()), *tags]), "gpu_capable": gpus > 0}


def gpu_class(word: str) -> str:
    """The GPU class a word names; `generic` for a kind we do not know."""
    word = GPU_ALIASES.get(word, word)
    return word if word in GPU_CLASSES else "generic"


def workload_classes(words: Iterable[str]) -> list[str]:
    """The workload classes that words name, each once; words that name none are left out."""
    return _unique(word for word in (WORKLOAD_ALIASES.get(word, word) for word in words) if word in WORKLOADS)


def _workloads(gpus: int, vram: int, tier: str) -> list[str]:
    large = gpus and vram >= LARGE_GPU_MB and tier in ("heavy", "standard")
    return ["default", "cpu_bound", "io_bound", *(["gpu_inference", "mixed"] if gpus else []),
            *(["gpu_training"] if large else [])]


def _offload(given: Mapping[str, Any], profile: Members) -> Members:
    strong = profile["device_class"] in ("full", "relay")
    usual = {"enabled": strong, "mode": "approval" if strong else "manual",
             "pressure_threshold": "saturated" if profile["battery_powered"] else "elevated", "max_auto_enlist": 2,
             "min_candidate_score": 0}
    made = {**usual, **{name: list(words) for name, words in OFFLOAD_LISTS.items()}, "allow_battery_helpers": False,
            "allow_remote_seek": False, "notify_on_action": True, "approval_for_gpu_helpers": True}
    for name in made:
        if name in OFFLOAD_WORDS:
            made[name] = given[name] if given.get(name) in OFFLOAD_WORDS[name] else made[name]
        elif name in given:
            made[name] = given[name]
    made["max_auto_enlist"] = max(1, made["max_auto_enlist"])
    return {name: made[name] for name in OFFLOAD_ORDER}


OFFLOAD_ORDER = ("enabled", "mode", "pressure_threshold", "max_auto_enlist", "min_candidate_score", "allowed_trust_tiers",
                 "allowed_device_classes", "approval_trust_tiers", "approval_device_classes", "allow_battery_helpers",
                 "allow_remote_seek",
                 "notify_on_action", "approval_for_gpu_helpers", "allowed_workload_classes", "approval_workload_classes",
                 "target_device_classes")


def _unique(words: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(word for word in words if word))[:LIST_WORDS_MAX]
