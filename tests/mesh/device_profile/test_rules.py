"""Device profiles by tables of cases (OCP 0.1 device profile)."""

from __future__ import annotations

from typing import Any

import pytest

from ocp_node.base.errors import Refusal
from ocp_node.mesh.device_profile import derived, rules

Members = dict[str, Any]


def whole(**given: Any) -> Members:
    return rules.normalised(rules.merged({}, given))


@pytest.mark.parametrize("kind, tier, power, network, mobility, form, sync, grace, roles", [
    ("full", "standard", "line_powered", "broadband", "fixed", "workstation", 30, 300, ["compute", "storage", "control"]),
    ("light", "light", "battery", "wifi", "mobile", "phone", 120, 1800, ["control", "approval", "edge", "compute"]),
    ("micro", "sensor", "battery", "intermittent", "wearable", "watch", 300, 3600, ["approval", "presence", "sensor"]),
    ("relay", "control", "line_powered", "broadband", "fixed", "relay", 60, 900, ["relay", "storage", "control"]),
])
def test_each_class_has_its_own_defaults(kind: str, tier: str, power: str, network: str, mobility: str, form: str, sync: int,
                                         grace: int,
                                         roles: list[str]) -> None:
    profile = whole(device_class=kind)
    assert (profile["execution_tier"], profile["power_profile"], profile["network_profile"], profile["mobility"],
            profile["form_factor"]) == (
        tier, power, network, mobility, form)
    assert (profile["preferred_sync_interval_seconds"], profile["offline_grace_seconds"]) == (sync, grace)
    assert profile["roles"] == roles


@pytest.mark.parametrize("kind, ready, accepts, mirrors, secrets, sleeps, battery", [
    ("full", True, True, True, True, False, False), ("light", True, True, True, True, True, True),
    ("micro", False, False, False, True, True, True), ("relay", False, False, True, False, False, False),
])
def test_each_class_can_do_what_it_can(kind: str, ready: bool, accepts: bool, mirrors: bool, secrets: bool, sleeps: bool,
                                       battery: bool) -> None:
    profile = whole(device_class=kind)
    assert [profile[name] for name in ("compute_ready", "accepts_remote_jobs", "artifact_mirror_capable", "secure_secret_capable",
                                       "sleep_capable", "battery_powered", "approval_capable")] == [
        ready, accepts, mirrors, secrets, sleeps, battery, True]


@pytest.mark.parametrize("given, member, value", [
    ({"device_class": " FULL "}, "device_class", "full"),
    ({"device_class": "toaster"}, "device_class", "full"),
    ({"device_class": "light", "execution_tier": "turbo"}, "execution_tier", "standard"),
    ({"form_factor": "spoon"}, "form_factor", "workstation"),
    ({"network_profile": "metered"}, "intermittent", True),
    ({"mobility": "portable"}, "intermittent", False),
    ({"mobility": "wearable"}, "sleep_capable", True),
    ({"intermittent": "off", "mobility": "mobile"}, "intermittent", False),
    ({"battery_powered": True}, "battery_powered", False),
    ({"power_profile": "mixed"}, "battery_powered", True),
    ({"preferred_sync_interval_seconds": 1}, "preferred_sync_interval_seconds", 15),
    ({"preferred_sync_interval_seconds": 600}, "offline_grace_seconds", 600),
    ({"offline_grace_seconds": "900"}, "offline_grace_seconds", 900),
    ({"labels": ["Blue", "blue", " ", "RED"]}, "labels", ["blue", "red"]),
    ({"roles": ["control"]}, "roles", ["control", "compute", "storage"]),
    ({"accepts_remote_jobs": 0}, "accepts_remote_jobs", False),
    ({"helper_state": "draining"}, "helper_state", "draining"),
    ({"helper_role": "boss"}, "helper_role", ""),
    ({"unknown": 1}, "labels", []),
])
def test_words_and_values_are_normalised(given: Members, member: str, value: object) -> None:
    assert whole(**given)[member] == value


