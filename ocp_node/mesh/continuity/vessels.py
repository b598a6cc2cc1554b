"""Packed missions: their documents, and whether one is whole (OCP 0.1 continuity vessels and witnesses)."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from ...base import jsontext
from ...base.digest import sha256
from ...base.errors import Malformed, Refusal
from ...crypto import documents
from . import rules

if TYPE_CHECKING:
    from ...core import Core, Rooms
    from ...crypto.identity import Identity

Members = dict[str, Any]

VESSEL_TYPE = "application/vnd.ocp.continuity.vessel.v1+json"
WITNESS_TYPE = "application/vnd.ocp.continuity.witness.v1+json"
VESSEL_ARTIFACT, WITNESS_ARTIFACT = "application/vnd.ocp.continuity.vessel.v1", "application/vnd.ocp.continuity.witness.v1"
VESSEL, WITNESS = "ocp.continuity.vessel", "ocp.continuity.witness"
WITNESSES_MAX = 200
VESSEL_READ_MAX = 32 * 1024 * 1024
WITNESS_READ_MAX = 64 * 1024
INCLUDED_BYTES_MAX = 4 * 1024 * 1024


def vessel(mission: Mapping[str, Any], summary: Mapping[str, Any], treaties: Members, order: Members, dry_run: bool,
           warnings: list[str], now: str) -> Members:
    """Everything of the mission that another node needs to go on with it, but for the artifacts themselves and secrets."""
    return {
        "kind": VESSEL, "schema_version": 1, "created_at": now, "dry_run": dry_run,
        "mission": {name: mission[name] for name in ("id", "request_id", "title", "intent", "status", "priority",
                                                     "workload_class")},
        "continuity": {"state": summary["continuity_state"], "recoverable": summary["recovery"]["recoverable"],
                       "checkpoint_ready": summary["recovery"]["checkpoint_ready"],
                       "recommended_action": summary["recommended_action"],
                       "preferred_target_device_classes": summary["preferred_target_device_classes"],
                       "safe_devices": summary["safe_devices"], "overlay": rules.overlay(mission["continuity"])},
        "artifacts": {"checkpoint_ref": mission["latest_checkpoint_ref"], "result_ref": mission["result_ref"],
                      "result_bundle_ref": mission["result_bundle_ref"]},
        "lineage": mission["lineage"], "policy": mission["policy"],
        "governance": {"treaty_requirements": mission["continuity"]["treaty_requirements"], "treaty_validation": treaties},
        "child_jobs": [{**{name: job.get(name) or {} if name.endswith("_ref") else job.get(name, "") for name in (
            "id", "kind", "status", "target", "latest_checkpoint_ref", "result_ref", "result_bundle_ref")},
            "spec": rules.spec_of(job)} for job in mission["child_jobs"]],
        "cooperative_tasks": [{**{name: task[name] for name in ("id", "state", "shard_count")},
                               "base_job": rules.base_job_of(task["id"], mission["cooperative_tasks"])}
                              for task in mission["lineage"]["cooperative_tasks"]],
        "required_absent": rules.absent(mission["child_jobs"]), "operator_request": order, "warnings": warnings}


def witness(identity: Identity, mission_id: str, state: str, order: Mapping[str, Any], dry_run: bool, vessel_id: str,
            digest: str, now: str) -> Members:
    """This node's signed word that it packed the mission into that vessel."""
    return documents.sign_attestation(identity, {
        "kind": WITNESS, "schema_version": 1, "issued_at": now, "event": "mission.continuity.export", "mission_id": mission_id,
        "continuity_state": state, "dry_run": dry_run, "operator_id": order["operator_id"], "reason": order["reason"],
        "subject_artifact_id": vessel_id, "subject_digest": digest,
        "issuer": {"node_id": identity.node_id, "display_name": identity.display_name, "public_key": identity.public_key_hex,
                   "signature_scheme": identity.signature_scheme}, "verification": {}})


