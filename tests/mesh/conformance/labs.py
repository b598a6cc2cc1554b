"""The machines on which the exchanges were captured, rebuilt: which nodes, with which keys, tokens and callers.

A lab is a run of exchanges that share their nodes; it begins with fresh ones.  `STEPS` are what the capture did in between
without writing it down, as far as the exchanges that follow need it: requests of an operator, by the index of the exchange
they precede.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

LAN_CLIENT = "192.168.77.10"
OUTSIDER = "198.51.100.10"


@dataclass(frozen=True)
class Machine:
    """One node of a lab."""
    node_id: str
    display_name: str
    token: str = ""
    profile: Mapping[str, Any] = field(default_factory=dict)      # further settings
    caller: str = ""              # the address its callers come from; "" = loopback
    programs: bool = False        # stand-ins for docker and wasmtime are installed
    files: Mapping[str, str] = field(default_factory=dict)        # in its workspace


@dataclass(frozen=True)
class Lab:
    """Nodes by the name under which the exchanges mention them, and the captured URLs that led to them."""
    name: str
    first: int                    # index of the first exchange
    machines: Mapping[str, Machine]
    urls: Mapping[str, str] = field(default_factory=dict)      # captured URL -> name of a machine, or "closed" or "foreign"
    usual: str = "alpha"


def plain(name: str, **more: Any) -> Machine:
    return Machine(f"{name}-node", name.title(), **more)


_LOOPBACK = {"http://127.0.0.1:8421": "alpha", "http://127.0.0.1:8422": "beta", "http://127.0.0.1:8423": "delta",
             "http://127.0.0.1:8429": "closed", "http://127.0.0.2:8422": "beta"}
_LAN = {"http://192.168.77.10:8421": "alpha", "http://192.168.77.11:8421": "beta", "http://192.168.77.11:9999": "foreign"}
_STORES = {"http://127.0.0.1:29461": "alpha", "http://127.0.0.1:29462": "beta", "http://127.0.0.1:29463": "gamma",
           "http://127.0.0.1:29465": "epsilon", "http://127.0.0.1:29472": "beta", "http://127.0.0.1:29473": "gamma"}
_FIVE = {"alpha": plain("alpha"), "beta": plain("beta"), "gamma": plain("gamma", token="gamma-operator-token"),
         "delta": plain("delta"),
         "epsilon": plain("epsilon", caller=OUTSIDER)}
_OPEN = {"host": "0.0.0.0"}
_LAN_ALPHA = {"alpha": plain("alpha", caller=LAN_CLIENT, profile=_OPEN)}
_TOKEN_ALPHA = {"alpha": plain("alpha", token="change-me", caller=LAN_CLIENT, profile={**_OPEN, "auto_register_worker": True}),
                "beta": plain("beta")}
_HELPING = {"http://127.0.0.1:29482": "beta", "http://127.0.0.1:29484": "delta"}
_MISSIONS = {"alpha-node": plain("alpha", programs=True, files={"demo.wasm": "a component"}),
             "beta-node": plain("beta", profile={"enable_docker": "off"}), "delta-node": plain("delta", token="example-token"),
             "phone-node": Machine("phone-node", "Phone", profile={"device_class": "light", "form_factor": "phone"})}

LABS: Mapping[str, tuple[Lab, ...]] = {
    "runtime": (
        Lab("two nodes on loopback", 0, {name: plain(name) for name in ("alpha", "beta", "delta")}, _LOOPBACK),
        Lab("one node on loopback", 90, {"alpha": plain("alpha")}),
        Lab("one node with four events", 182, {"alpha": plain("alpha")}),
        Lab("a host with an address in the network", 189, {"alpha": plain("alpha")}),
        Lab("open to the network, no token", 190, _LAN_ALPHA),
        Lab("open to the network, with a token", 196, _TOKEN_ALPHA, _LAN),
    ),
    "ops": (Lab("operations", 0, _FIVE, _HELPING),),
    "artifacts": (Lab("artifact stores", 0, _FIVE, _STORES),),
    "missions": (Lab("missions", 0, _MISSIONS, {"http://127.0.0.1:31421": "alpha-node", "http://127.0.0.1:31422": "beta-node",
                                               "http://127.0.0.1:31423": "phone-node", "http://127.0.0.1:31424": "delta-node",
                                               "http://127.0.0.1:9": "closed"}, "alpha-node"),),
}

# Exchanges that another node than the lab's usual one answered, where the file does not say so.
ANSWERED_BY: Mapping[tuple[str, int], str] = {("runtime", index): "delta" for index in range(81, 88)}
# Exchanges whose caller was on the machine itself although others of the lab were not.
ON_LOOPBACK = frozenset({("runtime", 197), ("runtime", 219)})



class Step(NamedTuple):
    """A request that the capture made without writing it down.

    One with a `sender` is signed by it; of a handshake the body is what its card has beyond the usual.  `learn` are the captured
    names of what the answer names at these places; `seconds` pass after it.
    """
    machine: str
    method: str
    path: str
    body: Any = None
    sender: str = ""
    request_id: str = ""
    learn: Mapping[str, str] = {}
    seconds: int = 0


def _queued(request_id: str, learn: Mapping[str, str], code: str, **metadata: Any) -> Step:
    job = {"kind": "python.inline", "dispatch_mode": "queued", "requirements": {"capabilities": ["python"]},
           "policy": {"classification": "trusted", "mode": "batch"}, "payload": {"code": code}, "artifact_inputs": [],
           "metadata": metadata}
    return Step("alpha", "POST", "/mesh/jobs/submit", {"job": job}, "gamma-node", request_id, learn)


def _claimed(job_id: str, attempt_id: str) -> Step:
    return Step("alpha", "POST", "/mesh/workers/w-1/claim", {"job_id": job_id}, learn={attempt_id: "attempt.id"})


class Queued(NamedTuple):
    """A job in a node's queue that the capture made without writing it down, by the names it gave to it."""
    machine: str
    worker: str
    request_id: str
    job_id: str
    message_id: str = ""

    def submit(self, kind: str = "shell.command", placement: Mapping[str, Any] = {}, **more: Any) -> Step:
        """Into the queue; `more` stands in the job's metadata."""
        payload = {"code": "print('q')"} if kind == "python.inline" else {"command": ["/bin/echo", "q"]}
        job = {"kind": kind, "dispatch_mode": "queued", "policy": {"classification": "trusted", "mode": "batch"},
               "payload": payload, "metadata": more, "placement": placement,
               "requirements": {"capabilities": ["python" if kind == "python.inline" else "shell"]}}
        return Step(self.machine, "POST", "/mesh/jobs/submit", {"job": job, "request_id": self.request_id},
                    learn={self.job_id: "job.id", **({self.message_id: "job.queue.id"} if self.message_id else {})})

    def resumable(self, **more: Any) -> Step:
        return self.submit("python.inline", resumability={"enabled": True}, checkpoint_policy={"enabled": True, **more},
                           retry_policy={"max_attempts": 2 if more else 1}, queue_policy={"ack_deadline_seconds": 60})

    def claim(self, attempt_id: str) -> Step:
        return Step(self.machine, "POST", f"/mesh/workers/{self.worker}/claim", {"job_id": self.job_id},
                    learn={attempt_id: "attempt.id"})

    def order(self, what: str) -> Step:
        return Step(self.machine, "POST", f"/mesh/jobs/{self.job_id}/{what}", {})

    def end(self, attempt_id: str, what: str, learn: Mapping[str, str] | None = None, **body: Any) -> Step:
        return Step(self.machine, "POST", f"/mesh/jobs/attempts/{attempt_id}/{what}", body, learn=learn or {})

    def taken(self, attempt_id: str, **more: Any) -> tuple[Step, Step]:
        return self.submit(**more), self.claim(attempt_id)

    def left_at(self, attempt_id: str, checkpoint: str) -> tuple[Step, ...]:
        """The job has failed and left a checkpoint."""
        return (self.resumable(), self.claim(attempt_id),
                self.end(attempt_id, "fail", {checkpoint: "job.latest_checkpoint_ref.id"}, error="stopped", retryable=False,
                         metadata={"checkpoint": {"cursor": 1}}))


