"""The captured exchanges of the reference daemon against a node of ours, in their order, as far as the routes are built.

What differs on purpose stands in `BETTER`: the reference's status becomes ours.  Texts of answers are the reference's.
"""

from __future__ import annotations

import base64
import json
import re
from pathlib import Path
from typing import Any

import pytest

from ocp_node.base.clock import Clock
from ocp_node.crypto import tokens
from tests.support.node import TrialNode

CAPTURED = Path(__file__).resolve().parents[1] / "data/appmesh/transcripts.json"
ENTRIES: list[dict[str, Any]] = json.loads(CAPTURED.read_text())["entries"]
PASSWORDS = {"admin": "admin123", "mesh": "mesh123", "test": "test123"}

# Members whose values belong to the moment or the machine: only their presence is compared.
OF_THE_MOMENT = re.compile(r"(_TEXT|_time|last_error|pid|pid_user|memory|cpu|fd|pstree|access_token|refresh_token|issued_at"
                           r"|expires_in|token_epoch|exec_user)$")

# (section, name) -> our status and message, where the reference fails or says something worse (App Mesh, lines marked BETTER).
BETTER: dict[tuple[str, str], tuple[int, str | None]] = {
    ("app-register", "start-time-string"): (400, "invalid type for start_time"),
    ("app-register", "env-int"): (400, "invalid type for env.A"),
    ("app-register", "bad-json"): (400, "invalid JSON body"),
    ("app-register", "array-json"): (400, "invalid JSON body"),
    ("app-register", "path-name-ignored"): (400, "application name in path and body differ"),
    ("app-register", "name- trim "): (400, "application name in path and body differ"),
    ("app-register", "permission-weird"): (400, "permission must be two digits of 1 to 3, or 0"),
    ("app-register", "status-2"): (400, "status must be 1 (enabled) or 0 (disabled)"),
    ("run-sync", "syncrun-empty-body"): (400, "invalid JSON body"),
    ("persist", "reg-int-strings"): (400, "invalid type for permission"),
    ("persist", "reg-stdout-neg"): (400, "stdout_cache_num must be between 0 and 100"),
    ("users", "user-add-bad-json"): (400, "invalid JSON body"),
    ("users", "user-add-empty-body"): (400, "invalid JSON body"),
    ("roles", "role-string-body"): (400, "a role is an array of permission names"),
    ("roles", "role-number-item"): (400, "a role is an array of permission names"),
}


def sections(*names: str) -> list[dict[str, Any]]:
    return [entry for entry in ENTRIES if entry["section"] in names and "path" in entry.get("request", {})]


def caller_of(entry: dict[str, Any]) -> str:
    """Who the captured token stands for; "" for none or one that was no good."""
    token = tokens.bearer(entry["request"].get("headers", {}).get("Authorization", ""))
    if token.count(".") != 2:
        return ""
    return str(json.loads(base64.urlsafe_b64decode(token.split(".")[1] + "=="))["sub"])


class Replay:
    """Sends what was captured, with tokens of this node in place of the reference's."""

    def __init__(self, node: TrialNode) -> None:
        self.node = node
        self.tokens: dict[str, str] = {}

    def token(self, user: str, password: str = "") -> str:
        if user not in self.tokens:
            basic = base64.b64encode(f"{user}:{password or PASSWORDS[user]}".encode()).decode()
            answer = self.node.request("POST", "/appmesh/login", headers={"Authorization": f"Basic {basic}"})
            assert answer.status == 200, answer
            self.tokens[user] = answer.json["access_token"]
        return self.tokens[user]

    def send(self, entry: dict[str, Any], user: str | None = None) -> Any:
        request = entry["request"]
        headers = dict(request.get("headers", {}))
        who = caller_of(entry) if user is None else user
        if who:
            headers["Authorization"] = f"Bearer {self.token(who)}"
        headers.pop("Content-Type", None)
        body = request.get("body")
        raw = None if body is None else body.encode() if isinstance(body, str) else json.dumps(body).encode()
        query = "&".join(f"{name}={value}" for name, value in (request.get("query") or {}).items())
        return self.node.request(request["method"], request["path"] + ("?" + query if query else ""), None, headers, raw=raw)


def expected(entry: dict[str, Any]) -> tuple[int, str | None]:
    """The status and message that ours must have."""
    if (entry["section"], entry["name"]) in BETTER:
        return BETTER[entry["section"], entry["name"]]
    status, body = entry["response"]["status"], entry["response"].get("body")
    message = body.get("message") if isinstance(body, dict) else None
    if status == 400 and message and (message.startswith("Permission denied") or "is not allowed to <" in message
                                      and message.startswith("User <")):
        status = 403
    return status, message


def same_shape(ours: Any, theirs: Any, place: str = "$") -> list[str]:
    """Where two documents differ; what belongs to the moment is not compared."""
    if isinstance(theirs, dict) and isinstance(ours, dict):
        missing = [f"{place}: {sorted(set(theirs) ^ set(ours))}"] if set(theirs) != set(ours) else []
        return missing + [difference for name in theirs.keys() & ours.keys() if not OF_THE_MOMENT.search(name)
                          for difference in same_shape(ours[name], theirs[name], f"{place}.{name}")]
    return [] if ours == theirs else [f"{place}: {ours!r} instead of {theirs!r}"]


