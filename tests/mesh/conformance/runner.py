"""Replays captured exchanges of an OCP 0.1 node against real nodes of ours, and says where they differ.

How: each file is cut into labs (`labs.py`).  A lab's nodes are started fresh, with the keys of the capture, on free ports and
with a clock that stands at the time of the capture; then its exchanges are sent in the order of the file.  Names that the
captured node gave (ids of jobs, artifacts, leases ...) are replaced by those ours gave to the same things, as learnt from
earlier answers; URLs of the lab lead to our nodes.  A signed body that had to be changed, or whose key is not published, is
signed again by the same sender, who is introduced by a handshake when the capture left that out.

What is compared: the status by the protocol's table (`statuses.py`), the error's text exactly unless it is the interpreter's, the
fields and types of the answer, and the words that say what happened (`shapes.py`).  Never ids, times, counts and long texts.

What cannot be: the files leave steps out (a worker registered, a job failed, storage edited).  `labs.STEPS` adds those that
matter.  An exchange that names a thing which no answer ever gave us is `unprepared` when it is answered differently: it is
listed, not judged.
A route that is planned answers 501: `pending`, listed as well.  A case that says itself that it shows a weakness or defect of the
captured node may differ: `excused`.  Everything else either matches, or stands in `deviations.py` with its reason, or fails.
"""

from __future__ import annotations

import functools
import http.client
import http.server
import json
import re
import tempfile
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ocp_node.base.clock import Clock, SetClock, instant_seconds
from ocp_node.crypto import envelopes, keys
from ocp_node.crypto.identity import Identity
from ocp_node.http.router import Match, Router
from server_contract import ROUTES
from tests.support.node import TrialNode
from tests.support.programs import stand_ins
from tests.support.vectors import load

from . import labs, shapes, statuses
from .deviations import DEVIATIONS, Deviation

FILES = ("runtime", "ops", "artifacts", "missions")
ROUTER = Router(ROUTES)
TIME = re.compile(r'"(?:generated|accepted|updated|created|sampled|checked|observed|locked|published)_at": '
                  r'"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ)"')
# Cases that say themselves that they show a fault of the captured node: the product answers them differently, and rightly.
ON_PURPOSE = re.compile(r"weakness|defect|split into characters|percent-encoded id|accepted by the reference|text/plain")
SKIPPED = ("outbound",)                       # what the captured node itself sent
# Refusals that come before, or of, the signature: such an envelope is sent as it is.
UNSIGNED = frozenset({"protocol validation failed", "signature is required", "signature verification failed",
                      "stale or future timestamp", "Invalid isoformat string: 'yesterday'",
                      "unsupported mesh protocol version",
                      "unsupported signature scheme", "node_id is required", "peer_card is required for handshake",
                      "public key unavailable for verification"})
PAGES = ("get:/", "get:/app", "get:/easy", "get:/control", "get:/control/mobile", "get:/app.webmanifest")


@dataclass(frozen=True)
class Exchange:
    """One captured request and its answer."""
    file: str
    index: int
    endpoint: str
    case: str
    node: str
    request: Mapping[str, Any]
    response: Mapping[str, Any]

    @property
    def route_id(self) -> str:
        """The route of ours that the request reaches, or what there is instead."""
        match = ROUTER.match(self.request["method"], self.request["path"].partition("?")[0])
        return match.route.id if isinstance(match, Match) else self.endpoint

    @property
    def name(self) -> str:
        words = re.sub(r"[^A-Za-z0-9]+", "-", self.case).strip("-")[:50]
        return f"{self.file}-{self.index}-{self.route_id}-{words}"


@dataclass
class Outcome:
    """What became of one exchange: `match`, `excused`, `pending`, `unprepared`, `differs` or `not sent`."""
    state: str
    found: list[str] = field(default_factory=list)
    status: int = 0
    body: Any = None


@functools.cache
def exchanges(file: str) -> tuple[Exchange, ...]:
    """The captured exchanges of one file, in order."""
    return tuple(Exchange(file, index, item["endpoint"], str(item["case"]), item.get("node", ""), item["request"],
                          item["response"])
                 for index, item in enumerate(load("ocp/transcripts", file)))


@functools.cache
def outcomes(file: str) -> Mapping[int, Outcome]:
    """What became of every exchange of the file; replayed once."""
    found: dict[int, Outcome] = {}
    every, plan = exchanges(file), labs.LABS[file]
    for lab, end in zip(plan, [*(lab.first for lab in plan[1:]), len(every)]):
        with tempfile.TemporaryDirectory() as folder, Replay(lab, Path(folder), every[lab.first:end]) as replay:
            for exchange in every[lab.first:end]:
                found[exchange.index] = replay.judge(exchange)
    return found