class Packed(NamedTuple):
    """A mission with one job that the capture made without writing it down, by the names it gave to it."""
    machine: str
    worker: str
    request_id: str
    mission_id: str
    job_id: str = ""

    def launch(self, **more: Any) -> Step:
        metadata = {"resumability": {"enabled": True}, "checkpoint_policy": {"enabled": True, "mode": "manual"}}
        job = {"kind": "python.inline", "dispatch_mode": "queued", "requirements": {"capabilities": ["python"]},
               "policy": {"classification": "trusted", "mode": "batch"}, "payload": {"code": "print(1)"}, "metadata": metadata}
        return Step(self.machine, "POST", "/mesh/missions/launch", {
            "request_id": self.request_id, "title": f"Mission {self.request_id}", "intent": "Recovery", "job": job, **more},
            learn={self.mission_id: "id", self.job: "child_job_ids.0"})

    @property
    def job(self) -> str:
        return self.job_id or f"job-of-{self.request_id}"

    @property
    def attempt(self) -> str:
        return f"attempt-of-{self.request_id}"

    def claim(self) -> Step:
        return Step(self.machine, "POST", f"/mesh/workers/{self.worker}/claim", {"job_id": self.job},
                    learn={self.attempt: "attempt.id"})

    def end(self, what: str, **body: Any) -> Step:
        return Step(self.machine, "POST", f"/mesh/jobs/attempts/{self.attempt}/{what}", body,
                    learn={f"checkpoint-of-{self.request_id}": "job.latest_checkpoint_ref.id"})

    def left_at(self, **more: Any) -> tuple[Step, ...]:
        """The mission's job has failed and left a checkpoint."""
        return self.launch(**more), self.claim(), self.end("fail", error="stopped", retryable=False,
                                                           metadata={"checkpoint": {"cursor": self.request_id}})

    def export(self, vessel_id: str) -> Step:
        return Step(self.machine, "POST", f"/mesh/missions/{self.mission_id}/continuity/export", {"dry_run": False},
                    learn={vessel_id: "vessel_ref.id", f"witness-of-{self.request_id}": "witness_ref.id"})

    def lose(self, what: str) -> Step:
        return Step(self.machine, "DELETE", f"/mesh/artifacts/{what}-of-{self.request_id}")


