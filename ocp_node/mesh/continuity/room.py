"""Keeping missions alive: how one could go on elsewhere, packing it for that, checking the pack, planning a restore
(OCP 0.1 continuity).  Nothing here starts work: a plan is carried out by whoever reads it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

from ...base.digest import sha256
from ...base.errors import Refusal
from ...contract.route import Call, Reply, Write
from ...core import Core, Rooms
from ..device_profile import derived
from ..treaties.rules import guidance
from ..values import boolean, members, text
from . import devices, rules
from .vessels import VESSEL_ARTIFACT, VESSEL_TYPE, WITNESS_ARTIFACT, WITNESS_TYPE, Vessels, missing, vessel, witness

if TYPE_CHECKING:
    from ...store.writer import WriteConnection

__all__ = ["Continuity", "build"]

Members = dict[str, Any]

SUMMARY, EXPORT, RESTORE = "mission_continuity", "continuity_export", "continuity_restore"
REASON_LENGTH_MAX = 2_000
METADATA_LENGTH_MAX = 16_384
REFUSED = "continuity export requires active treaties for all treaty requirements"
PLAN_NAMES = {"checkpoint": "checkpoint_ref", "result_bundle": "result_bundle_ref", "result": "result_ref"}


class Continuity:
    """Summaries, vessels and plans."""

    def __init__(self, core: Core, rooms: Rooms) -> None:
        self._core = core
        self._rooms = rooms
        self._node_id = core.identity.node_id
        self.vessels = Vessels(core, rooms)

    # --- devices

    def devices(self, current: Collection[str], classes: list[str]) -> list[Members]:
        """This node and the peers it relies on, as far as they are of these classes, the best first."""
        profile = self._rooms["mesh.device_profile"].profile()
        entries = [devices.own(self._node_id, self._core.identity.display_name, profile, self._node_id in current)]
        entries += [devices.of_peer(peer, derived.custody(profile), peer.peer_id in current)
                    for peer in self._rooms["mesh.peers"].all() if devices.relied_on(peer)]
        return devices.chosen(entries, classes)

    def _treaties(self, requirements: list[str], operation: str, connection: Any = None) -> Members:
        room = self._rooms["mesh.treaties"]
        if connection is not None:
            found: Members = room.validate(connection, requirements, operation)
            return found
        with self._core.reader.snapshot() as snapshot:
            found = room.validate(snapshot, requirements, operation)
        return found

    # --- the summary

    def summary(self, mission: Members) -> Members:
        """How the mission could go on; reads only."""
        found, required = rules.standing(mission), mission["continuity"]["treaty_requirements"]
        safe = self.devices({str(job.get("target") or "") for job in mission["child_jobs"]}, found.classes)
        recommended, treaty_device = devices.recommended(safe, bool(required))
        treaties = self._treaties(required, SUMMARY)
        audit = {"status": "ok" if treaties["satisfied"] else "attention_needed", "operation": SUMMARY, "validation": treaties,
                 "posture": self._rooms["mesh.treaties"].posture(), "guidance": guidance(treaties)}
        return {
            "mission_id": mission["id"], "title": mission["title"], "status": mission["status"],
            "continuity_state": found.state, "headline": found.headline,
            "operator_summary": (found.reason or found.headline)[:rules.SUMMARY_LENGTH_MAX], "intent": mission["intent"],
            "recommended_action": found.action, "recommended_action_label": rules.LABELS[found.action],
            "current_devices": [entry for entry in safe if entry["current"]], "recommended_device": recommended,
            "recommended_treaty_device": treaty_device, "safe_devices": safe, "preferred_target_device_classes": found.classes,
            "recovery": {"recoverable": found.recoverable, "checkpoint_ready": found.checkpoint_ready,
                         "recommended_action": found.action, "reason": found.reason},
            "artifacts": {"checkpoint": self._artifact("Latest Checkpoint", mission["latest_checkpoint_ref"]),
                          "result_bundle": self._artifact("Result Bundle", mission["result_bundle_ref"])},
            "treaty_validation": treaties, "governance": {"treaty_requirements": required, "treaty_audit": audit},
            "available_actions": rules.actions(mission, found), "mission": mission, "continuity": mission["continuity"],
            "latest_checkpoint_ref": mission["latest_checkpoint_ref"],
            "checkpoints": [line["checkpoint_ref"] for line in mission["lineage"]["jobs"] if line["checkpoint_ref"]]}

    def _artifact(self, label: str, ref: Members) -> Members:
        """An artifact of the mission; one of a peer's job is there as long as that peer has it."""
        with self._core.reader.snapshot() as connection:
            found = self._rooms["mesh.artifacts"].find(connection, ref["id"]) if ref.get("id") else None
        elsewhere = bool(ref.get("id")) and str(ref.get("owner_peer_id") or self._node_id) != self._node_id
        return {"label": label, "available": found is not None or elsewhere, "artifact": found or ref,
                "pinned": bool((found or ref).get("pinned"))}

    # --- packing

    def asked_export(self, mission: Members, body: Any) -> Write:
        """POST /mesh/missions/{mission_id}/continuity/export, for the room of missions."""
        return self.export(mission, order_of(body), boolean(body.dry_run, "dry_run", True),
                           boolean(body.include_artifacts, "include_artifacts", False))

    def export(self, mission: Members, order: Members, dry_run: bool, include: bool) -> Write:
        """What packs the mission: nothing is stored in a dry run, nor while a treaty is missing that the mission asks for."""
        summary, required = self.summary(mission), mission["continuity"]["treaty_requirements"]
        treaties = self._treaties(required, EXPORT)
        warnings = rules.export_warnings(mission, treaties["satisfied"])
        included, left_out = self.vessels.included(mission) if include else ([], [])
        warnings += left_out
        made = vessel(mission, summary, treaties, order, dry_run, warnings, self._core.clock.text())
        if included:
            made["included_artifacts"] = included
        answer = {"status": "planned" if dry_run else "exported", "dry_run": dry_run, "mission_id": mission["id"],
                  "artifact_kind": "vessel", "continuity_state": summary["continuity_state"], "warnings": warnings,
                  "treaty_validation": treaties, "governance": made["governance"], "vessel": made, "witness": {},
                  "vessel_ref": {}, "witness_ref": {}}
        if dry_run:
            self._add_witness(answer, mission, order, "", "")
            return Write(lambda connection: self._planned(connection, mission, answer, warnings), Reply)
        return self._sealed(mission, order, answer, rules.policy_of(mission, included))

    def _add_witness(self, answer: Members, mission: Members, order: Members, vessel_id: str, digest: str) -> None:
        answer["witness"] = witness(self._core.identity, mission["id"], answer["continuity_state"], order, answer["dry_run"],
                                    vessel_id, digest, self._core.clock.text())

    def _planned(self, connection: WriteConnection, mission: Members, answer: Members, warnings: list[str]) -> Members:
        self._told(connection, "mission.continuity_export.planned", mission["id"], mission["request_id"], {
            "checkpoint_ready": bool(mission["continuity"]["checkpoint_ready"]), "warning_count": len(warnings)})
        return answer

    def _sealed(self, mission: Members, order: Members, answer: Members, policy: Members) -> Write:
        """The vessel and its witness become artifacts in one change, if the treaties are in force in that very moment."""
        artifacts, ids = self._rooms["mesh.artifacts"], self._core.ids
        required = mission["continuity"]["treaty_requirements"]
        vessel_id, witness_id = ids.uuid(), ids.uuid()
        content = artifacts.json_bytes(answer["vessel"])
        self._add_witness(answer, mission, order, vessel_id, sha256(content).hexdigest())
        blobs = artifacts.put_all([content, artifacts.json_bytes(answer["witness"])])

        def change(connection: WriteConnection) -> Members | Refusal:
            treaties = self._treaties(required, EXPORT, connection)
            if not treaties["satisfied"]:
                self._told(connection, "mission.continuity_export.blocked", mission["id"], mission["request_id"], {
                    "missing_treaties": treaties["missing"], "inactive_treaties": treaties["inactive"]})
                return Refusal("policy_denied", REFUSED, {"treaty_validation": treaties})
            refs = self._recorded(connection, mission, answer, policy, {"vessel": (vessel_id, blobs[0]),
                                                                        "witness": (witness_id, blobs[1])})
            self._told(connection, "mission.continuity_export.created", mission["id"], mission["request_id"], {
                "vessel_artifact_id": vessel_id, "witness_artifact_id": witness_id})
            return {**answer, **refs}

        return Write(change, _answered)

    def _recorded(self, connection: WriteConnection, mission: Members, answer: Members, policy: Members,
                  made: Mapping[str, Any]) -> Members:
        artifacts = self._rooms["mesh.artifacts"]
        required = mission["continuity"]["treaty_requirements"]
        facts = {"mission_id": mission["id"], "treaty_requirements": required}
        of_vessel = {**facts, "artifact_kind": "vessel", "artifact_type": VESSEL_ARTIFACT,
                     "continuity_state": answer["continuity_state"],
                     "checkpoint_artifact_id": mission["latest_checkpoint_ref"].get("id", ""),
                     "result_bundle_artifact_id": mission["result_bundle_ref"].get("id", ""),
                     "result_artifact_id": mission["result_ref"].get("id", "")}
        vessel_id = made["vessel"][0]
        of_witness = {**facts, "artifact_kind": "witness", "artifact_type": WITNESS_ARTIFACT, "subject_artifact_id": vessel_id,
                      "subject_digest": made["vessel"][1].digest, "parent_artifact_id": vessel_id}
        return {f"{role}_ref": artifacts.record(connection, {
            "id": made[role][0], "media_type": media_type, "policy": policy, "metadata": metadata,
            "request_id": mission["request_id"]}, made[role][1])
            for role, media_type, metadata in (("vessel", VESSEL_TYPE, of_vessel), ("witness", WITNESS_TYPE, of_witness))}

    def _told(self, connection: WriteConnection, event: str, mission_id: str, request_id: str, payload: Members) -> None:
        connection.event(f"mesh.{event}", subject=mission_id[:200], peer_id=self._node_id, request_id=request_id[:200],
                         payload={"mission_id": mission_id, **payload})

    # --- checking

    def verification(self, artifact_id: str) -> Members:
        """Whether the vessel is whole here and now; not on the loop.  Writes nothing."""
        artifact, document = self.vessels.opened(artifact_id)
        mission_id = document["mission"]["id"]
        required = _list(document["governance"].get("treaty_requirements"))
        named = [word for word in required if isinstance(word, str)]
        treaties = self._treaties(named, RESTORE)
        witnesses, availability = self.vessels.witnesses(artifact, mission_id), self.vessels.availability(document)
        lost = missing(availability)
        whole, warnings = rules.verified(witnesses, lost, treaties["satisfied"])
        return {"status": "verified" if whole else "attention_needed", "mission_id": mission_id, "treaty_validation": treaties,
                "vessel": {"artifact": artifact, "payload": document}, "witnesses": witnesses,
                "artifact_availability": availability, "missing_refs": lost, "warnings": warnings, "artifact_id": artifact["id"],
                "valid": whole, "governance": {"treaty_requirements": named, "treaty_validation": treaties},
                "referenced_artifacts": [{"role": role, **found} for role, found in availability.items() if found["required"]]}

    def verified(self, connection: WriteConnection, found: Members) -> None:
        """The event of a verification."""
        self._told(connection, "continuity.vessel.verified", found["mission_id"], _request_id(found), {
            "vessel_artifact_id": found["artifact_id"], "status": found["status"], "witness_count": len(found["witnesses"]),
            "missing_ref_count": len(found["missing_refs"])})

    # --- planning

    def plan(self, found: Members, wanted: str, constraints: Members, order: Members) -> Members:
        """How the mission of a verified vessel would go on; nothing is done."""
        document, treaties, availability = found["vessel"]["payload"], found["treaty_validation"], found["artifact_availability"]
        continuity = document["continuity"]
        classes = [word for word in _list(continuity.get("preferred_target_device_classes")) if isinstance(word, str)]
        current = {str(job.get("target") or "") for job in _list(document.get("child_jobs")) if isinstance(job, dict)}
        safe, passed_over = rules.constrained(self.devices(current, classes), constraints)
        action = str(continuity.get("recommended_action") or "")
        made = rules.plan(action if action in rules.LABELS else "restart", safe, wanted, availability, treaties, found["valid"])
        readiness = {name: {part: availability[ref][part] for part in ("required", "available", "artifact")}
                     for name, ref in PLAN_NAMES.items()}
        treaty_device = next((entry for entry in safe if treaties["required"] and devices.custodian(entry, True)), {})
        return {"status": made.status, "dry_run": True, "mission_id": found["mission_id"],
                "vessel_artifact_id": found["artifact_id"], "recommended_action": made.action, "target": made.target,
                "recommended_treaty_device": treaty_device, "safe_devices": safe, "preferred_target_device_classes": classes,
                "artifacts": readiness, "artifact_readiness": readiness, "treaty_validation": treaties,
                "governance": found["governance"], "verification": found, "blockers": made.blockers,
                "warnings": [*made.warnings, *passed_over], "operator_request": order,
                "exported_safe_devices": [each for each in _list(continuity.get("safe_devices")) if isinstance(each, dict)]}

    def planned(self, connection: WriteConnection, found: Members, plan: Members) -> None:
        """The events of a plan, which begins with a verification."""
        self.verified(connection, found)
        self._told(connection, "continuity.restore_plan.created", found["mission_id"], _request_id(found), {
            "vessel_artifact_id": found["artifact_id"], "status": plan["status"],
            "recommended_action": plan["recommended_action"], "target_peer_id": plan["target"].get("peer_id", "")})