class Foreign(http.server.BaseHTTPRequestHandler):
    """A web server that is no node."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *arguments: object) -> None:
        pass


class Replay:
    """One lab while its exchanges are sent."""

    def __init__(self, lab: labs.Lab, folder: Path, every: tuple[Exchange, ...]) -> None:
        self.lab = lab
        self.folder = folder
        self.clock = SetClock(next((moment for item in every if (moment := moment_of(item))), 1_800_000_000.0))
        self.names: dict[str, str] = {}
        self._nodes: dict[str, TrialNode] = {}
        self._foreign: http.server.ThreadingHTTPServer | None = None
        self._introduced: set[tuple[str, str]] = set()

    def __enter__(self) -> Replay:
        return self

    def __exit__(self, *_: object) -> None:
        for node in self._nodes.values():
            node.stop()
        if self._foreign is not None:
            self._foreign.shutdown()
            self._foreign.server_close()

    # --- the lab

    def node(self, name: str) -> TrialNode:
        """The running node of that name, with the key it had in the capture."""
        if name not in self._nodes:
            machine = self.lab.machines[name]
            folder = self.folder / name
            write_identity(folder / "identity", machine.node_id, machine.display_name)
            more: dict[str, Any] = {"operator_token": machine.token} if machine.token else {}
            if machine.programs:
                more["environment"] = {"PATH": stand_ins(self.folder / "programs")}
            usual = {"trusted_proxies": ("127.0.0.1",), "allow_loopback_peers": True, "enable_docker": "on"}
            self._nodes[name] = TrialNode(folder, clock=self.clock, node_id=machine.node_id, display_name=machine.display_name,
                                          **{**usual, **more, **machine.profile})
            for file_name, content in machine.files.items():
                place = Path(self._nodes[name].settings.workspace_root, file_name)
                place.parent.mkdir(parents=True, exist_ok=True)
                place.write_text(content)
            if machine.profile.get("auto_register_worker"):      # which happens in the background, after the first answers
                node = self._nodes[name]
                node.until(lambda: node.rooms["mesh.workers"].listed(1), "the default worker")
        return self._nodes[name]

    def url(self, target: str) -> str:
        if target == "closed":
            return "http://127.0.0.1:9"
        if target == "foreign":
            if self._foreign is None:
                self._foreign = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Foreign)
                threading.Thread(target=self._foreign.serve_forever, daemon=True).start()
            return f"http://127.0.0.1:{self._foreign.server_port}"
        return self.node(target).url

    def machine_of(self, exchange: Exchange) -> str:
        return labs.ANSWERED_BY.get((exchange.file, exchange.index)) or exchange.node or self.lab.usual

    # --- one exchange

    def judge(self, exchange: Exchange) -> Outcome:
        """The exchange was sent, and its answer compared."""
        if exchange.endpoint in SKIPPED or exchange.endpoint in PAGES:
            return Outcome("not sent")
        self._tell_time(exchange)
        name = self.machine_of(exchange)
        for machine in labs.STOPPED.get((exchange.file, exchange.index), ()):
            self._nodes.pop(machine).stop()
        for machine, artifact_id, data, members in labs.STORED.get((exchange.file, exchange.index), ()):
            self._store(machine, artifact_id, data, members)
        for step in labs.STEPS.get((exchange.file, exchange.index), ()):
            self._step(labs.Step(*step))
        path, body, unknown = self._request(exchange, name)
        status, media_type, answer = self.send(name, exchange.request["method"], path, body, self._headers(exchange, name))
        outcome = compared(exchange, status, media_type, answer, bool(unknown))
        if outcome.state != "pending":
            self.names |= shapes.pairs(plain(exchange.response["body"]), plain(answer))
        return outcome

    def _step(self, step: labs.Step) -> None:
        """What the capture did in between has happened here too; names in its answer are learnt."""
        token, body = self.lab.machines[step.machine].token, self._named(step.body)
        if step.sender:
            identity = identity_of(step.sender)
            if step.path == envelopes.HANDSHAKE_ROUTE:
                body = {"peer_card": {**card_of(identity), **body}}
            else:
                self._introduce(step.machine, step.sender)
            body = envelopes.sign_envelope(identity, step.path, body, self.clock, self.node(step.machine).core.ids,
                                           step.request_id or None)
        _, _, answer = self.send(step.machine, step.method, self._named(step.path), body, {"X-OCP-Operator-Token": token} if token
                                 else {})
        for captured, place in step.learn.items():
            found = functools.reduce(_inside, place.split("."), plain(answer))
            self.names |= {captured: found} if isinstance(found, str) else {}
        self.clock.advance(step.seconds)

    def _store(self, machine: str, artifact_id: str, data: bytes, members: Mapping[str, Any]) -> None:
        """The machine has an artifact that the capture made without writing it down."""
        node = self.node(machine)
        room = node.rooms["mesh.artifacts"]
        blob = room.put(data)
        node.core.writer.run(lambda connection: room.record(connection, {"id": artifact_id, **members}, blob))
        self.names |= {artifact_id: artifact_id, members.get("captured_digest", blob.digest): blob.digest}

    def _tell_time(self, exchange: Exchange) -> None:
        """The clock stands no earlier than when the exchange was captured."""
        moment = moment_of(exchange)
        if moment and moment > self.clock.seconds:
            self.clock.advance(moment - self.clock.seconds)
        self.clock.advance(labs.PAUSES.get((exchange.file, exchange.index), 0))

    def _named(self, value: Any) -> Any:
        """The value with the names of our nodes in it."""
        text = json.dumps(value)
        for before, now in self.names.items():
            text = text.replace(before, now)
        for before, target in self.lab.urls.items():
            if before in text:
                text = text.replace(before, self.url(target))
            port = f'"port": {before.rpartition(":")[2]}'
            if re.search(port + r"\b", text):
                text = re.sub(port + r"\b", f'"port": {self.url(target).rpartition(":")[2]}', text)
        return json.loads(text)

    def _request(self, exchange: Exchange, name: str) -> tuple[str, Any, set[str]]:
        path, body = exchange.request["path"], exchange.request["body"]
        unknown = {found for found in shapes.ID.findall(path) if found not in self.names}
        path = self._named(path)
        if is_envelope(body):
            return path, self._signed(exchange, name, body), unknown
        if isinstance(body, (dict, list)):
            unknown |= {found for found in shapes.ID.findall(json.dumps(body)) if found not in self.names}
            body = self._named(body)
        return path, body, unknown

    def _headers(self, exchange: Exchange, name: str) -> dict[str, str]:
        sent = {key: value for key, value in exchange.request["headers"].items()
                if key.lower() not in ("content-length", "host", "connection")}
        machine = self.lab.machines[name]
        if machine.caller and (exchange.file, exchange.index) not in labs.ON_LOOPBACK:
            claimed = sent.get("X-Forwarded-For", "")
            sent["X-Forwarded-For"] = f"{claimed}, {machine.caller}" if claimed else machine.caller
        if "X-Forwarded-For" in sent and not machine.caller:
            sent["X-Forwarded-For"] += ", 203.0.113.9"         # our node trusts its proxy, so the claim needs a hop to stand for
        return sent

    def send(self, name: str, method: str, path: str, body: Any, headers: Mapping[str, str]) -> tuple[int, str, Any]:
        """Status, media type and body; an event stream ends after its first two events."""
        node = self.node(name)
        sent = dict(headers)
        if isinstance(body, (dict, list)):
            data: bytes | None = json.dumps(body).encode()
            sent.setdefault("Content-Type", "application/json")
        else:
            data = body.encode("utf-8", "surrogateescape") if isinstance(body, str) else None
            if data is not None and "�" in str(body):
                data = b"\xff\xff"
            if data is not None:
                sent.setdefault("Content-Type", "application/json")
        connection = http.client.HTTPConnection("127.0.0.1", node.port, timeout=30)
        try:
            connection.request(method, path, data, sent)
            answer = connection.getresponse()
            media_type = answer.getheader("Content-Type", "")
            raw = first_events(answer) if media_type == "text/event-stream" else answer.read()
            return answer.status, media_type, parsed(raw)
        finally:
            connection.close()

    # --- signed bodies

    def _signed(self, exchange: Exchange, name: str, envelope: Mapping[str, Any]) -> Any:
        """The envelope as captured, or signed again where its names changed or its key is not known."""
        sender, error = str(envelope["request"].get("node_id", "")), str(plain(exchange.response["body"]).get("error", ""))
        if exchange.route_id != "mesh.handshake.accept" and sender and not error.startswith("unknown peer"):
            self._introduce(name, sender)
        route, shakes = exchange.request["path"], exchange.route_id == "mesh.handshake.accept"
        body = envelope["body"] if shakes else self._named(envelope["body"])
        if error in UNSIGNED or body == envelope["body"] and signed_by_published_key(route, envelope):
            return {**envelope, "body": body}
        identity = identity_of(sender)
        if shakes:
            body = {**body, "peer_card": {**body["peer_card"], "public_key": identity.public_key_hex}}
        request = {**envelope["request"], "timestamp": self.clock.text()}
        return {"request": {**request, "signature": identity.sign(envelopes.signed_bytes(route, request, body)).hex()},
                "body": body}

    def _introduce(self, name: str, sender: str) -> None:
        if (name, sender) in self._introduced or self.node(name).rooms["mesh.peers"].find(sender) is not None:
            return
        self._introduced.add((name, sender))
        node, identity = self.node(name), identity_of(sender)
        envelope = envelopes.sign_envelope(identity, envelopes.HANDSHAKE_ROUTE, {"peer_card": card_of(identity)}, self.clock,
                                           node.core.ids)
        assert node.post("/mesh/handshake", envelope).status == 200


# --- judging -----------------------------------------------------------------------------------------------------------------

def compared(exchange: Exchange, status: int, media_type: str, answer: Any, unknown: bool) -> Outcome:
    """Our answer beside the captured one."""
    captured, deviation = exchange.response, deviation_of(exchange)
    if status == 501 and isinstance(answer, dict) and answer.get("code") == "planned":
        return Outcome("pending", status=status, body=answer)
    found = list(_found(exchange, captured, deviation, status, answer))
    state = "match" if not found else "unprepared" if unknown else "differs"
    if state == "differs" and deviation is None and ON_PURPOSE.search(exchange.case) and status < 500:
        state = "excused"
    return Outcome(state, found, status, answer)


def _found(exchange: Exchange, captured: Mapping[str, Any], deviation: Deviation | None, status: int,
           answer: Any) -> Iterator[str]:
    body = plain(captured["body"])
    error = str(body.get("error", "")) if isinstance(body, dict) else ""
    wanted = deviation.status if deviation and deviation.status else _expected(exchange, error)
    if statuses.interpreted(error) and not (deviation and deviation.status):
        fits = status in (wanted, 502, 504) if wanted in (502, 504) else status == wanted
    else:
        fits = status == wanted
    if not fits:
        yield f"status: {wanted} expected, {status} found ({str(answer)[:200]})"
        return
    if status >= 400:
        yield from _error_found(deviation, error, body, answer)
    elif deviation is None or not deviation.status:
        left_out = deviation.without if deviation else ()
        yield from (line for line in shapes.differences(body, plain(answer)) if not line.startswith(tuple(left_out) or ("\0",)))


def _error_found(deviation: Deviation | None, error: str, body: Any, answer: Any) -> Iterator[str]:
    if not isinstance(answer, dict):
        if answer not in (None, ""):
            yield f"an error that is no object: {answer!r}"
        return
    if not isinstance(answer.get("code"), str):
        yield "the error has no code"
    text = str(answer.get("error", ""))
    if statuses.interpreted(text):
        yield f"the interpreter speaks: {text!r}"
    wanted = deviation.error if deviation and deviation.status else "" if statuses.interpreted(error) else error
    wanted = "" if wanted == "unknown endpoint" and answer.get("code") == "method_not_allowed" else wanted
    if wanted and text != wanted:
        yield f"error: {wanted!r} expected, {text!r} found"
    issues = body.get("protocol_validation") if isinstance(body, dict) else None
    if issues is not None and unnamed(issues) != unnamed(answer.get("protocol_validation")):
        yield f"protocol_validation: {issues} expected, {answer.get('protocol_validation')} found"


def _expected(exchange: Exchange, error: str) -> int:
    """The product's status: a known path with another method is 405, everything else as the table says."""
    no_match = ROUTER.match(exchange.request["method"], exchange.request["path"].partition("?")[0])
    if exchange.response["status"] == 404 and getattr(no_match, "allowed", ()):
        return 405
    return statuses.expected(exchange.response["status"], error, _names_peer(exchange))