@pytest.fixture(scope="module")
def replay(tmp_path_factory):
    with TrialNode(tmp_path_factory.mktemp("node"), clock=Clock(), appmesh_default_users=True) as node:
        yield Replay(node)


RECURRING = {"zero-interval", "iso-interval", "cron", "bad-cron", "month-interval", "register-full", "view-full"}
REFUSED_BY_RULES = [entry for entry in sections("app-register", "run-sync", "persist") if expected(entry)[0] in (400, 403, 404)
                    and entry["name"] not in RECURRING and entry["name"] not in ("delete-again", "syncrun-existing-with-command")]


@pytest.mark.parametrize("entry", [pytest.param(entry, id=f"{entry['section']} {entry['name']}") for entry in REFUSED_BY_RULES])
def test_what_the_reference_refuses_is_refused_in_its_words(replay, entry):
    status, message = expected(entry)
    answer = replay.send(entry)
    assert (answer.status, answer.json["message"]) == (status, message)


ENDED = [entry for entry in sections("run-sync") if entry["response"]["status"] == 200
         and entry["name"] not in ("syncrun-existing-env", "apps-after-syncrun")]


@pytest.mark.parametrize("entry", [pytest.param(entry, id=entry["name"]) for entry in ENDED])
def test_a_command_prints_and_ends_as_it_did_there(replay, entry):
    answer, theirs = replay.send(entry), entry["response"]
    body = base64.b64decode(theirs["body"]["base64"]) if isinstance(theirs["body"], dict) else theirs["body"].encode()
    assert (answer.status, answer.body) == (200, body)
    for name in ("X-Exit-Code", "X-Output-Position", "Content-Type"):
        assert answer.headers.get(name.lower()) == theirs["headers"].get(name), name


def test_an_application_is_answered_with_the_members_it_had_there(replay):
    for name in ("register-minimal", "view", "view-as-mesh", "view-unknown", "health", "health-unknown",
                 "register-no-resource-limit", "view-full2",
                 "behavior-uppercase"):
        entry = next(entry for entry in sections("app-register") if entry["name"] == name)
        answer, theirs = replay.send(entry), entry["response"]
        assert answer.status == theirs["status"], (name, answer)
        if isinstance(theirs["body"], dict) and theirs["status"] == 200:
            ours = answer.json
            differences = [line for line in same_shape(ours, theirs["body"]) if not line.startswith(("$.starts",
                                                                                                     "$.stdout_cache_size"))]
            # A short program may have ended between start and answer, there or here.
            assert not differences or name == "behavior-uppercase", (name, differences)
        elif theirs["status"] == 200:
            assert answer.text == theirs["body"]


def test_switching_answers_in_the_same_words(replay):
    replay.send(next(entry for entry in sections("app-register") if entry["name"] == "register-minimal"))
    for entry in sections("app-control"):
        status, message = expected(entry)
        answer = replay.send(entry)
        assert answer.status == status, (entry["name"], answer)
        if message:
            assert answer.json["message"] == message
        elif entry["name"] == "view-disabled":
            assert set(answer.json) - {"stdout_cache_size"} == set(entry["response"]["body"]) - {"stdout_cache_size"}


def test_users_and_roles_answer_as_they_did_there(replay):
    differences = []
    password = ""
    for entry in sections("users", "roles"):
        name, request = entry["name"], entry["request"]
        if request["path"] == "/appmesh/login":
            continue
        if name == "user-add":
            password = request["body"]["key"]
        if name == "unlock2":
            replay.tokens.pop("alice", None)
        who = caller_of(entry)
        if who == "alice" and "alice" not in replay.tokens:
            if name == "locked-token-use":
                continue
            replay.token("alice", password)
        status, message = expected(entry)
        answer = replay.send(entry)
        if answer.status != status or message and answer.json["message"] != message:
            differences.append((name, answer))
        elif status == 200 and not message and name not in ("users-after-add", "users-after-update", "roles-after-empty"):
            differences += [(name, line) for line in same_shape(_sorted_roles(answer.json),
                                                                _sorted_roles(entry["response"]["body"]))
                            if not line.startswith(("$.alice", "$.bob"))]
    assert not differences


def _sorted_roles(value: Any) -> Any:
    """The order of a user's roles is not promised."""
    if isinstance(value, dict):
        return {name: sorted(member) if name == "roles" and isinstance(member, list) else _sorted_roles(member) for name,
                member in value.items()}
    return value


def test_unknown_paths_and_methods_answer_in_the_same_words(replay):
    for entry in sections("generic"):
        status, message = expected(entry)
        if entry["name"] in ("swagger", "double-slash"):       # a page of another site; a redirect that clients need not follow
            continue
        answer = replay.send(entry)
        assert answer.status == status, (entry["name"], answer)
        if message:
            assert answer.json["message"] == message
    assert replay.send(next(entry for entry in sections("generic") if entry["name"] == "double-slash")).status == 200
