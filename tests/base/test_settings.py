"""Settings: one row each; which source wins; and what a wrong value is answered with."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from ocp_node.base import setting, settings, sources
from ocp_node.base.setting import WrongUse
from ocp_node.base.settings import BY_NAME, SETTINGS, Settings


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A data folder; `load` finds it by the environment."""
    (tmp_path / "state").mkdir()
    return tmp_path / "state"


def load(folder: Path, *flags: str, file: str = "", **variables: str) -> Settings:
    if file:
        (folder / "ocp.toml").write_text(file, "utf-8")
        (folder / "ocp.toml").chmod(0o600)
    return sources.load(flags, {"HOME": str(folder.parent), "OCP_DATA_DIR": str(folder), **variables})


def refused(folder: Path, *flags: str, file: str = "", **variables: str) -> str:
    with pytest.raises(WrongUse) as caught:
        load(folder, *flags, file=file, **variables)
    line = str(caught.value)
    assert "\n" not in line
    return line


# --- the table -------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("row", SETTINGS, ids=lambda row: row.name)
def test_a_row_is_whole_and_its_default_is_allowed(row: setting.Setting, tmp_path: Path) -> None:
    assert row.name == row.name.lower() and row.name.replace("_", "a").isalnum()
    assert row.surface in ("node", "mesh", "directory", "appmesh", "oscp")
    assert row.about and not row.about.endswith(".") and row.default_text() and row.allowed()
    if row.surface not in ("node", "mesh"):
        assert row.name.startswith(row.surface + "_")
    if row.default not in ("", None):
        value = list(row.default) if isinstance(row.default, tuple) else row.default
        assert row.read(value, str(tmp_path), {}) == row.default


def test_names_flags_and_variables_are_unique() -> None:
    assert len(BY_NAME) == len(SETTINGS)
    variables = [variable for row in SETTINGS for variable in row.variables]
    assert len(set(variables)) == len(variables)


def test_a_secret_has_no_flag() -> None:
    assert [row.name for row in SETTINGS if row.secret] == ["operator_token", "oscp_invitations"]
    assert not any(row.flag for row in SETTINGS if row.secret)


@pytest.mark.parametrize("name, default", [
    ("host", "127.0.0.1"), ("port", 8421), ("stop_grace_seconds", 10.0), ("peer_admission", ""),
    ("allow_remote_execution", "loopback"),
    ("read_auth", "open"), ("allow_loopback_peers", False), ("insecure_lan", False), ("max_body_bytes", 8388608),
    ("max_streams", 10000),
    ("max_inline_runs", 4), ("max_job_seconds", 3600), ("worker_stale_seconds", 300), ("events_kept", 100000),
    ("jobs_kept_days", 30),
    ("secrets_list_public", False), ("artifacts_max_bytes", 64 * 2**20), ("artifacts_max_total_bytes", 10 * 2**30),
    ("artifacts_max_remote_retention_seconds", 2592000), ("allow_plain_token", False), ("agent_id", "ocp-control"),
    ("agent_name", "OCP Control Plane"), ("session_id", "ocp-control-session"), ("appmesh_tcp_port", 0),
    ("directory_hold_seconds", 604800),
    ("directory_source_writes_burst", 2000), ("directory_source_writes_per_second", 50), ("oscp_roles", ("fp", "cp", "co")),
    ("oscp_heartbeat_interval", 30), ("oscp_measurement_configuration", ("CONTINUOUS",)), ("oscp_recover_on", "heartbeat"),
    ("oscp_adjust_policy", "auto"), ("oscp_co_offline_grace", 300), ("oscp_power_lead_s", 30),
])
def test_defaults_are_those_of_the_protocols(folder: Path, name: str, default: object) -> None:
    assert getattr(load(folder), name) == default


# --- which source wins -----------------------------------------------------------------------------------------------

