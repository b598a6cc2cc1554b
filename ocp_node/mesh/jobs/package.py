"""The result package of a job: result, logs, checkpoint, config, attestation, bundle (OCP 0.1 result package).

Its artifacts name each other, so their ids are chosen first, then their bytes are stored, and one change makes all of them known:
after a crash there are all or none.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ...base.digest import sha256
from ...crypto import canonical, documents
from ..values import members

if TYPE_CHECKING:
    from ...store.writer import WriteConnection
    from .room import Jobs
    from .table import Job

Members = dict[str, Any]

JSON_TYPE = "application/json"
LOG_TYPE = "text/plain; charset=utf-8"
CONFIG_TYPE = "application/vnd.ocp.job-result.config.v1+json"
ATTESTATION_TYPE = "application/vnd.ocp.artifact.attestation.v1+json"
BUNDLE_TYPE = "application/vnd.oci.image.manifest.v1+json"
RESULT_ARTIFACT = "application/vnd.ocp.job-result.v1"
ATTESTATION_ARTIFACT = "application/vnd.ocp.execution.attestation.v1"
PREDICATE = "ocp.execution.result.v1"
RESULT_BYTES_MAX = 16 * 1024 * 1024
MATERIALS_MAX = 64


class Piece:
    """One artifact to be."""

    __slots__ = ("id", "role", "media_type", "content", "metadata", "digest")

    def __init__(self, artifact_id: str, role: str, media_type: str, content: bytes, metadata: Members) -> None:
        self.id = artifact_id
        self.role = role
        self.media_type = media_type
        self.content = content
        self.metadata = metadata
        self.digest = sha256(content).hexdigest()


class Package:
    """What a finished job leaves behind.  Made outside of a change, its bytes stored; `record` makes it known inside one."""

    def __init__(self, jobs: Jobs, job: Job, attempt_id: str, executor: str) -> None:
        self._jobs = jobs
        self._job = job
        self._attempt_id = attempt_id
        self._executor = executor
        self._pieces: list[Piece] = []
        self._blobs: list[Any] = []
        self.delivery: list[Members] = []

    def store(self, result: Any, media_type: str = JSON_TYPE, delivery: list[Members] | None = None,
              about: Mapping[str, Any] | None = None) -> Package:
        """The bytes of the whole package are on the disk.  Any thread but the loop's, never inside a change.

        `delivery`: how secrets reached the work, None where nothing can; `about`: what else is known of the completion.
        """
        self.delivery = delivery or []
        known = {**(about or {}), **({"secret_delivery": self.delivery} if delivery is not None else {}),
                 "executor": self._executor}
        primary = self._add("result", media_type or JSON_TYPE, result, {"artifact_kind": "result", **known})
        pieces = [primary, *self._parts(result, primary)]
        config = self._add("config", CONFIG_TYPE, self._config(primary),
                           {"artifact_kind": "config", "artifact_type": RESULT_ARTIFACT, "result_artifact_id": primary.id})
        attestation = self._add("attestation", ATTESTATION_TYPE, self._attestation(primary, pieces), {
            "artifact_kind": "attestation", "artifact_type": ATTESTATION_ARTIFACT, "subject_artifact_id": primary.id,
            "subject_digest": primary.digest, "predicate_type": PREDICATE})
        pieces.append(attestation)
        self._add("bundle", BUNDLE_TYPE, self._bundle(primary, config, pieces), {
            "artifact_kind": "bundle", "bundle_type": "job-result", "artifact_type": RESULT_ARTIFACT,
            "primary_artifact_id": primary.id,
            "attestation_artifact_id": attestation.id, "config_artifact_id": config.id, "subject_artifact_id": primary.id,
            "descriptor_count": len(pieces)})
        self._blobs = self._jobs.artifacts.put_all([piece.content for piece in self._pieces])
        return self

    def record(self, connection: WriteConnection) -> Members:
        """Every artifact of the package is known; gives them by what they are to the job."""
        made = {piece.role: self._jobs.artifacts.record(connection, {
            "id": piece.id, "media_type": piece.media_type, "policy": self._job.policy, "owner_peer_id": self._jobs.node_id,
            "metadata": piece.metadata, "request_id": self._job.request_id}, blob)
            for piece, blob in zip(self._pieces, self._blobs, strict=True)}
        return {"result_ref": made["result"], "result_config_ref": made["config"], "result_attestation_ref": made["attestation"],
                "result_bundle_ref": made["bundle"], "secret_delivery": self.delivery,
                "result_artifacts": {role: made[role] for role in ("stdout", "stderr", "checkpoint") if role in made}}

    # --- pieces

    def _add(self, role: str, media_type: str, value: Any, metadata: Members) -> Piece:
        named = {**metadata, "job_id": self._job.id, "attempt_id": self._attempt_id}
        content = value if isinstance(value, bytes) else self._jobs.artifacts.json_bytes(value)
        piece = Piece(self._jobs.ids.uuid(), role, media_type, content, named)
        self._pieces.append(piece)
        return piece

    def _parts(self, result: Any, primary: Piece) -> list[Piece]:
        """The output of a program, and the place to go on from, as artifacts of their own."""
        if not isinstance(result, dict):
            return []
        made = [self._add(stream, LOG_TYPE, text, {"artifact_kind": "log", "log_stream": stream, "retention_class": "session",
                                                   "parent_artifact_id": primary.id})
                for stream in ("stdout", "stderr") if isinstance(text := result.get(stream), str) and text]
        if result.get("checkpoint") is not None:
            made.append(self._add("checkpoint", JSON_TYPE, result["checkpoint"],
                                  {"artifact_kind": "checkpoint", "parent_artifact_id": primary.id}))
        return made

    def _url(self, artifact_id: str) -> str:
        return f"{self._jobs.base_url}/mesh/artifacts/{artifact_id}"

    def _oci(self, piece: Piece) -> Members:
        return {"mediaType": piece.media_type, "digest": f"sha256:{piece.digest}", "size": len(piece.content),
                "annotations": {"org.opencompute.role": piece.role}, "urls": [self._url(piece.id)]}

    def _descriptor(self, piece: Piece) -> Members:
        oci = self._oci(piece)
        return {"id": piece.id, "digest": piece.digest, "oci_digest": f"sha256:{piece.digest}", "media_type": piece.media_type,
                "size_bytes": len(piece.content), "role": piece.role, "annotations": oci["annotations"], "oci_descriptor": oci}

    # --- documents

    def _named(self) -> Members:
        return {"job_id": self._job.id, "request_id": self._job.request_id, "attempt_id": self._attempt_id,
                "executor": self._executor}

    def _config(self, primary: Piece) -> Members:
        spec = self._job.spec
        return {"kind": "ocp.artifact.config", "schema_version": 1, "artifact_type": RESULT_ARTIFACT,
                "created_at": self._jobs.now(),
                **self._named(), "result": {"artifact_id": primary.id, "digest": primary.digest,
                                            "media_type": primary.media_type},
                "runtime": {"kind": self._job.kind, "dispatch_mode": spec["dispatch_mode"], "secret_delivery": self.delivery},
                "policy": self._job.policy}

    def _attestation(self, primary: Piece, pieces: list[Piece]) -> Members:
        jobs, job, identity = self._jobs, self._job, self._jobs.identity
        described = self._oci(primary)
        predicate = {**self._named(), "kind": job.kind, "policy": job.policy, "artifact_inputs": job.artifact_inputs,
                     "materials": self._materials(), "result_descriptor": described,
                     "bundle_members": [self._oci(piece) for piece in pieces],
                     "secret_delivery": self.delivery, "job_spec_digest": sha256(canonical.mesh(job.spec)).hexdigest(),
                     "output_roles": [piece.role for piece in pieces]}
        return documents.sign_attestation(identity, {
            "kind": "ocp.execution.attestation", "schema_version": 2, "issued_at": jobs.now(),
            "issuer": {"node_id": identity.node_id, "display_name": identity.display_name, "public_key": identity.public_key_hex,
                       "signature_scheme": identity.signature_scheme},
            "subject": {"artifact_id": primary.id, "digest": primary.digest, "media_type": primary.media_type},
            "subject_descriptor": described, "predicate_type": PREDICATE, "predicate": predicate, "verification": {}})

    def _materials(self) -> list[Members]:
        """What went into the work, completed by what is known here."""
        with self._jobs.reader.snapshot() as connection:
            return [self._material(given, self._jobs.artifacts.find(connection, str(given.get("id") or "")) or {})
                    for given in self._job.artifact_inputs[:MATERIALS_MAX]]

    def _material(self, given: Mapping[str, Any], known: Mapping[str, Any]) -> Members:
        digest = str(given.get("digest") or known.get("digest") or "").removeprefix("sha256:")
        role = given.get("role") or given.get("name") or "input"
        annotations = members(given.get("annotations"), "annotations")
        return {"mediaType": given.get("media_type") or known.get("media_type") or "application/octet-stream",
                "digest": f"sha256:{digest}" if digest else "", "size": given.get("size_bytes") or known.get("size_bytes") or 0,
                "annotations": {**annotations, "org.opencompute.role": role}, "urls": [known["download_url"]] if known else []}

    def _bundle(self, primary: Piece, config: Piece, layers: list[Piece]) -> Members:
        named = self._named()
        notes = {"org.opencontainers.artifact.description": "Sovereign Mesh job result package",
                 **{f"org.opencompute.{name.replace('_', '.')}": value for name, value in named.items()}}
        return {"schemaVersion": 2, "mediaType": BUNDLE_TYPE, "artifactType": RESULT_ARTIFACT, "config": self._oci(config),
                "layers": [self._oci(piece) for piece in layers], "subject": self._oci(primary), "annotations": notes,
                "kind": "ocp.artifact.bundle", "schema_version": 1, "bundle_type": "job-result", "created_at": self._jobs.now(),
                **named,
                "artifact_type": RESULT_ARTIFACT, "primary": self._descriptor(primary),
                "descriptors": [self._descriptor(piece) for piece in layers]}