def _at_beta(request_id: str, job_id: str, message_id: str = "") -> Queued:
    return Queued("beta-node", "w1", request_id, job_id, message_id)


_ONE = _at_beta("s-1", "1f402b45-e990-4280-a3d6-4bfe7395e9c1", "188e6cdd-bff9-4f05-8619-6054ff7599d4")
_SMALL = _at_beta("s-min", "801e8b50-4d23-43f7-900e-63d6a90308be")
_TEXT = _at_beta("s-txt", "5534fe5d-8034-49f0-a9b6-9a855fe807d1")
_FAILED = _at_beta("s-f0", "7448d8f5-9bac-4767-a865-2c675079766c")
_FINAL = _at_beta("s-nr", "f1662a53-01e0-401d-a07e-c0256d6b17de")
_POLICY = _at_beta("s-qp", "30153513-7fa4-483e-878d-5c00863abba2")
_POINT = _at_beta("s-cp1", "285e4fad-e11e-443d-b8ba-4e1372d47734")
_POINT_2 = _at_beta("s-cp2", "78e33cf2-ba2b-4958-bc1e-a1947c9fe7b3")
_POINT_3 = _at_beta("s-cp3", "af1b5377-5410-409b-9af4-dab0f6d52380")
_NO_POINT = _at_beta("s-nocp", "8b04068a-fb52-466f-9584-2500a0f0b25d")
_RETRIED = _at_beta("s-retry", "b1fd8738-43dd-4a00-8d0c-a0e0154d103d")
_CANCELLED = _at_beta("s-c1", "ab96d1ce-a98c-4885-aa1c-7c35374f04a5", "d6f780e3-4500-4fa7-86f8-ef21e8c60bbb")
_LOCAL = Packed("alpha-node", "alpha-w", "m-1", "e0a9d0d5-a1c2-4667-b147-70bd65f80c36", "1bb3dd62-4912-4c63-814e-5abf1913d9c2")
_STOPPED = Packed("alpha-node", "alpha-w", "m-can", "a6ee5054-e1b4-42c1-aafb-7fe0a4924bf7")
_SEALED = Packed("alpha-node", "alpha-w", "m-cp", "8b22ad8a-3d2e-420c-be8f-59d16b141741")
_BOUND = Packed("alpha-node", "alpha-w", "m-treaty", "2957311a-e1f4-4bf3-9382-2ebce7827210")
_LOST = Packed("alpha-node", "alpha-w", "m-gone", "cd24d707-fc1e-4222-8db3-94791977cea4")
_NAMED = Packed("alpha-node", "alpha-w", "m-named", "14aa8744-25a2-45d6-b995-784e873f9adb")
_PHONE = Packed("phone-node", "phone-w", "m-phone", "68d2e9b9-089a-4790-90e2-1c98db10c53d")
_STORAGE = {"treaty_id": "treaty/storage-v1", "title": "Storage Continuity Treaty", "status": "suspended"}
_OPS = tuple(Queued("alpha", "alpha-w1", f"ops-job-{number}", job_id, message_id) for number, job_id, message_id in (
    (1, "3c34fd19-56ea-410e-bad2-b1903acfa7ea", "d9583aed-03a8-429c-8722-4b3c7cef8898"),
    (2, "433ca03a-e711-45e6-bf80-f2ad7c8c91f6", "08234996-d197-42c2-9e72-baf0e40dea99"),
    (3, "2c5db8c9-ae5b-4df2-89e7-e4da3e9f7f57", "5001db8f-7c4a-4840-a43c-11f36c8a004f"),
    (4, "6bf195c9-6c28-4aae-88ce-ea84c1f755d7", "4049eb70-f5c1-4398-b8e4-8d5584f04d7a")))