def test_flag_wins_over_environment_over_file_over_default(folder: Path) -> None:
    file = "port = 1\nhost = '10.0.0.1'\ndisplay_name = 'from file'\n"
    found = load(folder, "--port", "3", file=file, OCP_PORT="2", OCP_HOST="10.0.0.2")
    assert (found.port, found.host, found.display_name, found.node_id) == (3, "10.0.0.2", "from file", "")
    assert [found.origin(name) for name in ("port", "host", "display_name", "node_id")] == [
        "flag --port", "variable OCP_HOST", f"file {folder}/ocp.toml", "default"]


@pytest.mark.parametrize("flags, name, value", [
    (["--port", "9"], "port", 9), (["--port=9"], "port", 9), (["--port", "8", "--port", "9"], "port", 9),
    (["--display-name", "two words"], "display_name", "two words"), (["--display-name="], "display_name", ""),
    (["--display-name=--x"], "display_name", "--x"), (["--tls-self-signed"], "tls_self_signed", True),
    (["--no-oscp-auto-groups"], "oscp_auto_groups", False), (["--oscp-auto-groups=off"], "oscp_auto_groups", False),
    (["--allowed-hosts", "a.example, b.example"], "allowed_hosts", ("a.example", "b.example")),
    (["--artifacts-max-bytes", "2MiB"], "artifacts_max_bytes", 2097152), (["--max-body-bytes", "4096"], "max_body_bytes", 4096),
    (["--allow-remote-execution", "1"], "allow_remote_execution", "on"),
    (["--allow-remote-execution", "No"], "allow_remote_execution", "off"),
    (["--enable-docker", "enabled"], "enable_docker", "on"), (["--oscp-measurement-configuration", "intermittent"],
                                                              "oscp_measurement_configuration", ("INTERMITTENT",)),
    (["--stop-grace-seconds", "2.5"], "stop_grace_seconds", 2.5), (["--agent-id="], "agent_id", ""),
    (["--workers", "0"], "workers", 0),
    (["--base-url", "http://[::1]:8421/"], "base_url", "http://[::1]:8421"),
    (["--trusted-proxies", "10.0.0.0/8,::1"], "trusted_proxies",
                                                                              ("10.0.0.0/8", "::1")),
])
def test_a_flag_gives_a_value(folder: Path, flags: list[str], name: str, value: object) -> None:
    assert getattr(load(folder, *flags), name) == value


def test_a_name_may_be_given_by_its_older_variable_and_the_first_counts(folder: Path) -> None:
    assert load(folder, OCP_CONTROL_TOKEN=" t2 ").operator_token == "t2"
    assert load(folder, OCP_CONTROL_TOKEN="t2", OCP_OPERATOR_TOKEN="t1").operator_token == "t1"
    assert load(folder, OCP_CONTROL_TOKEN="t2", OCP_OPERATOR_TOKEN="  ").operator_token == "t2"
    assert load(folder, OCP_WASMTIME_BIN="/opt/w").wasm_runtime == "/opt/w"
    assert sources.load([], {"OCP_STATE_DIR": str(folder)}).data_dir == str(folder)


def test_an_empty_variable_counts_as_not_given(folder: Path) -> None:
    found = load(folder, OCP_PORT="", OCP_HOST="  ")
    assert (found.port, found.host, found.origin("port")) == (8421, "127.0.0.1", "default")


def test_the_data_folder_is_found_in_the_usual_places(tmp_path: Path) -> None:
    def data(**environ: str) -> str:
        return str(sources.load([], environ).data_dir)

    assert data(XDG_STATE_HOME=str(tmp_path), HOME="/h") == f"{tmp_path}/ocp"
    assert data(HOME=str(tmp_path)) == f"{tmp_path}/.local/state/ocp"
    assert data(XDG_STATE_HOME="relative", HOME=str(tmp_path)) == f"{tmp_path}/.local/state/ocp"
    assert data(HOME=str(tmp_path), OCP_DATA_DIR="~/x/../y") == f"{tmp_path}/y"
    assert os.path.isabs(data(HOME=""))


def test_paths_are_absolute_and_follow_the_data_folder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder.parent)
    found = load(folder, "--db-path", "here.db", file="workspace_root = 'work'\n")
    assert found.db_path == f"{folder.parent}/here.db"
    assert found.workspace_root == f"{folder}/work"
    assert (found.identity_dir, found.secrets_key_file) == (f"{folder}/identity", f"{folder}/identity/secrets.key")
    moved = load(folder, "--identity-dir", "~/keys")
    assert moved.secrets_key_file == f"{folder.parent}/keys/secrets.key"


