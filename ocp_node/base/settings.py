"""All settings of the node: one row each, and everything else about them is derived.

A setting `some_name` is the flag `--some-name`, the variable `OCP_SOME_NAME` and the key `some_name` of `ocp.toml` in the data
folder (a table is a prefix: `strict` in `[oscp]` is `oscp_strict`).  `sources.py` reads these.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from .setting import Setting, WrongUse, home

SECRET_LENGTH_MAX = 4096
HIDDEN = "******"


def _base_url(value: str) -> str:
    """OCP 0.1 base URLs: http or https, a host, nothing after the path."""
    scheme, _, rest = value.partition("://")
    authority = rest.partition("/")[0]
    if scheme not in ("http", "https") or not authority or any(mark in rest for mark in "?#\\ ") or "@" in authority:
        return "it is not http://host or https://host, with a port and a path at most"
    return ""


def _base_urls(words: tuple[str, ...]) -> str:
    return next((f"{word[:60]!r}: {fault}" for word in words if (fault := _base_url(word))), "")


def _addresses(words: tuple[str, ...]) -> str:
    import ipaddress
    for word in words:
        try:
            ipaddress.ip_network(word, strict=False)
        except ValueError:
            return f"{word[:60]!r} is not an address or network"
    return ""


def _of(surface: str, *rows: Setting) -> tuple[Setting, ...]:
    for row in rows:
        row.surface = surface
    return rows


SETTINGS: tuple[Setting, ...] = (
    # --- the node itself
    *_of("node",
        Setting("data_dir", "path", "", "folder of the state: database, identity, workspace, ocp.toml",
                aliases=("OCP_STATE_DIR",), shown="$XDG_STATE_HOME/ocp, else ~/.local/state/ocp"),
        Setting("host", "text", "127.0.0.1", "address to listen on; 0.0.0.0 for every IPv4 address, :: for every address"),
        Setting("port", "int", 8421, "port to listen on; 0 takes a free one", minimum=0, maximum=65535),
        Setting("base_url", "text", "", "URL under which others reach this node", check=_base_url,
                shown="from address and port"),
        Setting("node_id", "text", "", "this node's id", pattern="[A-Za-z0-9][A-Za-z0-9._:-]{0,127}",
                shown="stored, else made from the host name"),
        Setting("display_name", "text", "", "this node's name for people", shown="stored, else the host name"),
        Setting("db_path", "path", "", "database file", shown="ocp.db in the data folder"),
        Setting("identity_dir", "path", "", "folder of the key and the device profile",
                shown="identity in the data folder"),
        Setting("workspace_root", "path", "", "folder that jobs work in", shown="workspace in the data folder"),
        Setting("workers", "int", None, "jobs that the built-in pool runs at a time; 0 = off", minimum=0, maximum=256,
                shown="cores, at most 4"),
        Setting("stop_grace_seconds", "float", 10.0, "time between TERM and KILL for whatever names none itself",
                minimum=0, maximum=3600),
        Setting("log_level", "choice", "info", "least weight of a log line",
                choices=("debug", "info", "warning", "error")),
        Setting("tls_cert", "path", "", "certificate chain (PEM); serves HTTPS"),
        Setting("tls_key", "path", "", "private key of the certificate (PEM)"),
        Setting("tls_self_signed", "bool", False, "serve HTTPS with a certificate that the openssl program makes once"),
        Setting("operator_token", "text", "", "what operators present", secret=True, aliases=("OCP_CONTROL_TOKEN",)),
        Setting("operator_token_file", "path", "", "file whose first line is the operator token"),
        Setting("insecure_lan", "bool", False, "bind beyond loopback without an operator token, knowingly: no warning at start"),
        Setting("allowed_hosts", "words", (), "further host names that requests may name"),
        Setting("trusted_proxies", "words", (), "addresses of proxies whose forwarding headers count",
                check=_addresses),
        Setting("max_body_bytes", "bytes", 8_388_608, "largest request body, where a route names no bound",
                minimum=1024, maximum=1 << 30),
        Setting("max_streams", "int", 10_000, "open event streams", minimum=1, maximum=100_000),
        Setting("events_kept", "int", 100_000, "newest events that are kept", minimum=100, maximum=100_000_000),
        Setting("print_phone_link", "bool", False, "print the links for a phone at start"),
    ),
    # --- the mesh (OCP 0.1)
    *_of("mesh",
        Setting("read_auth", "choice", "open", "whether reads need the operator token", choices=("open", "token")),
        Setting("peer_admission", "choice", "", "what becomes of a stranger's claimed tier",
                choices=("declared", "approval", "public"),
                shown="declared between loopback addresses, else approval"),
        Setting("allow_remote_execution", "choice", "loopback", "whose code runs here, of trusted and partner peers",
                choices=("loopback", "on", "off")),
        Setting("allow_loopback_peers", "bool", False, "calls to loopback addresses also where the operator is elsewhere"),
        Setting("allow_plain_token", "bool", False, "send a token given for a peer over plain HTTP beyond loopback"),
        Setting("device_class", "choice", "", "kind of device", choices=("full", "light", "micro", "relay"),
                shown="stored, else full"),
        Setting("execution_tier", "choice", "", "weight of work it takes",
                choices=("heavy", "standard", "light", "control", "sensor"), shown="stored, else by device class"),
        Setting("power_profile", "choice", "", "where its power comes from",
                choices=("line_powered", "battery", "mixed"), shown="stored, else by device class"),
        Setting("network_profile", "choice", "", "how it is connected",
                choices=("wired", "broadband", "wifi", "metered", "intermittent"),
                shown="stored, else by device class"),
        Setting("mobility", "choice", "", "how it moves", choices=("fixed", "portable", "mobile", "wearable"),
                shown="stored, else by device class"),
        Setting("form_factor", "choice", "", "what it looks like", shown="stored, else by device class",
                choices=("server", "workstation", "laptop", "tablet", "phone", "watch", "relay", "edge")),
        Setting("agent_id", "text", "ocp-control", "id of the control agent registered at start; empty = none"),
        Setting("agent_name", "text", "OCP Control Plane", "its name"),
        Setting("session_id", "text", "ocp-control-session", "its session"),
        Setting("auto_register_worker", "bool", False, "with workers off: register the default worker at start"),
        Setting("auto_worker_id", "text", "", "its id", shown="from the node id"),
        Setting("worker_stale_seconds", "float", 300.0, "silence after which a worker counts as stale",
                minimum=1, maximum=86_400),
        Setting("max_inline_runs", "int", 4, "run-and-wait jobs at a time", minimum=1, maximum=64),
        Setting("max_job_seconds", "float", 3600.0, "longest run of one job", minimum=1, maximum=2_592_000),
        Setting("jobs_kept_days", "float", 30.0, "ended jobs are kept so long", minimum=0, maximum=36_500),
        Setting("enable_docker", "choice", "auto", "container jobs; auto = when the program is there",
                choices=("auto", "on", "off")),
        Setting("enable_wasm", "choice", "auto", "WASM jobs; auto = when the program is there",
                choices=("auto", "on", "off")),
        Setting("wasm_runtime", "text", "wasmtime", "program that runs WASM components",
                aliases=("OCP_WASMTIME_BIN",)),
        Setting("secrets_key_file", "path", "", "file of the key that encrypts stored secrets",
                shown="secrets.key in the identity folder"),
        Setting("secrets_list_public", "bool", False, "list names of secrets to anyone"),
        Setting("artifacts_max_bytes", "bytes", 64 << 20, "largest artifact", minimum=1024, maximum=1 << 40),
        Setting("artifacts_max_total_bytes", "bytes", 10 << 30, "all artifacts together",
                minimum=1024, maximum=1 << 50),
        Setting("artifacts_max_remote_retention_seconds", "float", 2_592_000.0, "longest life a peer may ask for its artifact",
                minimum=0, maximum=3_153_600_000),
    ),
    # --- the seed directory; 0 = no bound
    *_of("directory",
        Setting("directory_max_body_bytes", "bytes", 65_536, "largest artifact", minimum=0, maximum=1 << 24),
        Setting("directory_max_depth", "int", 16, "nesting of a document", minimum=0, maximum=64),
        Setting("directory_max_endpoints", "int", 32, "endpoints of an artifact", minimum=0, maximum=10_000),
        Setting("directory_max_url_length", "int", 2048, "characters of an endpoint URL", minimum=0, maximum=65_536),
        Setting("directory_max_id_length", "int", 256, "characters of an advertisement or federation id",
                minimum=0, maximum=65_536),
        Setting("directory_source_writes_burst", "int", 2000, "writes of one address at once", minimum=0),
        Setting("directory_source_writes_per_second", "float", 50.0, "their refill", minimum=0),
        Setting("directory_publisher_writes_burst", "int", 600, "accepted writes of one node at once", minimum=0),
        Setting("directory_publisher_writes_per_second", "float", 1.0, "their refill", minimum=0),
        Setting("directory_new_nodes_burst", "int", 1000, "first-time nodes of one address at once", minimum=0),
        Setting("directory_new_nodes_per_second", "float", 5.0, "their refill", minimum=0),
        Setting("directory_source_reads_burst", "int", 2000, "reads of one address at once", minimum=0),
        Setting("directory_source_reads_per_second", "float", 100.0, "their refill", minimum=0),
        Setting("directory_max_nodes", "int", 100_000, "live nodes", minimum=0),
        Setting("directory_page_items", "int", 100, "items of a feed page", minimum=1, maximum=10_000),
        Setting("directory_page_bytes", "bytes", 1_048_576, "artifacts of a feed page",
                minimum=1024, maximum=1 << 26),
        Setting("directory_future_seconds", "float", 300.0, "how far ahead `advertised-at` may lie", minimum=0),
        Setting("directory_hold_seconds", "float", 604_800.0, "longest time an artifact is served", minimum=0),
        Setting("directory_capabilities_per_node", "int", 64, "active capability registrations of one node",
                minimum=0),
        Setting("directory_equal_identical", "choice", "conflict", "answer to a copy of what is stored",
                choices=("conflict", "ok")),
        Setting("directory_unknown_cursor", "choice", "reset", "answer to a cursor of another directory",
                choices=("reset", "gone")),
        Setting("directory_blocked_nodes", "words", (), "`node:did:key:` ids that are not taken"),
        Setting("directory_federations", "words", (), "the only federation ids that are taken; none = any"),
        Setting("directory_upstreams", "words", (), "directories that this one mirrors", check=_base_urls),
        Setting("directory_mirror_seconds", "float", 45.0, "seconds between two looks at a mirrored directory",
                minimum=1, maximum=86_400),
        Setting("directory_publish_to", "words", (), "directories at which this node publishes its own advertisement",
                check=_base_urls),
        Setting("directory_read_from", "words", (), "directories read for nodes to meet", check=_base_urls,
                shown="those it publishes to"),
        Setting("directory_read_seconds", "float", 60.0, "seconds between two looks at them", minimum=1, maximum=86_400),
        Setting("directory_endpoint", "text", "", "wss URL in this node's own advertisement", pattern="wss://[!-~]{1,2048}",
                shown="from the base URL, when it is https"),
        Setting("directory_federation_id", "text", "", "federation id in this node's own advertisement", pattern="[!-~]{0,256}"),
        Setting("directory_lifetime_seconds", "float", 1800.0, "life of this node's own advertisement; renewed after a third",
                minimum=30, maximum=604_800),
        Setting("directory_lan", "choice", "auto",
                "find nodes on the local network with Avahi; auto = when it runs and this node listens beyond loopback",
                choices=("auto", "on", "off")),
        Setting("directory_issuers", "words", (),
                "`participant:did:key:` ids whose revocations and delegations are taken; none = any"),
        Setting("directory_federation_root", "path", "", "file of the federation root that makes endorsements official"),
        Setting("directory_attest", "bool", True, "sign answers for readers who ask for it"),
    ),
    # --- App Mesh
    *_of("appmesh",
        Setting("appmesh_tcp_port", "int", 0, "port of the framed TCP transport, with TLS only; 0 = off",
                minimum=0, maximum=65535),
        Setting("appmesh_admin_password_file", "path", "",
                "file whose first line becomes the password of `admin` when there is no user yet"),
        Setting("appmesh_default_users", "bool", False,
                "make the reference's three users, with their known passwords, when there is no user yet"),
        Setting("appmesh_forward_hosts", "words", (), "hosts that `X-Target-Host` may name"),
        Setting("appmesh_max_body_bytes", "bytes", 8_388_608, "largest JSON body", minimum=1024, maximum=1 << 27),
    ),
    # --- OSCP 2.0
    *_of("oscp",
        Setting("oscp_roles", "words", ("fp", "cp", "co"), "roles that are served", choices=("fp", "cp", "co")),
        Setting("oscp_public_base", "text", "", "URL under which OSCP peers reach this node; needed to register",
                check=_base_url),
        Setting("oscp_strict", "bool", False, "no tolerance for known peers' deviations"),
        Setting("oscp_auto_groups", "bool", True, "make a group when a provider names a new one"),
        Setting("oscp_allow_http", "bool", False, "peers at public addresses may use plain HTTP"),
        Setting("oscp_peer_hosts", "words", (), "the only hosts a peer's base URL may name; none = any"),
        Setting("oscp_heartbeat_interval", "int", 30, "seconds between heartbeats we ask for",
                minimum=1, maximum=32_767),
        Setting("oscp_measurement_configuration", "words", ("CONTINUOUS",), "how registers are read that we ask for",
                choices=("CONTINUOUS", "INTERMITTENT")),
        Setting("oscp_recover_on", "choice", "heartbeat", "what ends a peer's offline time",
                choices=("heartbeat", "handshake")),
        Setting("oscp_adjust_policy", "choice", "auto", "who grants a provider's request for more",
                choices=("auto", "manual", "deny")),
        Setting("oscp_ramp_w_per_s", "float", 0.0, "watts a second that a limit may rise by; 0 = at once", minimum=0),
        Setting("oscp_co_offline_grace", "float", 300.0, "seconds until a silent node's share shrinks",
                minimum=0, maximum=86_400),
        Setting("oscp_co_optimum", "bool", True, "as an optimizer, send OPTIMUM series"),
        Setting("oscp_min_limit_w", "float", 0.0, "watts that the node keeps whatever the limit says", minimum=0),
        Setting("oscp_token_rotation_days", "float", 0.0, "days between new tokens; 0 = never",
                minimum=0, maximum=3650),
        Setting("oscp_max_body", "bytes", 262_144, "largest body sent to a peer in one message",
                minimum=16_384, maximum=1_048_576),
        Setting("oscp_power_base_w", "float", 0.0, "watts that a partial meter does not see", minimum=0),
        Setting("oscp_power_idle_w", "float", 20.0, "watts of the idle node, where no meter says", minimum=0),
        Setting("oscp_power_max_w", "float", None, "watts of the busy node, where no meter says", minimum=0,
                shown="20 and 15 per core"),
        Setting("oscp_power_lead_s", "float", 30.0, "seconds ahead of a drop that shedding starts",
                minimum=0, maximum=3600),
        Setting("oscp_invitations", "objects", (), "peers invited at start", secret=True),
    ),
)
BY_NAME: Mapping[str, Setting] = {setting.name: setting for setting in SETTINGS}


class Settings:
    """One value per setting, as an attribute; paths are absolute texts.  Nothing can be set afterwards."""

    def __init__(self, values: Mapping[str, Any], origins: Mapping[str, str], warnings: Sequence[str] = ()) -> None:
        self.__dict__.update(values)
        self.__dict__["_origins"] = dict(origins)
        self.__dict__["warnings"] = tuple(warnings)         # lines that a person should read at start

    if TYPE_CHECKING:
        def __getattr__(self, name: str) -> Any: ...

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(f"settings do not change: {name}")

    def origin(self, name: str) -> str:
        """Where the value came from: `flag --port`, `variable OCP_PORT`, `file PATH`, `default`."""
        return self.__dict__["_origins"].get(name, "default")

    def shown(self, name: str) -> Any:
        """The value as it may be shown: a secret is hidden."""
        value = self.__dict__[name]
        return HIDDEN if BY_NAME[name].secret and value else list(value) if isinstance(value, tuple) else value

    def table(self) -> list[dict[str, Any]]:
        """Every setting with its value and origin, secrets hidden: `config show`."""
        return [{"name": row.name, "value": self.shown(row.name), "origin": self.origin(row.name), "surface": row.surface,
                 "flag": row.flag, "variable": row.variable, "default": row.default_text(), "about": row.about}
                for row in SETTINGS]


def of(data_dir: str | os.PathLike[str], **values: Any) -> Settings:
    """Settings made by a program, for tests and simulation: the defaults, and what is named here."""
    named = {name: _plain(value) for name, value in values.items() if value is not None}
    given = {"data_dir": os.path.abspath(data_dir), **named}
    if unknown := given.keys() - BY_NAME.keys():
        raise WrongUse(f"there is no setting {min(unknown)}")
    folder = given["data_dir"]
    made = {name: BY_NAME[name].read(value, folder, {}) for name, value in given.items()}
    return settled(made, dict.fromkeys(given, "given"), [])


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else os.fspath(value) if isinstance(value, os.PathLike) else value


def settled(values: dict[str, Any], origins: dict[str, str], warnings: list[str]) -> Settings:
    """All values there: defaults filled in, derived ones worked out, and combinations checked."""
    for setting in SETTINGS:
        values.setdefault(setting.name, setting.default)
    folder = values["data_dir"]
    values["db_path"] = values["db_path"] or os.path.join(folder, "ocp.db")
    values["identity_dir"] = values["identity_dir"] or os.path.join(folder, "identity")
    values["workspace_root"] = values["workspace_root"] or os.path.join(folder, "workspace")
    values["secrets_key_file"] = values["secrets_key_file"] or os.path.join(values["identity_dir"], "secrets.key")
    values["base_url"] = values["base_url"].rstrip("/")
    values["oscp_public_base"] = values["oscp_public_base"].rstrip("/")
    if values["workers"] is None:
        values["workers"] = min(4, cores())
    if values["oscp_power_max_w"] is None:
        values["oscp_power_max_w"] = 20.0 + 15.0 * cores()
    _agree(values, origins)
    return Settings(values, origins, warnings)


def _agree(values: Mapping[str, Any], origins: Mapping[str, str]) -> None:
    """Settings that need or exclude each other."""
    def wrong(name: str, text: str) -> WrongUse:
        return WrongUse(f"{name} ({origins.get(name, 'default')}): {text}")

    if bool(values["tls_cert"]) != bool(values["tls_key"]):
        name, other = ("tls_cert", "tls_key") if values["tls_cert"] else ("tls_key", "tls_cert")
        raise wrong(name, f"{other} must be given too")
    if values["tls_self_signed"] and values["tls_cert"]:
        raise wrong("tls_self_signed", "tls_cert is given as well; only one of them can be served")
    if values["appmesh_tcp_port"] and not (values["tls_cert"] or values["tls_self_signed"]):
        raise wrong("appmesh_tcp_port", "this transport needs TLS; give tls_cert and tls_key, or tls_self_signed")
    if values["appmesh_tcp_port"] and values["appmesh_tcp_port"] == values["port"]:
        raise wrong("appmesh_tcp_port", "it is the node's own port")
    if values["oscp_power_max_w"] < values["oscp_power_idle_w"]:
        raise wrong("oscp_power_max_w", "it is less than oscp_power_idle_w")


def default_data_dir(environ: Mapping[str, str]) -> str:
    """`$XDG_STATE_HOME/ocp`, else `~/.local/state/ocp`."""
    state = environ.get("XDG_STATE_HOME", "")
    try:
        return os.path.join(state if os.path.isabs(state) else os.path.join(home(environ), ".local", "state"), "ocp")
    except ValueError as fault:
        raise WrongUse(f"data_dir (default): {fault}; give --data-dir") from None


def cores() -> int:
    """The processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def secret_line(path: str, name: str) -> str:
    """The first line of the file that the setting `name` names, without blanks around it; `WrongUse` when there is none."""
    try:
        with open(path, "rb") as file:
            line = file.readline(SECRET_LENGTH_MAX + 1)
    except OSError as fault:
        raise WrongUse(f"{name}: {path} cannot be read: {fault.strerror}") from None
    try:
        text = line.decode().strip()
    except UnicodeDecodeError:
        raise WrongUse(f"{name}: {path} is not UTF-8 text") from None
    if not text or len(line) > SECRET_LENGTH_MAX:
        raise WrongUse(f"{name}: the first line of {path} is empty or longer than {SECRET_LENGTH_MAX} bytes")
    return text


def operator_token(settings: Settings) -> str:
    """What operators of this node present, "" when none is set up; the value itself counts before the file."""
    if settings.operator_token or not settings.operator_token_file:
        return str(settings.operator_token)
    return secret_line(settings.operator_token_file, "operator_token_file")