@pytest.mark.parametrize("given, wrong", [
    ({"offline_grace_seconds": "long"}, "offline_grace_seconds must be an integer"),
    ({"offline_grace_seconds": 1.5}, "offline_grace_seconds must be an integer"),
    ({"offline_grace_seconds": 2**60}, "offline_grace_seconds must be an integer"),
    ({"compute_ready": "perhaps"}, "compute_ready must be a boolean"),
    ({"compute_ready": []}, "compute_ready must be a boolean"),
    ({"labels": "blue"}, "labels must be a list of strings"),
    ({"labels": [1]}, "labels must be a list of strings"),
    ({"device_class": 5}, "device_class must be a string"),
    ({"compute_profile": []}, "compute_profile must be an object"),
    ({"offload_policy": "auto"}, "offload_policy must be an object"),
    ({"compute_profile": {"cpu_cores": "many"}}, "cpu_cores must be an integer"),
    ({"offload_policy": {"enabled": {}}}, "enabled must be a boolean"),
])
def test_a_value_of_the_wrong_type_is_refused_by_name(given: Members, wrong: str) -> None:
    with pytest.raises(Refusal) as caught:
        rules.merged({}, given)
    assert (caught.value.code, caught.value.message) == ("invalid_request", wrong)


@pytest.mark.parametrize("given, expected", [
    ({}, {"gpu_class": "none", "gpu_count": 0, "accelerators": [], "compute_tags": [], "gpu_capable": False}),
    ({"gpus": 1, "gpu_class": "nvidia", "gpu_vram_mb": 24576},
     {"gpu_class": "cuda", "accelerators": ["cuda"], "compute_tags": ["gpu", "large_gpu"], "gpu_capable": True,
      "supports_workload_classes": ["default", "cpu_bound", "io_bound", "gpu_inference", "mixed", "gpu_training"]}),
    ({"gpu_count": 1, "gpu_class": "apple"}, {"gpu_class": "metal",
                                              "supports_workload_classes": ["default", "cpu_bound", "io_bound", "gpu_inference",
                                                                            "mixed"]}),
    ({"gpu_count": 1, "gpu_class": "quantum"}, {"gpu_class": "generic"}),
    ({"gpu_count": 1}, {"gpu_class": "generic"}),
    ({"gpu_class": "cuda"}, {"gpu_class": "none", "gpu_capable": False}),
    ({"gpu_count": -3}, {"gpu_count": 0, "gpu_capable": False}),
    ({"cpu": 32, "cpu_threads": 4}, {"cpu_cores": 32, "cpu_threads": 32, "compute_tags": ["cpu_heavy"]}),
    ({"cpu_cores": 0}, {"cpu_cores": 1}),
    ({"fp16_throughput_tflops": "12.34567"}, {"fp16_tflops": 12.346}),
    ({"fp16_tflops": "fast"}, {"fp16_tflops": 0.0}),
    ({"fp16_tflops": float("nan")}, {"fp16_tflops": 0.0}),
    ({"workload_classes": ["cpu", "training", "cpu_bound", "alchemy"]}, {"supports_workload_classes": ["cpu_bound",
                                                                                                       "gpu_training"]}),
])
def test_what_the_device_computes_with(given: Members, expected: Members) -> None:
    compute = whole(compute_profile=given)["compute_profile"]
    assert {name: compute[name] for name in expected} == expected


def test_a_graphics_card_that_is_removed_leaves_nothing_behind() -> None:
    given = rules.merged({}, {"compute_profile": {"gpu_count": 1, "gpu_class": "nvidia"}})
    assert "gpu_helper" in rules.normalised(given)["labels"]
    without = rules.normalised(rules.merged(given, {"compute_profile": {"gpu_count": 0}}))
    compute = without["compute_profile"]
    assert without["labels"] == [] and compute["accelerators"] == [] and compute["gpu_class"] == "none"


def test_an_explicit_value_stays_until_null_forgets_it() -> None:
    given = rules.merged({}, {"accepts_remote_jobs": False})
    given = rules.merged(given, {"form_factor": "laptop"})
    assert rules.normalised(given)["accepts_remote_jobs"] is False
    assert rules.normalised(rules.merged(given, {"accepts_remote_jobs": None}))["accepts_remote_jobs"] is True


