"""A peer that does not keep to the protocol: a small server with a real key that answers as the test says."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Callable, Mapping
from typing import Any

from .peer import TrialPeer

Answering = Callable[["Asked"], None]


class Asked:
    """One request at the liar."""

    def __init__(self, handler: http.server.BaseHTTPRequestHandler) -> None:
        self._handler = handler
        self.path, _, self.query = handler.path.partition("?")
        self.headers: Mapping[str, str] = {name.lower(): value for name, value in handler.headers.items()}

    def json(self, value: Any, status: int = 200, **headers: str) -> None:
        """A JSON answer."""
        self.send(json.dumps(value).encode(), status, "application/json", **headers)

    def send(self, body: bytes, status: int = 200, media_type: str = "application/octet-stream", announced: int | None = None,
             **headers: str) -> None:
        """Bytes; fewer than `announced` leave the caller with an answer that was cut off."""
        handler = self._handler
        handler.send_response(status)
        handler.send_header("Content-Type", media_type)
        handler.send_header("Content-Length", str(len(body) if announced is None else announced))
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.end_headers()
        handler.wfile.write(body)
        handler.wfile.flush()
        handler.close_connection = True

    @property
    def start(self) -> int:
        """Where the asked part begins."""
        asked = self.headers.get("range", "")
        return int(asked.removeprefix("bytes=").partition("-")[0]) if asked else 0


class Liar(TrialPeer):
    """It serves a true manifest; everything else as `answers` say, by path."""

    def __init__(self, node_id: str = "liar-node") -> None:
        super().__init__(node_id)
        self.answers: dict[str, Answering] = {}
        self.seen: list[Asked] = []
        liar = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                asked = Asked(self)
                liar.seen.append(asked)
                liar.answers.get(asked.path, lambda each: each.json({"error": "artifact not found"}, 404))(asked)

            def log_message(self, *arguments: object) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self.answers["/mesh/manifest"] = lambda asked: asked.json({"protocol_version": "sovereign-mesh/v1",
                                                                   "organism_card": self.card(endpoint_url=self.url)})
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    def offers(self, artifact_id: str, described: Mapping[str, Any], content: Answering) -> None:
        """It has an artifact; `described` is what it says of it, `content` how it sends it."""
        def answer(asked: Asked) -> None:
            if "include_content=0" in asked.query:
                asked.json({"id": artifact_id, **described})
            else:
                content(asked)

        self.answers[f"/mesh/artifacts/{artifact_id}"] = answer

    def asked_for(self, path: str) -> list[Asked]:
        """The requests for that path so far."""
        return [each for each in self.seen if each.path == path]

    def __enter__(self) -> Liar:
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