class Vessels:
    """Reads vessels and their witnesses."""

    def __init__(self, core: Core, rooms: Rooms) -> None:
        self._core = core
        self._artifacts = rooms["mesh.artifacts"]
        self._peers = rooms["mesh.peers"]

    def included(self, mission: Mapping[str, Any]) -> tuple[list[Members], list[str]]:
        """The mission's checkpoint and results with their bytes, as far as they are here and small enough, and what was left."""
        found: list[Members] = []
        warnings: list[str] = []
        left = INCLUDED_BYTES_MAX
        for role, name in (("checkpoint_ref", "latest_checkpoint_ref"), ("result_ref", "result_ref"),
                           ("result_bundle_ref", "result_bundle_ref")):
            ref = mission[name]
            artifact = self._stored(ref) if ref.get("id") else None
            if artifact is not None and artifact["size_bytes"] <= left:
                left -= artifact["size_bytes"]
                content = base64.b64encode(self._artifacts.content(artifact)).decode()
                found.append({"role": role, "artifact_id": artifact["id"], "digest": artifact["digest"],
                              "media_type": artifact["media_type"], "classification": artifact["policy"]["classification"],
                              "content_base64": content})
            elif ref.get("id"):
                what = role.removesuffix("_ref").replace("_", " ")
                warnings.append(f"The {what} is not in the vessel: it is not here, or too large.")
        return found, warnings

    def opened(self, artifact_id: str) -> tuple[Members, Members]:
        """The vessel's artifact, whose bytes have their digest, and its document.  `Refusal` for what is no vessel."""
        with self._core.reader.snapshot() as connection:
            artifact = self._artifacts.find(connection, artifact_id) if artifact_id else None
        if artifact is None:
            raise Refusal("not_found", "artifact not found")
        document = self._document(artifact, VESSEL, VESSEL_READ_MAX) if artifact["artifact_kind"] == "vessel" else None
        if document is None or not _is_vessel(document):
            raise Refusal("invalid_request", "artifact is not a continuity vessel")
        return artifact, document

    def _document(self, artifact: Mapping[str, Any], kind: str, bytes_max: int) -> Members | None:
        if artifact["size_bytes"] > bytes_max:
            return None
        try:
            document = jsontext.parse(self._artifacts.content(artifact))
        except Malformed:
            return None
        return document if isinstance(document, dict) and document.get("kind") == kind else None

    # --- witnesses

    def witnesses(self, artifact: Mapping[str, Any], mission_id: str) -> list[Members]:
        """Who attests to the vessel, and whether that holds."""
        with self._core.reader.snapshot() as connection:
            named = self._artifacts.search(connection, {"artifact_kind": "witness", "parent_artifact_id": artifact["id"]},
                                           WITNESSES_MAX)
            latest = self._artifacts.search(connection, {"artifact_kind": "witness"}, WITNESSES_MAX)
        ids = names(artifact)
        found = {each["id"]: each for each in (*named, *latest)
                 if each["metadata"].get("subject_artifact_id") in ids
                 and each["metadata"].get("mission_id", mission_id) == mission_id}
        return [made for each in found.values() if (made := self._witness(each, artifact)) is not None][:WITNESSES_MAX]

    def _witness(self, found: Mapping[str, Any], artifact: Mapping[str, Any]) -> Members | None:
        try:
            payload = self._document(found, WITNESS, WITNESS_READ_MAX)
        except Refusal:                                   # its bytes are gone or spoiled: it attests to nothing
            return None
        if payload is None:
            return None
        return {"artifact": dict(found), "payload": payload,
                "subject_matches": payload.get("subject_artifact_id") in names(artifact),
                "digest_matches": payload.get("subject_digest") == artifact["digest"],
                "signature_valid": any(documents.verify_attestation(payload, key) for key in self._keys(payload))}

    def _keys(self, payload: Mapping[str, Any]) -> Iterator[str]:
        """The keys by which this node knows who says it has issued this: never the one that the document brings."""
        issuer = payload.get("issuer")
        node_id = issuer.get("node_id") if isinstance(issuer, dict) else None
        identity = self._core.identity
        if node_id == identity.node_id:
            yield identity.public_key_hex
            yield from (str(each.get("old_public_key") or "") for each in identity.successions)
            return
        peer = self._peers.find(node_id) if isinstance(node_id, str) else None
        if peer is not None and peer.trust_tier != "blocked" and peer.status != "pending":
            yield peer.public_key

    # --- what the vessel names

    def availability(self, document: Mapping[str, Any]) -> dict[str, Members]:
        """Which of the artifacts that the vessel names can be had here."""
        named = document.get("artifacts")
        refs = named if isinstance(named, dict) else {}
        return {name: self._available(name, refs.get(name), document) for name in rules.REFS}

    def _available(self, role: str, ref: object, document: Mapping[str, Any]) -> Members:
        if not isinstance(ref, dict) or not isinstance(ref.get("id"), str) or not ref["id"]:
            return {"required": False, "available": False, "artifact": {}}
        artifact = self._stored(ref)
        inside = artifact is None and _inside(role, ref, document)
        made = {"required": True, "available": artifact is not None or inside, "artifact": artifact or ref}
        return {**made, "included": True} if inside else made

    def _stored(self, ref: Mapping[str, Any]) -> Members | None:
        """The artifact by its id, or another one of the same content."""
        digest = str(ref.get("digest") or "").removeprefix("sha256:")
        with self._core.reader.snapshot() as connection:
            found: Members | None = self._artifacts.find(connection, ref["id"])
            if digest and (found is None or found["digest"] != digest):
                found = self._artifacts.with_digest(connection, digest)
        return found


def names(artifact: Mapping[str, Any]) -> frozenset[str]:
    """By which ids the artifact is known: a copy of a peer's is known to others by that peer's."""
    return frozenset({artifact["id"], str(artifact["artifact_sync"].get("source_artifact_id") or artifact["id"])})


def _is_vessel(document: Mapping[str, Any]) -> bool:
    """Does the document have the members that are relied on?"""
    mission, continuity, governance = (document.get(name) for name in ("mission", "continuity", "governance"))
    return (isinstance(mission, dict) and isinstance(mission.get("id"), str) and isinstance(continuity, dict)
            and isinstance(governance, dict))


def _inside(role: str, ref: Mapping[str, Any], document: Mapping[str, Any]) -> bool:
    """Does the vessel hold the bytes of what it names?"""
    included = document.get("included_artifacts")
    for each in included if isinstance(included, list) else ():
        if isinstance(each, dict) and each.get("role") == role and isinstance(each.get("content_base64"), str):
            try:
                content = base64.b64decode(each["content_base64"], validate=True)
            except ValueError:
                return False
            return sha256(content).hexdigest() == str(ref.get("digest") or "").removeprefix("sha256:")
    return False


def missing(availability: Mapping[str, Mapping[str, Any]]) -> list[Members]:
    """What the vessel names and cannot be had here."""
    return [{"role": role, **{member: str(found["artifact"].get(name) or "") for member, name in (("artifact_id", "id"),
                                                                                                ("digest", "digest"))}}
            for role, found in availability.items() if found["required"] and not found["available"]]