def _names_peer(exchange: Exchange) -> bool:
    body = exchange.request["body"]
    job = body.get("job") if isinstance(body, dict) else None
    return isinstance(body, dict) and bool(body.get("peer_id") or body.get("target_peer_ids")
                                           or isinstance(job, dict) and job.get("target"))


@functools.cache
def _by_place() -> Mapping[tuple[str, int], Deviation]:
    return {(entry.file, entry.index): entry for entry in DEVIATIONS}


def deviation_of(exchange: Exchange) -> Deviation | None:
    """The entry of the table that names this exchange."""
    return _by_place().get((exchange.file, exchange.index))


def unnamed(value: Any) -> str:
    """The value as text, without the names that nodes give to things."""
    return shapes.ID.sub("a-name", json.dumps(value, sort_keys=True))


def _inside(value: Any, member: str) -> Any:
    """The member of an object, or the entry of a list; {} when there is none."""
    if isinstance(value, list):
        return value[int(member)] if int(member) < len(value) else {}
    return value.get(member) or {} if isinstance(value, dict) else {}


# --- small things ------------------------------------------------------------------------------------------------------------

def moment_of(exchange: Exchange) -> float:
    """When the exchange was captured, as far as it tells; 0 when it does not."""
    body = exchange.response["body"]
    if exchange.response["status"] >= 400:
        return 0.0
    times = TIME.findall(json.dumps(body).replace('\\"', '"'))
    return max(map(instant_seconds, times)) if times else 0.0


