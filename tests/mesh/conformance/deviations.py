"""Captured exchanges that the product answers differently on purpose, each with its reason.

An entry names its exchange by file, index and the beginning of its case.  `status` and `error` are the product's where they
follow from no general rule; `without` are places of the captured answer that ours does not have or has with another word.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Deviation:
    """One exchange that is answered differently."""
    file: str
    index: int
    case: str
    reason: str
    status: int = 0
    error: str = ""
    without: tuple[str, ...] = ()


STICKY = "what follows from the profile is worked out at each reading, not stored"
KEPT = "an explicit value stays until it is changed"
FORWARDED = "a caller behind a proxy does not have the privilege of loopback"
SPELLINGS = "a digest is the same in every spelling"
OWN = "see tests/mesh/artifacts"
ADMISSION = "strangers from the network wait for the operator's admission"

TIERS = "only who the operator trusts runs programs here"
GRANTED = "other nodes' jobs get the secrets they bring, and those an operator granted them"
DEMO = "a demo job without a command echoes its payload: this launch does not fail"
SLOTS = "a cancelled job has given back its worker"

DEVIATIONS: tuple[Deviation, ...] = (
    Deviation("runtime", 23, "OPTIONS is not supported", "a known path answers 405 to other methods", 405),
    Deviation("runtime", 24, "HEAD is not supported", "HEAD is answered like GET, without a body", 200),
    Deviation("runtime", 33, "X-Forwarded-For ignored", FORWARDED, 401),
    Deviation("runtime", 32, "text/plain body accepted", "a page of a browser could send it without asking", 415),
    Deviation("runtime", 88, "connect to itself", "a node is no peer of its own", 400, "a node cannot connect to itself"),
    Deviation("runtime", 125, "empty resource", "a lease is on something", 400, "resource is required"),
    Deviation("runtime", 134, "other peer after the first lease", "the second lease still holds the resource", 409,
              "resource is leased by another peer"),
    Deviation("runtime", 61, "trust_tier blocked", "the other side refuses", 502, "the peer refused with status 403"),
    Deviation("runtime", 115, "empty nonce a second time", "a nonce is never empty", 400, "nonce is required"),
    Deviation("runtime", 124, "unknown member", "clean text", 400, "unknown member: color"),
    Deviation("runtime", 123, "empty body", "clean text", 400, "resource is required"),
    Deviation("runtime", 126, "empty peer_id", "the text names the member that is missing", 400, "peer_id is required"),
    Deviation("runtime", 133, "heartbeat after release", "a lease that is over is not extended", 409, "lease is not active"),
    Deviation("runtime", 195, "LAN client: signed peer route", ADMISSION, without=("$.peer.status",)),
    Deviation("runtime", 211, "signed route in token mode", ADMISSION, without=("$.peer.status",)),
    Deviation("runtime", 207, "bad JSON without token", "the credential is looked at before the body is read", 401,
              "operator authorization required"),
    Deviation("runtime", 226, "a server that is not an OCP node", "what is no manifest is refused before a handshake", 502,
              "peer card is missing organism_id"),
    Deviation("runtime", 65, "ok by base_url", "copies of manifests are left out of a large answer",
              without=("$.sync.remote_manifest",)),
    Deviation("runtime", 227, "LAN peer, operator token", "copies of manifests are left out of a large answer",
              without=("$.sync.remote_manifest",)),
    Deviation("artifacts", 13, "digest given with sha256: prefix", SPELLINGS, 200),
    Deviation("artifacts", 133, "upper-case digest", SPELLINGS, 200),
    Deviation("artifacts", 18, "base64 with foreign characters", "base64 is read strictly", 400,
              "content_base64 is not valid base64"),
    Deviation("artifacts", 31, "public-tier peer may publish", "strangers store nothing", 403,
              "peer trust tier may not publish artifacts"),
    Deviation("artifacts", 57, "non-loopback client, metadata only", "no paths for strangers",
              without=("$.path", "$.metadata.provided_descriptor")),
    Deviation("artifacts", 58, "content file missing on disk", f"the capture removed the file; {OWN}", 200),
    Deviation("artifacts", 80, "remote artifact id unknown", "the peer's answer is told as what it means", 404,
              "remote artifact not found"),
    Deviation("artifacts", 124, "unknown root id", "the peer's answer is told as what it means", 404,
              "remote artifact not found"),
    Deviation("artifacts", 82, "digest does not match the artifact id", "the peer's fault", 502,
              "remote artifact digest mismatch"),
    Deviation("artifacts", 101, "sealed treaty-bound artifact", f"the capture does not say how delta became known; {OWN}", 502,
              "fresh reachable route required before artifact replication"),
    Deviation("artifacts", 110, "peer unreachable", f"the capture does not say how that peer became known; {OWN}", 404,
              "peer endpoint_url is unavailable"),
    Deviation("artifacts", 126, "private remote content without remote_auth", "what is here already is not asked for again", 200),
    Deviation("artifacts", 131, "peer serves bytes that do not hash", f"the capture altered a file of the peer; {OWN}", 404,
              "remote artifact not found"),
    Deviation("missions", 0, "documented simple form", "an operator may hand in a job as it is", 200),
    Deviation("missions", 14, "inline job that raised", "a demo job does not fail here: the job that is read is a script",
              without=("$.spec.execution", "$.metadata.job_spec.execution")),
    Deviation("missions", 17, "inline shell.command time-out", "no time passes in the lab: the limit is never reached", 200),
    Deviation("missions", 31, "public shell.command from a market-tier", TIERS, without=("$.status", "$.job")),
    Deviation("missions", 33, "system fields smuggled", "what the node itself notes is not taken from a sender", without=(
        "$.job.metadata.latest_checkpoint_ref", "$.job.metadata.result_bundle_ref", "$.job.metadata.mission",
        "$.job.result_bundle_ref", "$.job.mission", "$.job.latest_checkpoint_ref")),
    Deviation("missions", 42, "inline shell.command with inline, store", GRANTED, 403,
              "secret source not allowed for this peer: store"),
    Deviation("missions", 43, "inline shell.command with a missing required", GRANTED, 403,
              "secret source not allowed for this peer: store"),
    Deviation("missions", 44, "inline shell.command with a missing optional", GRANTED, 403,
              "secret source not allowed for this peer: store"),
    Deviation("missions", 45, "file secret outside", GRANTED, 403, "secret source not allowed for this peer: file"),
    Deviation("missions", 128, "contract-documented body", "the checkpoint that was named is looked for", 404,
              "checkpoint artifact not found"),
    Deviation("missions", 144, "the worker slot of the cancelled job", SLOTS, without=("$.reason",)),
    Deviation("missions", 145, "completing an attempt of a cancelled job", SLOTS, 409, "attempt is not active"),
    Deviation("missions", 146, "completed job: outer status", "nothing was cancelled, and the answer does not say so",
              without=("$.status",)),
    Deviation("missions", 165, "documented demo kind through schedule", "an operator may hand in a job as it is", 200),
    Deviation("missions", 178, "remote job is not known", "a job at a peer is known to the node that sent it", 200),
    Deviation("missions", 179, "after the placements above", "a decision whose job did not get there is kept, as failed",
              without=("$.decisions[1]",)),
    Deviation("missions", 250, "no target_peer_ids", "targets that are not named are chosen", 200),
    Deviation("missions", 260, "unknown strategy becomes spread", "a shard that nobody can meet is refused", 400,
              "no target meets shard gpu"),
    Deviation("missions", 298, "preferred_peer_id lifts a refused peer", "a refused peer is not chosen whoever prefers it", 400,
              "no eligible execution target found"),
    Deviation("missions", 195, "job that cannot run", DEMO, 200),
    Deviation("missions", 196, "same request_id after the failed launch", DEMO, without=("$.status", "$.metadata.launch_error")),
    Deviation("missions", 236, "mission without child jobs", DEMO, 409, "completed or rejected jobs cannot be recovered"),
    Deviation("missions", 237, "mission without child jobs", DEMO, without=("$.status", "$.mission.status",
                                                                            "$.mission.metadata.launch_error")),
    Deviation("missions", 238, "failed launch", DEMO, without=("$.status", "$.mission.status",
                                                               "$.mission.metadata.launch_error")),
    Deviation("missions", 291, "reading an attempt", "an id with a slash is percent-encoded in a path", 404, "unknown endpoint"),
    Deviation("runtime", 150, "unsigned {job:...} is refused", "an operator may hand in a job as it is", 200),
    Deviation("runtime", 221, "LAN bind with token and an auto-registered", ADMISSION,
              without=("$.mesh_quality.status", "$.setup.blocker_code", "$.setup.timeline")),
    Deviation("runtime", 224, "a server that answers {}", "what is no manifest is no node: the candidate is an error",
              without=("$.results[0]",)),
    Deviation("runtime", 215, "auth: public artifact content", "strangers are shown no local paths, and nothing of the sender's",
              without=("$.path", "$.metadata.provided_descriptor")),
    Deviation("runtime", 228, "one LAN peer connected", ADMISSION, without=("$.mesh_quality.status", "$.setup.blocker_code")),
    Deviation("ops", 17, "no body at all", "a worker has a name", 400, "worker_id is required"),
    Deviation("ops", 41, "drain a peer that was never enlisted", "who cannot be enlisted and never was is not drained", 403,
              "cannot drain peer with trust_tier=public"),
    Deviation("ops", 56, "unknown preference becomes allow", "a misspelt word is no permission", 400,
              "unsupported offload preference"),
    Deviation("ops", 73, "after approval the resolved request is returned", "a question that was decided is asked anew",
              without=("$.approval",)),
    Deviation("ops", 98, "unknown status behaves as unread", "a word that is none is refused", 400,
              "unsupported notification status"),
    Deviation("ops", 102, "newest first, limit", "what is published in one second has no order",
              without=("$.notifications[0].metadata", "$.notifications[1].metadata")),
    Deviation("ops", 117, "deferred is final", "what was put off can be decided later",
              without=("$.status", "$.approval.status")),
    Deviation("ops", 119, "all", "the capture made more of them than it wrote down", without=("$.approvals",)),
    Deviation("ops", 123, "full document", "a treaty with another party waits for its signature", without=("$.treaty.status",)),
    Deviation("ops", 126, "status active, past expires_at", "a treaty whose time is over has expired",
              without=("$.treaty.status",)),
    Deviation("ops", 185, "reading the queue redelivers", "what is redelivered by reading has changed last",
              without=("$.messages[0].metadata",)),
)