def test_derived_numbers_follow_the_machine(folder: Path) -> None:
    found = load(folder)
    assert found.workers == min(4, settings.cores())
    assert found.oscp_power_max_w == 20 + 15 * settings.cores()


# --- the file --------------------------------------------------------------------------------------------------------

def test_a_table_of_the_file_is_a_prefix(folder: Path) -> None:
    found = load(folder, file="""
        stop-grace-seconds = 3
        allow_remote_execution = true
        allowed_hosts = ["a.example", "b.example"]
        [oscp]
        strict = true
        roles = ["co"]
        [oscp.power]
        base_w = 5
        [[oscp.invitations]]
        token = "t"
        local_role = "co"
        [directory]
        max_nodes = 7
    """)
    assert (found.stop_grace_seconds, found.allow_remote_execution) == (3.0, "on")
    assert found.allowed_hosts == ("a.example", "b.example")
    assert (found.oscp_strict, found.oscp_roles, found.oscp_power_base_w, found.directory_max_nodes) == (True, ("co",), 5.0, 7)
    assert found.oscp_invitations == ({"token": "t", "local_role": "co"},)
    assert found.warnings == ()


def test_an_unknown_key_is_a_warning_that_names_the_nearest(folder: Path) -> None:
    found = load(folder, file="prot = 1\nqqqq = 2\n[oscp]\nstrikt = true\n")
    assert (found.port, found.oscp_strict) == (8421, False)
    path = f"{folder}/ocp.toml"
    assert found.warnings == (f"{path}: prot is no setting; did you mean port?", f"{path}: qqqq is no setting",
                              f"{path}: oscp_strikt is no setting; did you mean oscp_strict?")


def test_a_mistyped_variable_is_a_warning_and_strange_ones_are_left_alone(folder: Path) -> None:
    found = load(folder, OCP_PROT="1", OCP_RESUME_ARTIFACT_ID="x", OCP_NO_BOOTSTRAP="1", OTHER="2")
    assert found.warnings == ("OCP_PROT in the environment is no setting; did you mean OCP_PORT?",)


def test_the_data_folder_cannot_be_named_in_the_file_that_lies_in_it(folder: Path) -> None:
    found = load(folder, file="data_dir = '/elsewhere'\n")
    assert found.data_dir == str(folder)
    assert "data_dir cannot stand here" in found.warnings[0]


def test_a_file_with_a_secret_that_others_can_read_is_a_warning(folder: Path) -> None:
    (folder / "ocp.toml").write_text("operator_token = 'x'\n")
    (folder / "ocp.toml").chmod(0o644)
    assert "chmod 600" in load(folder).warnings[0]
    (folder / "ocp.toml").chmod(0o600)
    assert load(folder).warnings == ()


@pytest.mark.parametrize("text, words", [
    ("port = ", "is not TOML"), ("port = 1\nport = 2\n", "is not TOML"), ("\xff", "is not TOML"),
    ("port = '70000'", "out of range"), ("port = true", "it is true or false"), ("port = 1.0", "it is a number"),
    ("port = [1]", "it is a list"), ("tls_self_signed = 1", "it is a whole number"), ("node_id = 5", "it is a whole number"),
    ("allowed_hosts = [1]", "it is a list"), ("stop_grace_seconds = nan", "out of range"),
    ("stop_grace_seconds = inf", "out of range"),
    ("directory_max_nodes = 99999999999999999999", "out of range"), ("jobs_kept_days = 2027-01-15", "it is a date or time"),
    ("oscp_invitations = ['x']", "it is a list"), ("[port]\nx = 1", "it is a table"),
])
def test_a_wrong_file_stops_with_one_line(folder: Path, text: str, words: str) -> None:
    (folder / "ocp.toml").write_bytes(text.encode("latin-1"))
    line = refused(folder)
    assert words in line and "ocp.toml" in line


