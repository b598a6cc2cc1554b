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
_MISSIONS = {"alpha-node": plain("alpha"), "beta-node": plain("beta"), "delta-node": plain("delta", token="example-token"),
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
    "ops": (Lab("operations", 0, _FIVE),),
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
    names of what the answer names at these places.
    """
    machine: str
    method: str
    path: str
    body: Any = None
    sender: str = ""
    request_id: str = ""
    learn: Mapping[str, str] = {}


def _queued(request_id: str, learn: Mapping[str, str], code: str, **metadata: Any) -> Step:
    job = {"kind": "python.inline", "dispatch_mode": "queued", "requirements": {"capabilities": ["python"]},
           "policy": {"classification": "trusted", "mode": "batch"}, "payload": {"code": code}, "artifact_inputs": [],
           "metadata": metadata}
    return Step("alpha", "POST", "/mesh/jobs/submit", {"job": job}, "gamma-node", request_id, learn)


def _claimed(job_id: str, attempt_id: str) -> Step:
    return Step("alpha", "POST", "/mesh/workers/w-1/claim", {"job_id": job_id}, learn={attempt_id: "attempt.id"})


_TWICE, _KEPT = "176795a4-cdc8-4a27-ba92-e5d508576694", "0cd12d3b-0681-482d-a5fc-247395bc7a78"

STEPS: Mapping[tuple[str, int], tuple[Step | tuple[str, str, str, Any], ...]] = {
    ("ops", 113): (Step("alpha", "POST", "/mesh/approvals/3cf5aeb0-a42c-4597-a05f-e75f2503dec6/resolve",
                        {"decision": "approved"}),),
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

# Seconds that pass before an exchange, where the file does not say so.
PAUSES: Mapping[tuple[str, int], int] = {("runtime", 42): 2, ("artifacts", 64): 2}

_SENT = {"request_id": "captured", "source_peer_id": "tester-node", "provided_descriptor": {}}
Stored = tuple[str, str, bytes, Mapping[str, Any]]     # machine, id, content, what `record` is told of it


def _text(machine: str, artifact_id: str, content: str, **metadata: Any) -> Stored:
    return machine, artifact_id, content.encode(), {"media_type": "text/plain; charset=utf-8", "metadata": {**_SENT, **metadata},
                                                    "owner_peer_id": "tester-node"}


# Artifacts that the capture made without writing it down; their contents are ours.
STORED: Mapping[tuple[str, int], tuple[Stored, ...]] = {
    ("runtime", 212): tuple(("alpha", artifact_id, b"hello", {"media_type": "text/plain", "metadata": {**_SENT},
                                                              "policy": {"classification": word}})
                            for artifact_id, word in (("94483ffd-92b2-4a14-b213-c90dae0aef8e", "trusted"),
                                                      ("447899ef-165e-487b-8628-bd7a1b3e7135", "private"),
                                                      ("3a0bdddb-94e1-4029-a1a5-10bfa3d56afd", "public"))),
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
