"""What may be asked of App Mesh files."""

from ...contract.limits import UPLOAD_BODY_BYTES_MAX, UPLOAD_WS_BODY_BYTES_MAX
from ...contract.route import Auth, Lane, Route, planned

ROUTES = planned((
    Route("appmesh.files.download", "GET", "/appmesh/file/download",
          "Download a file of the node.",
          Auth.APPMESH, Lane.LONG, "download", needs="file-download"),
    Route("appmesh.files.upload", "POST", "/appmesh/file/upload",
          "Upload a file to the node.",
          Auth.APPMESH, Lane.LONG, "upload", needs="file-upload", body_stream=True, body_bytes_max=UPLOAD_BODY_BYTES_MAX),
    Route("appmesh.files.download_by_ticket", "GET", "/appmesh/file/download/ws",
          "Download a file with the ticket a WebSocket request returned.",
          Auth.SIGNED, Lane.LONG, "download_by_ticket"),
    Route("appmesh.files.upload_by_ticket", "POST", "/appmesh/file/upload/ws",
          "Upload a file with the ticket a WebSocket request returned.",
          Auth.SIGNED, Lane.LONG, "upload_by_ticket", body_stream=True, body_bytes_max=UPLOAD_WS_BODY_BYTES_MAX),
))