def test_a_file_that_cannot_be_one_stops_with_one_line(folder: Path) -> None:
    (folder / "ocp.toml").mkdir()
    assert "cannot be read" in refused(folder)
    (folder / "ocp.toml").rmdir()
    (folder / "ocp.toml").write_bytes(b"#" * (sources.FILE_BYTES_MAX + 1))
    assert "larger than" in refused(folder)


def test_a_data_folder_that_is_no_folder_has_no_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    assert load(tmp_path / "file").port == 8421


# --- what is refused -------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("flags, words", [
    (["--port", "x"], ["port (flag --port)", "not a whole number", "from 0 to 65535"]),
    (["--port", "-1"], ["out of range"]), (["--port", "65536"], ["out of range"]), (["--port", "1_0"], ["not a whole number"]),
    (["--port", "٩"], ["not a whole number"]), (["--port", ""], ["not a whole number"]), (["--port"], ["--port needs a value"]),
    (["--port", "--host"], ["--port needs a value"]),
    (["--device-class", "huge"], ["device_class", "'huge' is none of them", "full light micro relay"]),
    (["--node-id", "a b"], ["node_id"]), (["--node-id", "-x"], ["node_id"]), (["--node-id", "x" * 129], ["node_id"]),
    (["--display-name", "a\x1b[31m"], ["control character"]), (["--display-name", "x" * 5000], ["longer than"]),
    (["--base-url", "ftp://x"], ["base_url", "http://host"]), (["--base-url", "http://"], ["base_url"]),
    (["--base-url", "http://u:p@h"], ["base_url"]), (["--base-url", "http://h/?q"], ["base_url"]),
    (["--base-url", "h:1"], ["base_url"]),
    (["--trusted-proxies", "proxy.example"], ["is not an address"]), (["--max-body-bytes", "9XB"], ["not a number of bytes"]),
    (["--max-body-bytes", "3TiB"], ["out of range"]), (["--oscp-roles", "fp,xx"], ["'xx' is none of them"]),
    (["--tls-self-signed=maybe"], ["neither on nor off"]), (["--no-tls-self-signed=on"], ["takes no value"]),
    (["--stop-grace-seconds", "1e3"], ["not a number"]), (["--allowed-hosts", ",".join(["a"] * 300)], ["more than 256"]),
    (["--prot", "1"], ["--prot is no flag; did you mean --port?"]), (["--qqqqqq"], ["--qqqqqq is no flag"]),
    (["-p", "1"], ["-p is no flag"]),
    (["--no-port"], ["--no-port is no flag"]), (["--data_dir", "x"], ["is no flag; did you mean --data-dir?"]),
    (["status"], ["a verb comes first"]),
    (["--", "x"], ["a verb comes first"]),
    (["--operator-token", "t"], ["OCP_OPERATOR_TOKEN", "--operator-token-file"]),
    (["--operator-token=t"], ["OCP_OPERATOR_TOKEN"]),
    (["--oscp-invitations", "[]"], ["ocp.toml"]),
    (["--tls-cert", "c"], ["tls_key must be given"]), (["--tls-key", "k"], ["tls_cert must be given"]),
    (["--tls-cert", "c", "--tls-key", "k", "--tls-self-signed"], ["only one"]), (["--appmesh-tcp-port", "6059"], ["needs TLS"]),
    (["--appmesh-tcp-port", "8421", "--tls-self-signed"], ["the node's own port"]),
    (["--oscp-power-max-w", "5"], ["less than oscp_power_idle_w"]),
])
def test_a_wrong_flag_is_one_clear_line(folder: Path, flags: list[str], words: list[str]) -> None:
    line = refused(folder, *flags)
    assert all(word in line for word in words), line


def test_a_wrong_variable_names_itself(folder: Path) -> None:
    line = refused(folder, OCP_PORT="eighty")
    assert line == "port (variable OCP_PORT): it is not a whole number; allowed is a whole number from 0 to 65535"


