"""How large a request body may be, by kind of route.  Bytes; a larger body is refused before it is read."""

KIB = 1024
MIB = 1024 * KIB

MESH_BODY_BYTES_MAX = 8 * MIB                            # OCP 0.1 requests in general
OPS_BODY_BYTES_MAX = 1 * MIB                             # the group `ops`: small operator requests
ATTEMPT_BODY_BYTES_MAX = 17 * MIB                        # a result of 16 MiB with room for what stands around it
ARTIFACT_CONTENT_BYTES_MAX = 64 * MIB                    # decoded bytes of one artifact, by default
ARTIFACT_BODY_BYTES_MAX = ARTIFACT_CONTENT_BYTES_MAX * 7 // 5 + MIB     # base64 takes a third more, and JSON stands around it
APPMESH_BODY_BYTES_MAX = 8 * MIB                         # App Mesh definitions
TASK_BODY_BYTES_MAX = 64 * MIB                           # one task or its answer; also the largest WebSocket message
UPLOAD_BODY_BYTES_MAX = 2048 * MIB                       # one uploaded file
UPLOAD_WS_BODY_BYTES_MAX = 500 * MIB                     # one file uploaded with a ticket
OSCP_BODY_BYTES_MAX = 1 * MIB                            # one OSCP message, or one segment of a larger one
ADMIN_BODY_BYTES_MAX = 1 * MIB                           # operator requests of the OSCP surface