def _list(value: object) -> list[Any]:
    """A list of a vessel's document, which anybody may have written."""
    return value[:256] if isinstance(value, list) else []


def _request_id(found: Mapping[str, Any]) -> str:
    return str(found["vessel"]["payload"]["mission"].get("request_id") or "")


def _answered(result: Members | Refusal) -> Reply:
    if isinstance(result, Refusal):              # what it tells is stored, the rest was not done
        raise result
    return Reply(result)


def build(core: Core, rooms: Rooms) -> Continuity:
    """The room."""
    return Continuity(core, rooms)


def order_of(body: Any) -> Members:
    """Who asks, and why."""
    made: Members = {"operator_id": text(body.operator_id, "operator_id"),
                     "reason": text(body.reason, "reason", REASON_LENGTH_MAX)}
    given = members(getattr(body, "metadata", None), "metadata")
    if len(repr(given)) > METADATA_LENGTH_MAX:
        raise Refusal("invalid_request", f"metadata must be at most {METADATA_LENGTH_MAX} characters")
    return {**made, "metadata": given} if given else made


def _named(body: Any) -> str:
    return text(body.artifact_id, "artifact_id") or text(body.vessel_artifact_id, "vessel_artifact_id")


def verify(room: Continuity, call: Call) -> Write:
    """POST /mesh/continuity/vessels/verify."""
    found = room.verification(_named(call.body))
    shown = found if boolean(call.body.include_content, "include_content", True) else \
        {**found, "vessel": {**found["vessel"], "payload": {}}}
    return Write(lambda connection: room.verified(connection, found), lambda _: Reply(shown))


def restore_plan(room: Continuity, call: Call) -> Write:
    """POST /mesh/continuity/vessels/restore-plan: never restores anything."""
    body = call.body
    found = room.verification(_named(body))
    made = room.plan(found, text(body.target_peer_id, "target_peer_id"), members(body.constraints, "constraints"), order_of(body))
    return Write(lambda connection: room.planned(connection, found, made), lambda _: Reply(made))
