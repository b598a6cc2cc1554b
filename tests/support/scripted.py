"""A web server that answers what a test tells it to, and remembers what it was asked: a peer that lies, stalls or is no node."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Callable
from typing import Any

Answering = Callable[[str, str, dict[str, str], Any], Any]      # method, path, headers, body -> JSON, or (status, JSON)


class Scripted:
    """Serves `answer` on a free port until the block ends."""

    def __init__(self, answer: Answering) -> None:
        asked = self.asked = []                                  # (method, path, headers, body), in order

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_it(self) -> None:
                raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                body = json.loads(raw) if raw else None
                headers = {name.lower(): value for name, value in self.headers.items()}
                asked.append((self.command, self.path, headers, body))
                told = answer(self.command, self.path, headers, body)
                status, document = told if isinstance(told, tuple) else (200, told)
                data = document if isinstance(document, bytes) else json.dumps(document).encode()
                self.send_response(status)
                for name, value in (("Content-Type", "application/json"), ("Content-Length", str(len(data)))):
                    self.send_header(name, value)
                if 300 <= status < 400:
                    self.send_header("Location", "http://127.0.0.1:1/")
                self.end_headers()
                self.wfile.write(data)

            do_GET = do_POST = handle_it

            def log_message(self, *arguments: object) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def quiet(self) -> None:
        """Answers that break off are meant to."""
        self._server.handle_error = lambda request, client_address: None          # type: ignore[method-assign]

    def __enter__(self) -> Scripted:
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
