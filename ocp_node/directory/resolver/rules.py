"""From a stored advertisement to a node that can be called.  Pure."""

from __future__ import annotations

from typing import Any

STREAM_PATH = "/mesh/stream"


def endpoint_urls(document: dict[str, Any]) -> list[str]:
    """The listening endpoints, the preferred first."""
    listeners = [endpoint for endpoint in document["endpoints"] if endpoint["endpoint/role"] == "listener"]
    return [endpoint["endpoint/url"] for endpoint in sorted(listeners, key=lambda endpoint: int(endpoint["endpoint/priority"]))]


def base_url(endpoint_url: str) -> str:
    """Where the HTTP interface of a mesh node with this endpoint is, "" when the endpoint is not a mesh node's."""
    if endpoint_url[:6].lower() != "wss://" or not endpoint_url.endswith(STREAM_PATH):
        return ""
    return "https://" + endpoint_url[6:-len(STREAM_PATH)]