def plain(value: Any) -> Any:
    """A body as a JSON value; an event stream as the list of its events."""
    if isinstance(value, dict) and set(value) == {"sse_frames"}:
        return {"frames": [frame for frame in value["sse_frames"] if frame.get("event")][:2]}
    if isinstance(value, str) and value.startswith(("id: ", "retry: ", "event: ")):
        return {"frames": [dict(frame) for frame in events_of(value)][:2]}
    return value if isinstance(value, (dict, list)) else {}


def events_of(text: str) -> Iterator[dict[str, Any]]:
    """The events of a server-sent stream."""
    for block in text.split("\n\n"):
        lines = [line.partition(": ") for line in block.split("\n") if line and not line.startswith(":")]
        frame = {name: value for name, _, value in lines if name in ("id", "event")}
        data = "".join(value for name, _, value in lines if name == "data")
        if data:
            yield {**frame, "data": json.loads(data)}


def first_events(answer: http.client.HTTPResponse) -> bytes:
    """The bytes of the first two events, or of as many as come."""
    read = b""
    while read.count(b"\n\n") < 2 and (line := answer.readline()):
        read += line
    return read


def parsed(raw: bytes) -> Any:
    try:
        return json.loads(raw)
    except ValueError:
        return raw.decode("utf-8", "replace")


