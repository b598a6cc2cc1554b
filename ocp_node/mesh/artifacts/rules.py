"""What an artifact is, who may read it and how long it is kept (OCP 0.1 artifacts); pure."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from ...base.clock import instant_text
from ...base.errors import Refusal

Members = dict[str, Any]

CLASSIFICATIONS = ("private", "trusted", "public")
MODES = ("interactive", "batch")
RETENTION_SECONDS = {"ephemeral": 3_600, "session": 604_800, "durable": 0}     # 0: no deadline
RETENTION_SECONDS_MAX = 3_153_600_000                # a century: deadlines stay texts of one length
METADATA_BYTES_MAX = 262_144
DESCRIPTOR_BYTES_MAX = 65_536
POLICY_BYTES_MAX = 65_536
MEDIA_TYPE_LENGTH_MAX = 256
DEFAULT_POLICY = {"classification": "trusted", "mode": "batch"}
JSON_TYPE = "application/json"
BYTES_TYPE = "application/octet-stream"
TEXT_TYPE = "text/plain; charset=utf-8"

# Only the node writes these; whoever publishes them is not believed.
RESERVED = frozenset({
    "content_sha256", "oci_digest", "size_bytes", "media_type", "request_id", "source_peer_id", "provided_descriptor", "pinned",
    "artifact_sync", "mirror_verification", "replicated_from_peer_id", "replicated_from_artifact_id", "replicated_from_download_url",
    "cas_origin_digest", "integrity"})

_DIGEST = re.compile(r"[0-9a-f]{64}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


# --- digests and contents

def bare(digest: object) -> str:
    """The digest as it is stored: no `sha256:`, lower case.  What is no text is ""."""
    return digest.strip().lower().removeprefix("sha256:") if isinstance(digest, str) else ""


def is_digest(digest: str) -> bool:
    """Is it a whole bare digest?"""
    return _DIGEST.fullmatch(digest) is not None


def stored_bytes(value: object) -> bytes:
    """The bytes that a JSON value is stored as: a text as it is, all else as JSON with sorted names, `", "` and `": "`."""
    if isinstance(value, str):
        return value.encode("utf-8", "surrogatepass")
    return json.dumps(value, sort_keys=True).encode("ascii")


def media_type(value: object, default: str) -> str:
    """The media type, checked."""
    if value in (None, ""):
        return default
    if not isinstance(value, str):
        raise Refusal("invalid_request", "media_type must be a string")
    if len(value) > MEDIA_TYPE_LENGTH_MAX or _CONTROL.search(value):
        raise Refusal("invalid_request", f"media_type must have at most {MEDIA_TYPE_LENGTH_MAX} characters and no control characters")
    return value


# --- policy

def policy(given: Mapping[str, Any] | None) -> Members:
    """The policy as it is stored; members that mean nothing are dropped."""
    given = given or DEFAULT_POLICY
    made: Members = {
        "classification": _word(_first(given, "classification", "visibility", "label"), CLASSIFICATIONS, "trusted"),
        "mode": _word(_first(given, "mode", "execution_mode"), MODES, "batch"),
        "secret_scopes": _scopes(given.get("secret_scopes"))}
    return made | {name: given[name] for name in ("retention", "notes", "max_runtime_seconds") if given.get(name) is not None}


def stricter(one: Mapping[str, Any], other: Mapping[str, Any]) -> Members:
    """The first policy with the class of whichever lets fewer read."""
    rank = CLASSIFICATIONS.index
    words = (one.get("classification", "trusted"), other.get("classification", "trusted"))
    return {**one, "classification": min(words, key=rank)}


def _first(members: Mapping[str, Any], *names: str) -> object:
    return next((members[name] for name in names if members.get(name)), None)


def _word(value: object, words: tuple[str, ...], default: str) -> str:
    word = value.strip().lower() if isinstance(value, str) else ""
    return word if word in words else default


def _scopes(value: object) -> list[str]:
    scopes = value if isinstance(value, (list, tuple)) else ()
    return [scope.strip() for scope in scopes if isinstance(scope, str) and scope.strip()]


# --- retention

class Retention(NamedTuple):
    """How long something is kept: its class, and its deadline or ""."""
    retention_class: str
    deadline_at: str


def retention(metadata: Mapping[str, Any], policy: Mapping[str, Any], *, pinned: bool, now: float,
              remote_seconds_max: float | None = None, lenient: bool = False) -> Retention:
    """How long it is kept, from now on (OCP 0.1 retention).

    A peer's artifact is kept at most `remote_seconds_max`.  `Refusal` for a `retention_seconds` that is no whole number of
    seconds, unless `lenient` (what another node has stored): then the class decides.
    """
    if pinned:
        return Retention("durable", "")
    kept = retention_class(metadata, policy)
    seconds = _seconds(metadata, policy, lenient)
    if seconds is None:
        seconds = RETENTION_SECONDS[kept]
    if remote_seconds_max is not None:
        most = int(remote_seconds_max)
        seconds = min(seconds or most, most)
    seconds = min(seconds, RETENTION_SECONDS_MAX)
    return Retention(kept, instant_text(now + seconds) if seconds > 0 else "")


def retention_class(metadata: Mapping[str, Any], policy: Mapping[str, Any]) -> str:
    """The class that was asked for; a word that is none counts as durable, and logs are of the session unless said otherwise."""
    given = _first(metadata, "retention_class", "retention") or policy.get("retention")
    if given in (None, "", 0):
        return "session" if kind_of(metadata) == "log" else "durable"
    return class_word(given)


def class_word(given: object) -> str:
    """ephemeral, session or durable."""
    return _word(given, tuple(RETENTION_SECONDS), "durable")


def _seconds(metadata: Mapping[str, Any], policy: Mapping[str, Any], lenient: bool) -> int | None:
    """The seconds that were asked for; None: none were."""
    for members in (metadata, policy):
        given = members.get("retention_seconds")
        if given not in (None, ""):
            seconds = _whole(given)
            if seconds is not None:
                return seconds
            if not lenient:
                raise Refusal("invalid_request", "retention_seconds must be a non-negative integer")
    number = policy.get("retention")
    return _whole(number) if type(number) in (int, float) else None


def _whole(value: object) -> int | None:
    """A count of seconds, or None."""
    if isinstance(value, str) and re.fullmatch(r"\s*[0-9]{1,12}\s*", value):
        return int(value)
    if type(value) is int or type(value) is float and value == value and abs(value) < 1e12:
        return min(int(value), RETENTION_SECONDS_MAX) if value >= 0 else None
    return None


def expired(deadline_at: str, pinned: bool, now_text: str) -> bool:
    """Is its time over?  The deadline itself counts."""
    return bool(deadline_at) and deadline_at <= now_text and not pinned


# --- metadata

def kind_of(metadata: Mapping[str, Any]) -> str:
    """The artifact's kind, for comparing."""
    return text_of(metadata, "artifact_kind").lower()


