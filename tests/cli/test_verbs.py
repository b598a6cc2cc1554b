"""The verbs, in this process: what they print, what they return, what they leave alone."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ocp_node.base.clock import SetClock
from ocp_node.base.errors import Malformed
from ocp_node.base.setting import WrongUse
from ocp_node.base.settings import SETTINGS, of
from ocp_node.cli import completion, doctor, main, node, outcome, output, verbs
from ocp_node.client.client import Answer, Client
from ocp_node.http.outbound import OutboundError


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    return {"OCP_DATA_DIR": str(tmp_path / "state"), "HOME": str(tmp_path), "PATH": os.environ.get("PATH", "")}


Captured = pytest.CaptureFixture[str]


# --- verbs and help --------------------------------------------------------------------------------------------------

def test_every_verb_is_a_module_or_planned() -> None:
    for name, (module, summary) in verbs.VERBS.items():
        assert summary and not summary.endswith(".")
        if module != verbs.PLANNED:
            assert callable(importlib.import_module(f"ocp_node.cli.{module}").run), name


@pytest.mark.parametrize("verb", [name for name, (module, _) in verbs.VERBS.items() if module and name not in ("help", "serve")])
def test_the_help_of_a_verb_has_examples_exit_codes_and_json(verb: str, environ: dict[str, str], capsys: Captured) -> None:
    assert main([verb, "--help"], environ) == outcome.OK
    text = capsys.readouterr().out
    assert "examples:" in text and f"python3 ocp.py {verb}" in text and outcome.text() in text and "--json" in text


def test_the_help_of_serve_names_every_setting(environ: dict[str, str], capsys: Captured) -> None:
    assert main(["serve", "--help"], environ) == outcome.OK
    text = capsys.readouterr().out
    assert all((row.flag or row.variable) in text for row in SETTINGS)


@pytest.mark.parametrize("verb", [name for name, (module, _) in verbs.VERBS.items() if not module])
def test_a_planned_verb_says_so(verb: str, environ: dict[str, str], capsys: Captured) -> None:
    assert main([verb, "--json", "x"], environ) == outcome.PLANNED
    assert "planned" in capsys.readouterr().err


@pytest.mark.parametrize("argv", [["invite", "--minutes"], ["status", "--timeout"]])
@pytest.mark.parametrize("amount", ["nan", "inf", "-1", "0", "1e400", "1e307", "soon"])
def test_an_amount_of_time_is_a_number_above_zero(argv: list[str], amount: str, environ: dict[str, str], capsys: Captured) -> None:
    assert main([*argv, amount], environ) == outcome.USAGE
    said = capsys.readouterr().err
    assert argv[1] in said and "Traceback" not in said


# --- config ----------------------------------------------------------------------------------------------------------

def test_config_shows_values_origins_and_no_secret(environ: dict[str, str], capsys: Captured) -> None:
    assert main(["config", "show", "--port", "9", "--json"], {**environ, "OCP_OPERATOR_TOKEN": "hunter2"}) == outcome.OK
    text = capsys.readouterr().out
    rows = {row["name"]: row for row in json.loads(text)["settings"]}
    assert (rows["port"]["value"], rows["port"]["origin"]) == (9, "flag --port")
    assert rows["operator_token"]["origin"] == "variable OCP_OPERATOR_TOKEN" and "hunter2" not in text
    assert len(rows) == len(SETTINGS)


def test_config_shows_only_what_was_asked_for(environ: dict[str, str], capsys: Captured) -> None:
    assert main(["config", "show", "port", "--oscp-roles"], {**environ}) == outcome.USAGE
    assert main(["config", "show", "port", "tls-self-signed"], environ) == outcome.OK
    captured = capsys.readouterr().out
    assert [line.split() for line in captured.splitlines()] == [["port", "8421", "default"],
                                                                ["tls_self_signed", "off", "default"]]
    assert main(["config", "--given", "--port", "9"], environ) == outcome.OK
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == ["data_dir", "port"]


# --- contract, completion --------------------------------------------------------------------------------------------

def test_the_contract_is_printed_or_written(environ: dict[str, str], capsys: Captured, tmp_path: Path) -> None:
    assert main(["contract"], environ) == outcome.OK
    printed = capsys.readouterr().out
    assert json.loads(printed)["endpoint_count"] == 94
    assert main(["contract", "--output", str(tmp_path / "c.json")], environ) == outcome.OK
    assert (tmp_path / "c.json").read_text("utf-8") == printed
    assert main(["contract", "--output", str(tmp_path / "none" / "c.json")], environ) == outcome.FAILED
    assert main(["contract", "--openapi", "--base-url", "https://node.example"], environ) == outcome.OK
    assert json.loads(capsys.readouterr().out)["servers"][0]["url"] == "https://node.example"


def test_every_route_is_listed(environ: dict[str, str], capsys: Captured) -> None:
    assert main(["contract", "--routes", "--json"], environ) == outcome.OK
    assert {row["id"] for row in json.loads(capsys.readouterr().out)} == set(completion.route_ids())


@pytest.mark.parametrize("words, place, found", [
    (["ocp.py", "stat"], 1, "status"), (["ocp.py", "call", "mesh.jobs.submi"], 2, "mesh.jobs.submit"),
    (["ocp.py", "--data-di"], 1, "--data-dir"), (["ocp.py", "call", "mesh.peers.list", "--tls-s"], 3, "--tls-self-signed"),
    (["ocp.py", "help", "doct"], 2, "doctor"),
])
def test_bash_completes_verbs_flags_and_routes(words: list[str], place: int, found: str) -> None:
    script = completion.bash("bash") + f"COMP_WORDS=({' '.join(words)}); COMP_CWORD={place}; _ocp_py; echo ${{COMPREPLY[@]}}"
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, timeout=30, check=True)
    assert found in done.stdout.split()


def test_fish_and_zsh_get_the_same_words(environ: dict[str, str], capsys: Captured) -> None:
    assert main(["completion", "zsh"], environ) == outcome.OK
    assert "bashcompinit" in capsys.readouterr().out
    assert main(["completion", "fish"], environ) == outcome.OK
    text = capsys.readouterr().out
    assert "mesh.jobs.submit" in text and "-l data-dir -r" in text and "-l tls-self-signed -d" in text
    assert main(["completion", "csh"], environ) == outcome.USAGE


# --- what is printed -------------------------------------------------------------------------------------------------

def test_what_another_node_sent_cannot_steer_the_terminal(capsys: Captured) -> None:
    output.columns([("name", "a\x1b[31m\nb\u202e")])
    output.document({"name": "\x1b[31m\u009b1m\u202e", "good": "é"})
    text = capsys.readouterr().out
    assert not any(letter in text for letter in "\x1b\u009b\u202e") and "é" in text
    assert json.loads(text.partition("\n")[2]) == {"name": "\x1b[31m\u009b1m\u202e", "good": "é"}


def test_columns_are_aligned_and_no_rows_print_nothing(capsys: Captured) -> None:
    output.columns([("a", "b", "c"), ("long", "", "last one")])
    output.columns([])
    assert capsys.readouterr().out == "a     b  c\nlong     last one\n"


# --- which node, as whom ---------------------------------------------------------------------------------------------

class Transport:
    """Answers what it was told to, and remembers what it was sent."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer
        self.sent: list[tuple[str, str, dict[str, str]]] = []

    def request(self, method: str, url: str, *, headers: Any, **_: Any) -> Any:
        self.sent.append((method, url, dict(headers)))
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def test_the_nodes_own_address_follows_the_settings(tmp_path: Path) -> None:
    cases: list[tuple[dict[str, Any], str]] = [
        ({}, "http://127.0.0.1:8421"), ({"host": "0.0.0.0", "port": 9}, "http://127.0.0.1:9"),
        ({"host": "::"}, "http://[::1]:8421"),
        ({"host": "10.0.0.7"}, "http://10.0.0.7:8421"), ({"tls_self_signed": True}, "https://127.0.0.1:8421"),
    ]
    for values, url in cases:
        assert node.own_url(of(tmp_path, **values)) == url
    with pytest.raises(WrongUse):
        node.own_url(of(tmp_path, port=0))