_SHORT: Mapping[str, Any] = {"queue_policy": {"replay_window_seconds": 60}}
_TWICE, _KEPT = "176795a4-cdc8-4a27-ba92-e5d508576694", "0cd12d3b-0681-482d-a5fc-247395bc7a78"

_RAISED = {"kind": "python.inline", "dispatch_mode": "inline", "policy": {"classification": "trusted", "mode": "batch"},
           "payload": {"code": "raise SystemExit(1)"}, "metadata": {"request_id": "tx-demo-1"}}
_RAN = {"kind": "shell.command", "dispatch_mode": "inline", "policy": {"classification": "trusted", "mode": "batch"},
        "requirements": {"capabilities": ["shell"]}, "payload": {"command": "echo out"}}

_GPU = {"execution_tier": "heavy", "secure_secret_capable": False,
        "compute_profile": {"gpu_count": 1, "gpu_class": "cuda", "gpu_vram_mb": 24576,
                            "supports_workload_classes": ["default", "cpu_bound", "io_bound"]}}


def _helper(action: str, peer_id: str, **more: Any) -> Step:
    return Step("alpha", "POST", f"/mesh/helpers/{action}", {"peer_id": peer_id, **more})


def _policy(**changes: Any) -> Step:
    return Step("alpha", "POST", "/mesh/device-profile", {"device_profile": {"offload_policy": changes}})


def _waiting(number: int) -> Step:
    """One more job waits at alpha."""
    return Queued("alpha", "", f"ops-w{number}", f"waiting-job-{number}").submit()


def _only(preference: Mapping[str, str]) -> tuple[Step, ...]:
    """Nobody is a helper, and the preferences for any work are these."""
    return (*(_helper("retire", peer_id) for peer_id in _PEERS),
            *(_helper("preferences/set", peer_id, preference=preference.get(peer_id, "allow")) for peer_id in _PEERS))


_PEERS = ("beta-node", "delta-node", "tester-node")
_WORKER = {"worker_id": "w-2", "capabilities": ["shell"], "max_concurrent_jobs": 2}