def test_a_wrong_secret_is_not_repeated(folder: Path) -> None:
    assert "hunter2" not in refused(folder, OCP_OSCP_INVITATIONS='["hunter2"]') + refused(folder, "--operator-token=hunter2")
    assert "hunter2" not in refused(folder, OCP_OPERATOR_TOKEN="hunter2\x01")


# --- what is shown ---------------------------------------------------------------------------------------------------

def test_secrets_are_hidden_and_everything_else_is_shown(folder: Path) -> None:
    found = load(folder, OCP_OPERATOR_TOKEN="hunter2", OCP_OSCP_INVITATIONS='[{"token":"hunter2"}]')
    table = found.table()
    assert found.operator_token == "hunter2"
    assert "hunter2" not in json.dumps(table) + repr(found) + str(found)
    rows = {row["name"]: row for row in table}
    assert len(rows) == len(SETTINGS)
    assert rows["operator_token"]["value"] == settings.HIDDEN and rows["oscp_invitations"]["value"] == settings.HIDDEN
    assert (rows["port"]["value"], rows["port"]["origin"], rows["port"]["flag"], rows["port"]["variable"]) == (
        8421, "default", "--port", "OCP_PORT")
    assert load(folder).shown("operator_token") == ""


def test_settings_do_not_change(folder: Path) -> None:
    found = load(folder)
    with pytest.raises(AttributeError):
        found.port = 1
    with pytest.raises(AttributeError):
        found.no_such_setting                                  # noqa: B018
    assert found.port == 8421


# --- settings made by a program --------------------------------------------------------------------------------------

def test_a_program_names_what_it_wants_and_gets_the_same_checks(tmp_path: Path) -> None:
    found = settings.of(tmp_path, port=0, db_path=tmp_path / "x.db", oscp_roles=("co",), workers=None, operator_token="t")
    assert (found.data_dir, found.port, found.db_path, found.oscp_roles) == (str(tmp_path), 0, str(tmp_path / "x.db"), ("co",))
    assert (found.workers, found.origin("port"), found.origin("host")) == (min(4, settings.cores()), "given", "default")
    wrong: list[dict[str, Any]] = [{"prot": 1}, {"tls_cert": "x"}, {"appmesh_tcp_port": 6059}]
    for values in wrong:
        with pytest.raises(WrongUse):
            settings.of(tmp_path, **values)
    with pytest.raises(ValueError):
        settings.of(tmp_path, port=70000)


# --- secrets in files ------------------------------------------------------------------------------------------------

def test_the_operator_token_comes_from_its_value_or_else_its_file(folder: Path) -> None:
    file = folder / "token"
    file.write_text("  from-file  \nsecond line\n")
    assert settings.operator_token(load(folder)) == ""
    assert settings.operator_token(load(folder, "--operator-token-file", str(file))) == "from-file"
    assert settings.operator_token(load(folder, "--operator-token-file", str(file), OCP_OPERATOR_TOKEN="given")) == "given"


@pytest.mark.parametrize("content, words", [(b"", "is empty"), (b"\nsecond", "is empty"), (b"x" * 5000, "longer than"),
(b"\xff\xfe", "not UTF-8")])
def test_a_secret_file_without_a_secret_is_refused(folder: Path, content: bytes, words: str) -> None:
    (folder / "token").write_bytes(content)
    with pytest.raises(WrongUse) as caught:
        settings.operator_token(load(folder, "--operator-token-file", str(folder / "token")))
    assert words in str(caught.value)


def test_a_secret_file_that_is_not_there_is_refused(folder: Path) -> None:
    with pytest.raises(WrongUse) as caught:
        settings.operator_token(load(folder, "--operator-token-file", str(folder / "none")))
    assert "operator_token_file" in str(caught.value) and "No such file" in str(caught.value)


# --- flags and other arguments ---------------------------------------------------------------------------------------

def test_arguments_of_a_verb_pass_through_in_order() -> None:
    given, rest = sources.take_flags(["call", "--port", "1", "x=1", "--json", "--no-tls-self-signed", "--", "--port", "2"])
    assert given == {"port": "1", "tls_self_signed": "off"}
    assert rest == ["call", "x=1", "--json", "--port", "2"]