@pytest.mark.parametrize("fault, code", [
    (OutboundError("refused", "nothing listens there"), outcome.UNREACHABLE),
    (Malformed(code="invalid_json"), outcome.UNREACHABLE),
    (OutboundError("bad_request", "only http and https URLs are called"), outcome.USAGE),
])
def test_a_node_that_does_not_answer_has_its_own_exit_code(fault: Exception, code: int) -> None:
    asked = node.Node(Client("http://127.0.0.1:1", transport=Transport(fault)))
    with pytest.raises(WrongUse if code == outcome.USAGE else outcome.Unreachable):
        asked.ask("node.health.live")


def named(settings: Any, *argv: str) -> node.Node:
    from ocp_node.cli.arguments import Parser
    parser = Parser("status")
    node.add_arguments(parser)
    return node.named(parser.parse_args(argv), settings)


def test_the_nodes_own_token_is_never_sent_to_an_address_given_by_hand(tmp_path: Path) -> None:
    settings = of(tmp_path, operator_token="hunter2")
    assert named(settings)._client.token == "hunter2"
    assert named(settings, "--url", "https://other.example")._client.token == ""
    assert named(settings, "--url", "http://127.0.0.1:8421")._client.token == ""
    assert named(settings, "--url", "https://other.example", "--token", "theirs")._client.token == "theirs"