STEPS: Mapping[tuple[str, int], tuple[Step | tuple[str, str, str, Any], ...]] = {
    ("missions", 14): (Step("alpha-node", "POST", "/mesh/jobs/submit", {"job": _RAISED},
                            learn={"a4d77ca3-53fa-4b96-80d0-fd2a78a4fd32": "job.id"}),),
    ("missions", 53): (Step("alpha-node", "POST", "/mesh/jobs/submit", {"job": {
        "kind": "shell.command", "dispatch_mode": "queued", "requirements": {"capabilities": ["shell"]}, "dedupe_key": "same",
        "policy": {"classification": "trusted", "mode": "batch"}, "payload": {"command": "true"}}}, "gamma-node", "tx-dk1"),),
    ("missions", 55): (Step("alpha-node", "POST", "/mesh/jobs/submit", {"job": _RAN},
                            learn={"79dcf231-9e7a-4cf5-96ca-2939ba252748": "job.id"}),),
    ("missions", 64): (Step("alpha-node", "POST", "/mesh/jobs/submit", {"job": {
        **_RAISED, "payload": {"code": "import sys; print('py', sys.argv[1:])", "args": ["a", "b"]}, "metadata": {}}},
        learn={"429a7f50-60cb-4972-9f3e-c24ec4d6ecd2": "job.result_ref.id"}),),
    ("missions", 82): (_ONE.submit(retry_policy={"max_attempts": 2}),),
    ("missions", 83): (_ONE.claim("135c1a20-472d-4192-a75a-6cae69d0c0be"),),
    ("missions", 84): (Step("beta-node", "POST", "/mesh/workers/w2/heartbeat", {"status": "active"}),),
    ("missions", 99): (*_TEXT.taken("text"), _TEXT.end("text", "complete", {
        "5af2f92c-e505-4557-80eb-aa113a063d33": "job.result_ref.id", "9c2d81fe-f15d-4c7f-af92-bcc300a3d0d9": "job.result_ref.id"},
        result="just text"), *_SMALL.taken("f75470ac-bbae-44c2-a1c0-6c461684fff3")),
    ("missions", 102): _FAILED.taken("8bb42627-9ff0-4fbd-9088-df8c5bf8c07a", **_SHORT),
    ("missions", 105): (_FAILED.claim("b59527ec-c864-49cc-953b-4cc57bdcd8c0"),),
    ("missions", 110): _FINAL.taken("5c640d1e-f460-4511-aa4a-806ad296fdd0", retry_policy={"max_attempts": 5}),
    ("missions", 111): (_POLICY.submit(queue_policy={"ack_deadline_seconds": 600, "retention_seconds": 1800,
                                                     "replay_window_seconds": 120, "dead_letter_queue": "critical.dlq"}),),
    ("missions", 113): (_POINT.resumable(), _POINT.claim("64c4a5c4-d53d-4ef3-bfb2-232ae14874fb")),
    ("missions", 124): (*_POINT_2.left_at("6c77d40d-404c-4771-b1a2-25f53270c99f", "f8c829e3-74aa-458d-88e4-75d19f0dbf1e"),
                        *_POINT_3.left_at("983c0aa5-007c-497d-abc1-b52f26b89be7", "d1370ed8-8d45-428f-8d5e-e7f388a8836f")),
    ("missions", 129): (_POINT_3.order("resume"), _POINT_3.order("restart")),
    ("missions", 130): (_POINT_3.end("b2bbe5bb-8c4e-4c5e-98a4-87192f6f66b7", "fail", error="again"),),
    ("missions", 131): (_NO_POINT.resumable(),),
    ("missions", 133): (_RETRIED.resumable(on_retry=True), _RETRIED.claim("b363266d-77aa-4aa7-b530-16fcb1a2feb3")),
    ("missions", 139): (_RETRIED.end("04814063-37a1-49da-9480-dc6d4cc852e6", "complete"), _CANCELLED.submit()),
    ("missions", 142): (_CANCELLED.order("cancel"),),
    ("missions", 143): (_CANCELLED.claim("0d657989-ddf7-478e-bdcb-1bbb60691c24"), _NO_POINT.order("cancel"),
                        _POINT_2.order("cancel")),
    ("missions", 188): (Step("alpha-node", "POST", "/mesh/workers/register", {"worker_id": "alpha-w", "capabilities": [
        "python"]}), _LOCAL.claim()),
    ("missions", 190): (_LOCAL.end("complete", result={"n": 1}),),
    ("missions", 203): (_STOPPED.launch(title="Cancel me"),),
    ("missions", 205): _SEALED.left_at(),
    ("missions", 221): _BOUND.left_at(continuity={"treaty_requirements": ["treaty/storage-v1"]}),
    ("missions", 225): (Step("alpha-node", "POST", "/mesh/treaties/propose", _STORAGE),),
    ("missions", 227): (*_LOST.left_at(), _LOST.export("1a99b981-03a5-40d5-aeb3-f12d8a3b363c"), _LOST.lose("checkpoint")),
    ("missions", 230): (_LOST.lose("witness"),),
    ("missions", 232): (_SEALED.claim(), _SEALED.end("complete", result={"n": 1})),
    ("missions", 235): _NAMED.left_at(),
    ("missions", 245): (Step("phone-node", "POST", "/mesh/workers/register", {"worker_id": "phone-w",
                                                                              "capabilities": ["python"]}),
                        *_PHONE.left_at(continuity={"checkpoint_strategy": "manual"})),
    ("missions", 266): (Step("alpha-node", "POST", "/mesh/missions/test-launch", {"peer_id": "beta-node", "request_id": "t-1"}),),
    ("missions", 267): (Step("alpha-node", "POST", "/mesh/peers/gamma-node/trust", {"trust_tier": "blocked"}),),
    ("missions", 268): (Step("alpha-node", "POST", "/mesh/peers/gamma-node/trust", {"trust_tier": "trusted"}),),
    ("missions", 296): (Step("alpha-node", "POST", "/mesh/missions/test-launch", {"peer_id": "gamma-node", "request_id": "t-off"},
                             learn={"ec36b4d1-006a-46c7-aa7e-8bf61f499777": "mission_id"}),),
    ("missions", 178): (Step("alpha-node", "POST", "/mesh/jobs/schedule", {
        "job": {"kind": "agent.echo", "payload": {}, "target": "beta-node"}, "request_id": "d-remote"},
        learn={"a21643a5-ad1d-4d2d-900c-bb308f8b9a65": "job.id"}),),
    ("missions", 292): (Step("alpha-node", "POST", "/mesh/cooperative-tasks/launch", {
        "request_id": "c-6", "target_peer_ids": ["alpha-node", "beta-node"], "shards": [{}, {}],
        "base_job": {"kind": "agent.echo", "policy": {"classification": "trusted", "mode": "batch"}, "payload": {"m": "n"}}},
        learn={"b41f7076-fd67-4095-ada4-531b7401ad0a": "id"}),),
    ("ops", 28): (Step("delta", "POST", "/mesh/device-profile", {"device_profile": _GPU}),
                  *(Step(machine, "POST", "/mesh/workers/register", _WORKER) for machine in ("beta", "delta")),
                  Step("alpha", "POST", "/mesh/peers/connect", {"base_url": "http://127.0.0.1:29482"}, seconds=1),
                  Step("alpha", "POST", "/mesh/handshake", {"trust_tier": "public"}, "outsider-node", seconds=1),
                  Step("alpha", "POST", "/mesh/handshake", {}, "tester-node", seconds=1),
                  Step("alpha", "POST", "/mesh/peers/connect", {"base_url": "http://127.0.0.1:29484",
                                                                "trust_tier": "partner"})),
    ("ops", 38): (Step("alpha", "POST", "/mesh/peers/outsider-node/trust", {"trust_tier": "blocked"}),),
    ("ops", 39): (Step("alpha", "POST", "/mesh/peers/outsider-node/trust", {"trust_tier": "public"}), _helper("enlist",
                                                                                                              "delta-node")),
    ("ops", 40): (_helper("enlist", "beta-node", reason="second", mode="always", role="relay", source="test"),
                  _helper("drain", "beta-node", reason="maintenance")),
    ("ops", 50): tuple(_helper("retire", peer_id) for peer_id in _PEERS),
    ("ops", 59): (_helper("preferences/set", "delta-node", preference="approval", workload_class="gpu"),
                  _helper("preferences/set", "beta-node")),
    ("ops", 62): (_waiting(1),),
    ("ops", 64): (_waiting(2),),
    ("ops", 66): (_waiting(3), _waiting(4),
                  *(Step("alpha", "POST", "/mesh/workers/register", {"worker_id": worker_id, "status": "busy"})
                    for worker_id in ("w-1", "w-neg", "alpha-w1"))),
    ("ops", 68): _only({}),
    ("ops", 74): (_policy(mode="auto", max_auto_enlist=1, allowed_trust_tiers=["partner"]), *_only({})),
    ("ops", 75): (Step("alpha", "POST", "/mesh/approvals/31601125-c3db-44c8-a1a3-382d57345afb/resolve",
                       {"decision": "rejected"}),),
    ("ops", 77): _only({"delta-node": "deny"}),
    ("ops", 78): (*_only({}), _policy(allowed_trust_tiers=["trusted"], approval_for_gpu_helpers=False)),
    ("ops", 79): (_policy(mode="manual"),),
    ("ops", 81): (_policy(enabled=False),),
    ("ops", 83): (_policy(enabled=True, mode="auto", allowed_workload_classes=["gpu_inference"]),),
    ("ops", 85): (_policy(allowed_workload_classes=[], allowed_device_classes=["micro"]), *_only({})),
    ("ops", 86): (_policy(allowed_device_classes=["full"], min_candidate_score=1000),),
    ("ops", 87): (_policy(min_candidate_score=0), *_only({"beta-node": "deny"})),
    ("ops", 88): tuple(Queued("alpha", "", "", f"waiting-job-{number}").order("cancel") for number in range(1, 5)),
    ("ops", 156): (Step("alpha", "POST", "/mesh/workers/register", {"worker_id": "alpha-w1", "capabilities": ["shell"],
                                                                   "max_concurrent_jobs": 3}),
                   *(each.submit(placement={"stay_local": True}, **_SHORT) for each in reversed(_OPS))),
    ("ops", 157): (_OPS[2].claim("third"), _OPS[1].claim("b5941f7f-4949-4523-8a77-77b6691df1ba"),
                   _OPS[0].claim("2c2b2597-13f1-4523-8b82-b48fd3484106")),
    ("ops", 168): (_OPS[0].end("2c2b2597-13f1-4523-8b82-b48fd3484106", "fail", error="exit 7"),),
    ("ops", 174): (_OPS[0].order("cancel"),),
    ("ops", 175): (_OPS[0].order("cancel")._replace(seconds=61),),
    ("ops", 113): (Step("alpha", "POST", "/mesh/approvals/3cf5aeb0-a42c-4597-a05f-e75f2503dec6/resolve",
                        {"decision": "approved", "reason": "fine", "operator_peer_id": "alpha-node",
                         "operator_agent_id": "agent-a",
                         "metadata": {"via": "test"}}),),
    ("ops", 126): (Step("alpha", "POST", "/mesh/treaties/propose", {
        "treaty_id": "treaty/draft-1", "title": "D", "status": "draft",
        "document": {"party_ids": ["p1"], "execution_classes": ["A"]}}),),
    ("ops", 130): (Step("alpha", "POST", "/mesh/treaties/propose", {
        "treaty_id": "treaty/custody-v1", "title": "Custody", "document": {"artifact_export": "sealed",
                                                                           "witness_required": True}}),),
    ("runtime", 73): (Step("alpha", "POST", "/mesh/handshake", {"endpoint_url": "http://127.0.0.2:8422"}, "gamma-node"),
                      Step("alpha", "POST", "/mesh/routes/probe", {"peer_id": "gamma-node", "timeout": 0.5})),
    ("runtime", 158): (Step("alpha", "POST", "/mesh/workers/register", {"worker_id": "w-2", "agent_id": "agent-w",
                                                                       "capabilities": ["python", "shell"]}),),
    ("runtime", 166): (_queued("job-req-2", {_TWICE: "job.id"}, "print('two')", retry_policy={"max_attempts": 2}),),
    ("runtime", 168): (_claimed(_TWICE, "15374844-95b1-4a6f-946a-17c212500512"),),
    ("runtime", 170): (_queued("job-req-3", {_KEPT: "job.id"}, "print('three')", resumability={"enabled": True},
                               checkpoint_policy={"enabled": True}),
                       _claimed(_KEPT, "f6d079f1-a8d5-4cc3-b4d8-35335b0229f4")),
    ("runtime", 182): tuple(("alpha", "POST", "/mesh/lease/acquire", {"peer_id": "alpha-node", "resource": f"r{number}"})
                            for number in range(4)),
    ("artifacts", 72): tuple(("alpha", "POST", "/mesh/peers/connect", {"base_url": url})
                             for url in ("http://127.0.0.1:29462", "http://127.0.0.1:29463")),
    ("artifacts", 100): (("alpha", "POST", "/mesh/treaties/propose", {"treaty_id": "treaty/custody-v1", "title": "Custody"}),),
}