def is_envelope(body: Any) -> bool:
    """Is the body a signed envelope, by its form?"""
    members = body if isinstance(body, dict) else {}
    return isinstance(members.get("body"), dict) and "node_id" in (members.get("request") or ())


@functools.cache
def _seeds() -> Mapping[str, bytes]:
    published = {key["node_id"]: bytes.fromhex(key["seed_hex"]) for key in load("mesh", "envelope_vectors")["keys"]}
    return {**published, **{name: bytes.fromhex(seed) for name, seed in labs.SEEDS.items()}}


def identity_of(node_id: str) -> Identity:
    """The client or node of that name; one without a published key gets one that follows from its name."""
    import hashlib
    return Identity(node_id or "nobody", node_id, _seeds().get(node_id) or hashlib.sha256(node_id.encode()).digest())


def card_of(identity: Identity) -> dict[str, Any]:
    """The card of a client."""
    name = identity.node_id
    return {"organism_id": name, "node_id": name, "display_name": name, "public_key": identity.public_key_hex,
            "protocol_version": envelopes.PROTOCOL_VERSION, "trust_tier": labs.TIERS.get(name, "trusted")}


def signed_by_published_key(route: str, envelope: Mapping[str, Any]) -> bool:
    """Did one of the published keys make this signature?"""
    message = envelopes.signed_bytes(route, envelope["request"], envelope["body"])
    signature = envelope["request"].get("signature")
    return any(keys.verify(keys.public_key(seed), message, keys.hex_bytes(signature, 64)) for seed in _seeds().values())


def write_identity(folder: Path, node_id: str, display_name: str) -> None:
    """The node's key is that of the capture."""
    identity = identity_of(node_id)
    folder.mkdir(parents=True, exist_ok=True)
    members = {"node_id": node_id, "display_name": display_name, "private_key": identity.seed.hex(),
               "public_key": identity.public_key_hex,
               "signature_scheme": identity.signature_scheme, "created_at": Clock().text()}
    (folder / "identity.json").write_text(json.dumps(members))
    (folder / "identity.json").chmod(0o600)