@pytest.mark.parametrize("url, allowed", [
    ("http://10.0.0.7:8421", False), ("http://localhost@evil.example", False), ("http://other.example", False),
    ("file:///x", False),
    ("http://127.0.0.1:9", True), ("http://[::1]:9", True), ("http://localhost:9", True), ("https://other.example", True),
])
def test_a_token_does_not_travel_readable(tmp_path: Path, url: str, allowed: bool) -> None:
    settings = of(tmp_path)
    (tmp_path / "token").write_text("t\n")
    if allowed:
        assert named(settings, "--url", url, "--token-file", str(tmp_path / "token"))._client.token == "t"
    else:
        with pytest.raises(WrongUse):
            named(settings, "--url", url, "--token-file", str(tmp_path / "token"))


def test_plain_http_can_be_allowed_by_a_setting(tmp_path: Path) -> None:
    assert named(of(tmp_path, allow_plain_token=True), "--url", "http://10.0.0.7:1", "--token", "t")._client.token == "t"


@pytest.mark.parametrize("status, body, code, said", [
    (200, {"a": 1}, outcome.OK, ""), (204, None, outcome.OK, ""),
    (404, {"error": "job not found"}, outcome.REFUSED, "404 job not found"),
    (401, {"message": "no\x1b[1m"}, outcome.REFUSED, "401 no\ufffd[1m"),
    (409, {"reason": "stale-sequence"}, outcome.REFUSED, "409 stale-sequence"),
    (501, {"error": "planned"}, outcome.PLANNED, "501 planned"), (500, b"oh", outcome.REFUSED, "500"),
    (400, ["x"], outcome.REFUSED, "400"),
])
def test_an_answer_is_printed_and_has_its_exit_code(status: int, body: Any, code: int, said: str, capsysbinary: Any) -> None:
    assert node.show(Answer(status, body, {}), as_json=False) == code
    captured = capsysbinary.readouterr()
    assert captured.err.decode().strip() == (f"ocp: {said}" if said else "")
    printed = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body, indent=2).encode() + b"\n"
    assert captured.out == printed
    node.show(Answer(status, body, {}), as_json=True)
    assert json.loads(capsysbinary.readouterr().out) == {"status": status, "body": "oh" if body == b"oh" else body}


# --- doctor ----------------------------------------------------------------------------------------------------------

def findings(tmp_path: Path, clock: SetClock | None = None, **values: Any) -> dict[str, doctor.Finding]:
    settings = of(values.pop("data_dir", tmp_path / "state"), port=0, **values)
    return {found.check: found for found in doctor.examine(settings, {"PATH": os.environ.get("PATH", "")}, clock or SetClock())}


def test_a_fresh_machine_is_fit_and_nothing_is_written(tmp_path: Path) -> None:
    found = findings(tmp_path)
    assert [finding.check for finding in found.values() if finding.state == doctor.BAD] == []
    assert found["data folder"].state == found["database"].state == doctor.NOTE
    assert list(tmp_path.iterdir()) == []


def test_a_clock_that_was_never_set_is_bad(tmp_path: Path) -> None:
    assert findings(tmp_path, SetClock(1_000_000))["clock"].state == doctor.BAD


def test_a_clock_behind_the_nodes_own_files_is_bad(tmp_path: Path) -> None:
    (tmp_path / "identity").mkdir()
    (tmp_path / "identity" / "identity.json").write_text("{}")
    os.utime(tmp_path / "identity" / "identity.json", (1_800_001_000, 1_800_001_000))
    assert findings(tmp_path, data_dir=tmp_path)["clock"].state == doctor.BAD
    assert findings(tmp_path, SetClock(1_800_000_950), data_dir=tmp_path)["clock"].state == doctor.GOOD


