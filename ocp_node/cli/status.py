"""`ocp.py status`: whether the node lives and is ready, and who it is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ..client.client import Answer
from . import arguments, node, outcome, output


def run(argv: Sequence[str], environ: Mapping[str, str]) -> int:
    """0 when the node is ready, 1 when it lives but is not, 4 when nothing answers."""
    parser = arguments.Parser("status", examples=("status", "status --json", "status --url https://node.example:8421"))
    node.add_arguments(parser)
    own, settings = arguments.parse(parser, argv, environ)
    asked = node.named(own, settings)
    live, ready, shown = (asked.ask(route) for route in ("node.health.live", "node.health.ready", "mesh.manifest.show"))
    found = {"url": asked.url, "alive": live.ok, "ready": ready.ok, "health": document(ready), "node": summary(document(shown))}
    if own.json:
        output.document(found)
    else:
        output.columns(lines(found))
    return outcome.OK if ready.ok else outcome.FAILED


def document(answer: Answer) -> Mapping[str, Any]:
    """The JSON object of an answer, {} when it is none."""
    return answer.body if isinstance(answer.body, dict) else {}


def summary(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """What a person asks first, out of the manifest (OCP 0.1)."""
    card = _object(manifest.get("organism_card"))
    profile = _object(manifest.get("device_profile"))
    queue = _object(manifest.get("queue_metrics"))
    workers = manifest.get("workers")
    return {"node_id": card.get("node_id"), "display_name": card.get("display_name"), "endpoint_url": card.get("endpoint_url"),
            "protocol_version": manifest.get("protocol_version"), "device_class": profile.get("device_class"),
            "queue": queue.get("counts"), "pressure": queue.get("pressure"),
            "workers": len(workers) if isinstance(workers, list) else None}


def lines(found: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """The same for people; what the node did not tell is left out."""
    yield "url", str(found["url"])
    yield "state", "ready" if found["ready"] else "alive, not ready" if found["alive"] else "answers, but not as a node does"
    for name, check in _object(found["health"].get("checks")).items():
        yield f"  {name}", _check(check)
    for name, value in found["node"].items():
        if value is not None:
            yield name.replace("_", " "), _flat(value)


def _object(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _check(check: object) -> str:
    if not isinstance(check, dict) or "ok" not in check:
        return _flat(check)
    rest = _flat({name: member for name, member in check.items() if name != "ok"})
    return ("ok  " if check["ok"] is True else "NOT OK  ") + rest


def _flat(value: object) -> str:
    return "  ".join(f"{name} {member}" for name, member in value.items()) if isinstance(value, dict) else str(value)