def test_the_inner_objects_are_merged_member_by_member() -> None:
    given = rules.merged({}, {"offload_policy": {"mode": "auto", "max_auto_enlist": 0}})
    given = rules.merged(given, {"offload_policy": {"enabled": "no"}})
    policy = rules.normalised(given)["offload_policy"]
    assert (policy["mode"], policy["enabled"], policy["max_auto_enlist"]) == ("auto", False, 1)


def test_a_foreign_profile_is_read_as_far_as_it_is_right() -> None:
    read = rules.lenient({"device_class": "light", "labels": "x", "offline_grace_seconds": [],
                          "compute_profile": {"gpus": 1, "cpu": "no"},
                          "offload_policy": 5})
    profile = rules.normalised(read)
    assert profile["device_class"] == "light" and profile["labels"] == ["gpu_helper"]
    assert profile["compute_profile"]["gpu_count"] == 1
    assert rules.normalised(rules.lenient("nonsense")) == rules.normalised({})


@pytest.mark.parametrize("given", [
    {}, {"device_class": "micro"}, {"accepts_remote_jobs": False, "labels": ["a"]},
    {"compute_profile": {"cpu_cores": 3, "gpu_count": 2}},
    {"offload_policy": {"mode": "auto"}, "roles": ["storage"]},
])
def test_what_was_given_can_be_told_from_the_whole_profile(given: Members) -> None:
    profile = whole(**given)
    assert rules.normalised(rules.given_of(profile)) == profile


@pytest.mark.parametrize("given, mode, delivery, roles, continuity", [
    ({}, "continuous", "continuous", ["foundry", "archive", "sanctuary"], {"vessel_storage": True, "long_sleep": False,
                                                                           "custody_review": True}),
    ({"device_class": "light"}, "intermittent", "poll", ["foundry", "vessel", "operator", "witness"], {"long_sleep": True}),
    ({"device_class": "micro"}, "intermittent", "poll", ["vessel", "operator", "witness"], {"vessel_storage": False}),
    ({"device_class": "relay"}, "continuous", "continuous", ["archive", "relay"], {"custody_review": False}),
    ({"approval_capable": False}, "continuous", "continuous", ["foundry", "archive"], {"witness_artifacts": False}),
])
def test_what_follows_from_a_profile(given: Members, mode: str, delivery: str, roles: list[str], continuity: Members) -> None:
    profile = whole(**given)
    policy = derived.sync_policy(profile)
    assert (policy["mode"], policy["delivery_mode"], policy["relay_recommended"]) == (mode, delivery, mode == "intermittent")
    assert derived.habitat_roles(profile) == roles
    capabilities = derived.continuity_capabilities(profile)
    assert {name: capabilities[name] for name in continuity} == continuity and capabilities["habitat_roles"] == roles


FULL = {"treaty_documents": True, "continuity_validation": True, "custody_review": True}


@pytest.mark.parametrize("treaties, continuity, local, state, reasons, missing", [
    (FULL, {}, True, "full", ["shared_treaty_validation", "remote_custody_review", "custody_pairing_ready"], []),
    (FULL, {}, False, "full", ["shared_treaty_validation", "remote_custody_review"], ["local_custody_review"]),
    ({**FULL, "custody_review": False}, {"custody_review": True}, True, "full",
     ["shared_treaty_validation", "remote_custody_review", "custody_pairing_ready"], []),
    ({**FULL, "custody_review": False}, {}, True, "advisory", ["shared_treaty_validation"], ["remote_custody_review"]),
    ({"treaty_documents": True}, {}, True, "limited", ["remote_treaty_validation_unavailable"],
     ["treaty_validation", "remote_custody_review"]),
    ({}, {"custody_review": True}, True, "limited", ["remote_treaty_validation_unavailable", "remote_custody_review",
                                                     "custody_pairing_ready"],
     ["treaty_validation"]),
])
def test_how_far_two_nodes_treaties_work_together(treaties: Members, continuity: Members, local: bool, state: str,
                                                  reasons: list[str],
                                                  missing: list[str]) -> None:
    found = derived.treaty_compatibility(treaties, continuity, local)
    assert (found["advisory_state"], found["reasons"], derived.missing_capabilities(found)) == (state, reasons, missing)