def test_a_folder_that_others_may_write_into_is_bad(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir(mode=0o700)
    assert findings(tmp_path)["data folder"].state == doctor.GOOD
    (tmp_path / "state").chmod(0o777)
    assert "chmod 700" in findings(tmp_path)["data folder"].text


def test_a_data_folder_that_is_a_file_is_bad_and_the_other_checks_go_on(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("x")
    found = findings(tmp_path)
    assert found["data folder"].state == doctor.BAD and found["sqlite"].state == doctor.GOOD


def test_a_database_that_is_none_is_bad(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir(mode=0o700)
    (tmp_path / "state" / "ocp.db").write_bytes(b"no database at all" * 100)
    assert findings(tmp_path)["database"].state == doctor.BAD


def test_a_taken_port_is_bad(tmp_path: Path) -> None:
    import socket
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        settings = of(tmp_path / "state", port=taken.getsockname()[1])
        assert doctor._port(settings)[0] == doctor.BAD
    assert doctor._port(settings) == (doctor.GOOD, f"127.0.0.1 port {settings.port} is free")
    assert doctor._port(of(tmp_path / "state", host="192.0.2.77"))[0] == doctor.BAD


def test_a_node_on_the_network_without_a_token_is_a_note(tmp_path: Path) -> None:
    assert findings(tmp_path, host="0.0.0.0")["operator token"].state == doctor.NOTE
    assert findings(tmp_path, host="0.0.0.0", operator_token="short")["operator token"].state == doctor.NOTE
    assert findings(tmp_path, host="0.0.0.0", operator_token="long enough to be one")["operator token"].state == doctor.GOOD


def test_the_doctors_exit_code_follows_the_worst_finding(environ: dict[str, str], tmp_path: Path, capsys: Captured) -> None:
    assert main(["doctor", "--json", "--port", "0"], environ) == outcome.OK
    assert json.loads(capsys.readouterr().out)["ok"] is True
    (tmp_path / "state").write_text("x")
    assert main(["doctor", "--port", "0"], environ) == outcome.FAILED
    assert "bad" in capsys.readouterr().out


# --- a real node -----------------------------------------------------------------------------------------------------

ROOT = Path(__file__).resolve().parent.parent.parent


@pytest.fixture
def running(tmp_path: Path) -> Any:
    """A node of its own in a process of its own; its first line says where it is."""
    environ = {"PATH": os.environ.get("PATH", ""), "HOME": str(tmp_path), "OCP_DATA_DIR": str(tmp_path / "state")}
    process = subprocess.Popen([sys.executable, str(ROOT / "ocp.py"), "--port", "0"], stdout=subprocess.PIPE,
                               stderr=subprocess.DEVNULL, text=True, env=environ)
    assert process.stdout is not None
    url = process.stdout.readline().split()[1]
    yield url, {**environ, "OCP_PORT": url.rpartition(":")[2]}
    process.terminate()
    assert process.wait(30) == 0
    process.stdout.close()


def test_status_call_backup_and_restore_against_a_real_node(running: tuple[str, dict[str, str]], tmp_path: Path,
                                                            capsys: Captured) -> None:
    url, environ = running
    assert main(["status", "--json"], environ) == outcome.OK
    found = json.loads(capsys.readouterr().out)
    assert (found["url"], found["alive"], found["ready"]) == (url, True, True) and found["node"]["node_id"]
    assert main(["status"], environ) == outcome.OK
    assert found["node"]["node_id"] in capsys.readouterr().out
    assert main(["call", "node.health.live", "--url", url], {}) == outcome.OK
    assert json.loads(capsys.readouterr().out)["status"] == "ok"
    assert main(["call", "directory.fetch", "node_id=node:nobody"], environ) == outcome.REFUSED
    assert "400 invalid-node-id" in capsys.readouterr().err
    assert main(["backup", str(tmp_path), "--json"], environ) == outcome.OK
    made = json.loads(capsys.readouterr().out)["file"]
    assert Path(made).stat().st_mode & 0o077 == 0
    assert main(["restore", made], environ) == outcome.FAILED
    assert "already uses" in capsys.readouterr().err
    assert main(["restore", made, "--json"], {**environ, "OCP_DATA_DIR": str(tmp_path / "other")}) == outcome.OK
    assert set(json.loads(capsys.readouterr().out)["restored"]) == {"ocp.db", "identity"}
    same = [(tmp_path / folder / "identity" / "identity.json").read_bytes() for folder in ("state", "other")]
    assert same[0] == same[1]


def test_a_key_kept_elsewhere_is_named_because_the_backup_lacks_it(running: tuple[str, dict[str, str]], tmp_path: Path,
                                                                   capsys: Captured) -> None:
    environ = {**running[1], "OCP_SECRETS_KEY_FILE": "/media/stick/secrets.key"}
    assert main(["backup", str(tmp_path), "--json"], environ) == outcome.OK
    captured = capsys.readouterr()
    assert json.loads(captured.out)["left_out"] == "/media/stick/secrets.key" and "copy it yourself" in captured.err


def test_nothing_there_is_exit_code_4(environ: dict[str, str], capsys: Captured) -> None:
    assert main(["status", "--port", "1"], environ) == outcome.UNREACHABLE
    assert "does not answer" in capsys.readouterr().err
