"""What may be asked under `/mesh/artifacts`."""

from ...contract.limits import ARTIFACT_BODY_BYTES_MAX, MESH_BODY_BYTES_MAX
from ...contract.route import Auth, Lane, Route

STREAMED_BYTES_MAX = 1 << 40         # of an upload; the node's own settings bound it further

SHOW = Route("mesh.artifacts.show", "GET", "/mesh/artifacts/{artifact_id}",
             "Show one artifact, with its content for those who may read it.",
             Auth.ARTIFACT_CONTENT, Lane.LONG, "show", reply="Artifact", query="Show", refusals={"range_not_satisfiable": 416},
             contract={"handler": "_handle_mesh_artifact_get", "group": "artifacts", "query": {"include_content": "boolean"},
                       "response": "Artifact"})
QUICK = SHOW._replace(lane=Lane.WORKER)            # the same route for callers who want no content, or one that moves at once


def asks_metadata(query: str) -> bool:
    """Does the query of `SHOW` switch the content off?"""
    if "include_content" not in query:
        return False
    from ...http.router import query_texts
    return query_texts(query).get("include_content", "").strip().lower() in ("0", "false", "no", "off")


ROUTES = (
    Route("mesh.artifacts.list", "GET", "/mesh/artifacts",
          "List artifacts by their properties, newest first.",
          Auth.PUBLIC, Lane.WORKER, "list_all", reply="ArtifactList", query="Search",
          contract={"handler": "_handle_mesh_artifact_list", "group": "artifacts", "query": {"artifact_kind": "string",
                    "attempt_id": "string", "digest": "string", "job_id": "string", "limit": "integer", "media_type": "string",
                    "owner_peer_id": "string", "parent_artifact_id": "string", "retention_class": "string"},
                    "response": "ArtifactList"}),
    SHOW,
    Route("mesh.artifacts.publish", "POST", "/mesh/artifacts/publish",
          "Store bytes that a peer sends in a signed envelope.",
          Auth.SIGNED, Lane.WORKER, "publish", reply="Published", body="Anything", body_raw=True, body_bytes_max=ARTIFACT_BODY_BYTES_MAX,
          contract={"handler": "_handle_mesh_artifact_publish", "group": "artifacts",
                    "body": {"artifact": "object", "content": "any", "metadata": "object"}, "request": "SignedEnvelope",
                    "response": "ArtifactPublishResponse"}),
    Route("mesh.artifacts.upload", "PUT", "/mesh/artifacts/content",
          "Store the bytes of the request's body, however many, as an artifact of this node.",
          Auth.OPERATOR, Lane.LONG, "upload", reply="Published", query="Upload", body="Nothing", body_stream=True,
          body_bytes_max=STREAMED_BYTES_MAX, extra=True),
    Route("mesh.artifacts.replicate", "POST", "/mesh/artifacts/replicate",
          "Copy one artifact from a peer and check it.",
          Auth.OPERATOR, Lane.LONG, "replicate", reply="Replicated", body="Replicate", body_bytes_max=MESH_BODY_BYTES_MAX,
          contract={"handler": "_handle_mesh_artifact_replicate", "group": "artifacts", "body": {"artifact_id": "string",
                    "base_url": "string", "digest": "string", "peer_id": "string", "pin": "boolean", "remote_auth": "object"},
                    "request": "ArtifactReplicateRequest", "response": "ArtifactReplicateResponse"}),
    Route("mesh.artifacts.replicate_graph", "POST", "/mesh/artifacts/replicate-graph",
          "Copy an artifact from a peer together with all it refers to.",
          Auth.OPERATOR, Lane.LONG, "replicate_graph", reply="GraphReplicated", body="ReplicateGraph",
          body_bytes_max=MESH_BODY_BYTES_MAX,
          contract={"handler": "_handle_mesh_artifact_replicate_graph", "group": "artifacts", "body": {"artifact_id": "string",
                    "base_url": "string", "digest": "string", "peer_id": "string", "pin": "boolean", "remote_auth": "object"},
                    "request": "ArtifactReplicateRequest", "response": "ArtifactGraphReplicateResponse"}),
    Route("mesh.artifacts.verify_mirror", "POST", "/mesh/artifacts/verify-mirror",
          "Compare our copy of an artifact with the peer it came from.",
          Auth.OPERATOR, Lane.LONG, "verify_mirror", reply="MirrorVerified", body="VerifyMirror", body_bytes_max=MESH_BODY_BYTES_MAX,
          contract={"handler": "_handle_mesh_artifact_verify_mirror", "group": "artifacts", "body": {"artifact_id": "string",
                    "digest": "string", "peer_id": "string", "source_artifact_id": "string"},
                    "response": "ArtifactMirrorVerification"}),
    Route("mesh.artifacts.pin", "POST", "/mesh/artifacts/pin",
          "Keep an artifact for good, or let it go.",
          Auth.OPERATOR, Lane.WRITE, "pin", reply="Pinned", body="Pin", body_bytes_max=MESH_BODY_BYTES_MAX,
          contract={"handler": "_handle_mesh_artifact_pin", "group": "artifacts",
                    "body": {"artifact_id": "string", "pinned": "boolean", "reason": "string"},
                    "response": "ArtifactPinResponse"}),
    Route("mesh.artifacts.purge", "POST", "/mesh/artifacts/purge",
          "Remove artifacts whose time is over.",
          Auth.OPERATOR, Lane.WRITE, "purge", reply="Purged", body="Purge", body_bytes_max=MESH_BODY_BYTES_MAX,
          contract={"handler": "_handle_mesh_artifact_purge", "group": "artifacts", "body": {"limit": "integer"},
                    "response": "ArtifactPurgeResponse"}),
    Route("mesh.artifacts.delete", "DELETE", "/mesh/artifacts/{artifact_id}",
          "Remove an artifact that is not pinned.",
          Auth.OPERATOR, Lane.WRITE, "delete", reply="Deleted", extra=True),
)