# Nodes that were gone from an exchange on.
STOPPED: Mapping[tuple[str, int], tuple[str, ...]] = {("missions", 293): ("beta-node",)}

# Seconds that pass before an exchange, where the file does not say so.
PAUSES: Mapping[tuple[str, int], int] = {("runtime", 42): 2, ("artifacts", 64): 2, ("missions", 108): 61, ("missions", 135): 61}

_SENT = {"request_id": "captured", "source_peer_id": "tester-node", "provided_descriptor": {}}
Stored = tuple[str, str, bytes, Mapping[str, Any]]     # machine, id, content, what `record` is told of it


def _text(machine: str, artifact_id: str, content: str, **metadata: Any) -> Stored:
    return machine, artifact_id, content.encode(), {"media_type": "text/plain; charset=utf-8", "metadata": {**_SENT,
                                                                                                            **metadata},
                                                    "owner_peer_id": "tester-node"}


# Artifacts that the capture made without writing it down; their contents are ours.
STORED: Mapping[tuple[str, int], tuple[Stored, ...]] = {
    ("runtime", 212): tuple(("alpha", artifact_id, b"hello", {"media_type": "text/plain", "metadata": {**_SENT},
                                                              "policy": {"classification": word}})
                            for artifact_id, word in (("94483ffd-92b2-4a14-b213-c90dae0aef8e", "trusted"),
                                                      ("447899ef-165e-487b-8628-bd7a1b3e7135", "private"),
                                                      ("3a0bdddb-94e1-4029-a1a5-10bfa3d56afd", "public"))),
    ("missions", 215): (_text("alpha-node", "41554483-5a8e-48f7-944d-4d1029575f53", "not json", artifact_kind="vessel"),),
    ("artifacts", 72): (("beta", "1eb02017-2b84-463b-8cf8-b881fb4cf359", b'{"layers": [], "schemaVersion": 2}', {
        "media_type": "application/json", "metadata": {**_SENT, "artifact_kind": "bundle", "job_id": "job-r"},
        "owner_peer_id": "tester-node",
        "captured_digest": "71a2f30b0bc78b50fece9db19d516bd1c8a8838556560a4aa34e2aee08713dab"}),),
    ("artifacts", 75): (_text("beta", "b8380ca8-3727-4b29-ad7d-33dba8f95c82", "by base url"),),
    ("artifacts", 92): (_text("beta", "b4ad44eb-4f47-48f4-8361-bb660b794f7e", "grant me too"),
                        _text("beta", "7fd83040-94a7-4dcf-b338-1ceae3b1c5e6", "inline grants"),
                        _text("beta", "10d383c5-3bbc-49ec-8a57-8db63ba2ff09", "no such type")),
    ("artifacts", 99): (_text("beta", "f4e08108-30d3-4e8e-9636-355ba3ef4e2f", "bound", treaty_requirements=["Treaty/Unknown"]),
                        ("beta", "27efa9bb-6466-4fd6-b265-77e3517f8fbe",
                         b'{"governance": {"treaty_requirements": ["treaty/unknown"]}}',
                         {"media_type": "application/json", "metadata": dict(_SENT)})),
    ("artifacts", 100): (_text("beta", "3bda46c0-e461-4454-87e6-78e7bca32047", "a vessel", artifact_kind="vessel",
                               treaty_requirements=["treaty/custody-v1"]),
                         _text("beta", "b0af037b-be0d-4791-968e-ddf353da947f", "a second vessel", artifact_kind="vessel",
                               treaty_requirements=["treaty/custody-v1"])),
    ("artifacts", 109): (_text("alpha", "85848f64-8677-4601-94de-a33f7fd8b144", "of its own"),),
    ("artifacts", 119): (_text("beta", "e01c6cc9-4ac4-43f2-aa2b-bead5f34595a", "links to nothing", parent_artifact_id="gone"),
                         _text("beta", "9ace3c20-0580-45b0-95f8-4cae90186aa4", "two links away"),
                         _text("beta", "9bc462d2-f3b3-43fd-88c7-76474944f64f", "one link away",
                               config_artifact_id="9ace3c20-0580-45b0-95f8-4cae90186aa4")),
    ("artifacts", 127): (_text("gamma", "411450ad-9bf2-4197-82da-293e1321633f", "of a careful node", artifact_kind="bundle"),),
}

# Clients of the signed routes: their seeds, where the capture used published ones, and the tier they had.
SEEDS: Mapping[str, str] = {"tester-node": "01" * 32, "outsider-node": "02" * 32, "stranger-node": "03" * 32,
                            "market-node": "05" * 32}
TIERS: Mapping[str, str] = {"outsider-node": "public", "market-node": "market"}