def text_of(metadata: Mapping[str, Any], name: str) -> str:
    """A text of the metadata without blanks around it; "" when it is none."""
    value = metadata.get(name)
    return value.strip() if isinstance(value, str) else ""


def published_metadata(given: Mapping[str, Any], own: Mapping[str, Any]) -> Members:
    """What a publisher said, without what only the node writes, and what the node knows."""
    return {**{name: value for name, value in given.items() if name not in RESERVED}, **own}


def with_facts(metadata: Mapping[str, Any], digest: str, size: int, media_type: str) -> Members:
    """The metadata with what is known of the stored bytes."""
    return {**metadata, "content_sha256": digest, "oci_digest": f"sha256:{digest}", "size_bytes": size, "media_type": media_type}


def check_sizes(metadata: Mapping[str, Any], descriptor: Mapping[str, Any] | None = None,
                policy: Mapping[str, Any] | None = None) -> None:
    """None of them is larger than a node keeps."""
    if descriptor and len(json.dumps(descriptor)) > DESCRIPTOR_BYTES_MAX:
        raise Refusal("too_large", "artifact descriptor too large")
    if policy and len(json.dumps(policy)) > POLICY_BYTES_MAX:
        raise Refusal("too_large", "artifact policy too large")
    if len(json.dumps(metadata)) > METADATA_BYTES_MAX:
        raise Refusal("too_large", "artifact metadata too large")


def pinned(metadata: Mapping[str, Any]) -> bool:
    """Is it kept for good?"""
    sync = metadata.get("artifact_sync")
    return bool(metadata.get("pinned") or isinstance(sync, Mapping) and sync.get("pinned"))


# --- as it is shown

def descriptor(digest: str, size: int, media_type: str, url: str, annotations: object = None) -> Members:
    """The content as the OCI image specification names one."""
    return {"mediaType": media_type, "digest": f"sha256:{digest}", "size": size,
            "annotations": annotations if isinstance(annotations, dict) else {}, "urls": [url]}


def shown(stored: Mapping[str, Any], base_url: str) -> Members:
    """The artifact as operators see it; `stored` are the columns of its row."""
    metadata = stored["metadata"]
    url = f"{base_url}/mesh/artifacts/{stored['id']}"
    return {"id": stored["id"], "digest": stored["digest"], "media_type": stored["media_type"], "size_bytes": stored["size_bytes"],
            "owner_peer_id": stored["owner_peer_id"], "policy": stored["policy"], "path": f"artifacts/{stored['id']}.blob",
            "created_at": stored["created_at"], "metadata": metadata, "retention_class": stored["retention_class"],
            "retention_deadline_at": stored["retention_deadline_at"], "download_url": url,
            "artifact_kind": text_of(metadata, "artifact_kind"), "artifact_type": text_of(metadata, "artifact_type"),
            "pinned": pinned(metadata), "artifact_sync": _object(metadata, "artifact_sync"),
            "mirror_verification": _object(metadata, "mirror_verification"),
            "oci_descriptor": descriptor(stored["digest"], stored["size_bytes"], stored["media_type"], url,
                                         metadata.get("oci_annotations"))}


def public_view(artifact: Mapping[str, Any]) -> Members:
    """What callers see who are neither on loopback nor operators."""
    metadata = {name: value for name, value in artifact["metadata"].items() if name != "provided_descriptor"}
    return {**{name: value for name, value in artifact.items() if name != "path"}, "metadata": metadata}


def _object(metadata: Mapping[str, Any], name: str) -> Members:
    value = metadata.get(name)
    return value if isinstance(value, dict) else {}
