"""`ocp.py doctor`: whether this machine and the data folder are fit to run a node; changes nothing unless asked to."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from ..base.clock import Clock
from ..base.errors import Unusable
from ..base.settings import Settings, operator_token
from . import arguments, outcome, output
from .serve import ROOT

GOOD, NOTE, BAD = "ok", "note", "bad"
SQLITE_LEAST = (3, 37, 0)                   # STRICT tables
FREE_BYTES_WISH = 200 * 1024 * 1024
DESCRIPTORS_WISH = 4096                     # below it fewer connections can be held
TIME_LEAST = 1_735_689_600                  # 2025-01-01: a clock before the program itself was never set
SKEW_SECONDS = 60.0
ANSWER_SECONDS = 2.0


class Finding(NamedTuple):
    """One line of the doctor: what was looked at, how it is, and what to do."""
    check: str
    state: str
    text: str


def run(argv: Sequence[str], environ: Mapping[str, str]) -> int:
    """1 when something is bad, 0 otherwise; notes are worth reading but do not stop a node."""
    parser = arguments.Parser("doctor", description="Checks this machine and the data folder; changes nothing without --fix.",
                              examples=("doctor", "doctor --fix", "doctor --json --data-dir ./state"))
    parser.add_argument("--fix", action="store_true", help="install what signatures need, and make the data folder")
    own, settings = arguments.parse(parser, argv, environ)
    if own.fix:
        _fix(settings, environ)
    findings = list(examine(settings, environ, Clock()))
    if own.json:
        output.document({"ok": all(finding.state != BAD for finding in findings),
                         "checks": [finding._asdict() for finding in findings]})
    else:
        output.columns((finding.state, finding.check, finding.text) for finding in findings)
    return outcome.FAILED if any(finding.state == BAD for finding in findings) else outcome.OK


def examine(settings: Settings, environ: Mapping[str, str], clock: Clock) -> Iterator[Finding]:
    """Every finding, in the order a start would meet them."""
    checks: Sequence[tuple[str, Callable[[], tuple[str, str]]]] = (
        ("python", lambda: _python(environ)),
        ("settings", lambda: _settings(settings)),
        ("signatures", lambda: _signatures(settings)),
        ("sqlite", _sqlite),
        ("data folder", lambda: _folder(Path(settings.data_dir))),
        ("database", lambda: _database(settings)),
        ("disk", lambda: _disk(Path(settings.data_dir))),
        ("clock", lambda: _clock(settings, clock)),
        ("port", lambda: _port(settings)),
        ("descriptors", _descriptors),
        ("operator token", lambda: _token(settings)),
        ("programs", lambda: _programs(settings, environ)),
    )
    for name, look in checks:
        try:
            state, text = look()
        except Unusable as fault:
            state, text = BAD, str(fault)
        except OSError as fault:
            state, text = BAD, f"{fault.filename or ''} {fault.strerror}".strip()
        yield Finding(name, state, text)


def _fix(settings: Settings, environ: Mapping[str, str]) -> None:
    from ..node import bootstrap
    from ..store import folder
    folder.prepare(Path(settings.data_dir))
    bootstrap.signatures(ROOT, settings.data_dir, environ)


def _python(environ: Mapping[str, str]) -> tuple[str, str]:
    text = f"{'.'.join(map(str, sys.version_info[:3]))} ({sys.executable})"
    if environ.get("PYTHONDONTWRITEBYTECODE"):
        return NOTE, text + "; PYTHONDONTWRITEBYTECODE is set, so every start compiles anew and is slow"
    package = os.path.join(ROOT, "ocp_node")
    if not os.access(package, os.W_OK) and not os.path.isdir(os.path.join(package, "__pycache__")):
        return NOTE, text + f"; no byte code in {ROOT} and no right to write it: run python3 -m compileall there once"
    return GOOD, text


def _settings(settings: Settings) -> tuple[str, str]:
    given = sum(row["origin"] != "default" for row in settings.table())
    return (NOTE, settings.warnings[0]) if settings.warnings else (GOOD, f"{given} given, the others have their defaults")


def _signatures(settings: Settings) -> tuple[str, str]:
    from ..node import bootstrap
    found = bootstrap.look(ROOT, settings.data_dir)
    if found is None:
        return BAD, f"neither PyNaCl nor libsodium is here; `ocp.py doctor --fix` installs PyNaCl, or run: {bootstrap.WAYS_OUT}"
    from ..crypto import keys
    seed = bytes(range(32))
    public, signature = keys.public_key(seed), keys.sign(seed, b"right")
    if not keys.verify(public, b"right", signature) or keys.verify(public, b"wrong", signature):
        return BAD, f"{keys.backend_name()} is there but does not sign rightly"
    return GOOD, found or f"signatures by {keys.backend_name()}"


def _sqlite() -> tuple[str, str]:
    import sqlite3
    if sqlite3.sqlite_version_info < SQLITE_LEAST:
        return BAD, f"SQLite {sqlite3.sqlite_version}; {'.'.join(map(str, SQLITE_LEAST))} or newer is needed"
    return GOOD, sqlite3.sqlite_version


def _folder(path: Path) -> tuple[str, str]:
    if not path.exists():
        parent = next(folder for folder in (path, *path.parents) if folder.exists())
        if not os.access(parent, os.W_OK | os.X_OK):
            return BAD, f"{path} is not there and {parent} cannot be written; name another folder with --data-dir"
        return NOTE, f"{path} is not there yet; the first start makes it"
    from ..store import folder
    folder.prepare(path)
    mode = path.stat().st_mode & 0o777
    if mode & 0o022:
        return BAD, f"others may write into {path} (mode {mode:o}); run: chmod 700 {path}"
    return GOOD, str(path)


def _database(settings: Settings) -> tuple[str, str]:
    path = Path(settings.db_path)
    if not path.exists():
        return NOTE, f"{path} is not there yet; the first start makes it"
    fault = _damage(path)
    if fault:
        return BAD, f"{path} is damaged: {fault}; restore a backup"
    return GOOD, f"{path}, {path.stat().st_size // 1024} KiB"


def _damage(path: Path) -> str:
    import sqlite3

    from ..store import connection
    try:
        reader = connection.for_reading(path)
        try:
            fault = str(reader.execute("PRAGMA quick_check(1)").fetchone()[0])
        finally:
            reader.close()
    except sqlite3.Error as failed:
        fault = str(failed)
    return "" if fault == "ok" else fault


def _disk(path: Path) -> tuple[str, str]:
    from ..base import limits
    from ..store import folder
    there = next(folder for folder in (path, *path.parents) if folder.exists())
    free = folder.free_bytes(there)
    text = f"{free // (1024 * 1024)} MiB free"
    return BAD if free < limits.FREE_BYTES_MIN else NOTE if free < FREE_BYTES_WISH else GOOD, text


def _clock(settings: Settings, clock: Clock) -> tuple[str, str]:
    """Peers refuse messages whose time is off by minutes (OCP 0.1 envelopes), so a wrong clock cuts a node off."""
    if clock.time() < TIME_LEAST:
        return BAD, f"{clock.text()}: the clock was never set; set it, or start a time service"
    files = [os.path.join(settings.identity_dir, "identity.json"), settings.db_path]
    newest = max((os.stat(file).st_mtime for file in files if os.path.exists(file)), default=0.0)
    if newest > clock.time() + SKEW_SECONDS:
        return BAD, f"{clock.text()}: the clock is behind this node's own files; set it, or start a time service"
    kept = os.path.exists("/run/systemd/timesync/synchronized") or os.path.exists("/run/chrony/chronyd.pid")
    return GOOD, clock.text() + (", kept right by a time service" if kept else ", no time service was seen")


def _port(settings: Settings) -> tuple[str, str]:
    from ..http import ports
    place = f"{settings.host} port {settings.port}"
    if settings.port == 0:
        return GOOD, "a free one is taken at start"
    fault = ports.fault(settings.host, settings.port)
    if not fault:
        return GOOD, f"{place} is free"
    if fault == ports.TAKEN and _answers(settings):
        return NOTE, f"{place} is taken by a node that answers"
    return BAD, f"{place}: {fault}"


def _answers(settings: Settings) -> bool:
    from . import node
    try:
        return node.of(settings, timeout=ANSWER_SECONDS).alive()
    except Unusable:
        return False


def _descriptors() -> tuple[str, str]:
    import resource
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < DESCRIPTORS_WISH:
        return NOTE, f"{soft} open files at most; {DESCRIPTORS_WISH} or more hold more connections (ulimit -n, LimitNOFILE=)"
    return GOOD, f"{soft} open files at most"


def _token(settings: Settings) -> tuple[str, str]:
    from ..node.serve import warnings
    found = warnings(settings)
    if found:
        return NOTE, found[0]
    return GOOD, "set" if operator_token(settings) else "none: operators act from this machine only"


def _programs(settings: Settings, environ: Mapping[str, str]) -> tuple[str, str]:
    import shutil
    wanted = {"openssl": "TLS with a certificate of its own", "docker": "container jobs", settings.wasm_runtime: "WASM jobs"}
    missing = [f"{name} ({use})" for name, use in wanted.items() if not shutil.which(name, path=environ.get("PATH"))]
    if settings.tls_self_signed and any(line.startswith("openssl ") for line in missing):
        return BAD, "openssl is missing and tls_self_signed needs it; run: apt install openssl"
    return (NOTE, "not here, and not needed until used: " + ", ".join(missing)) if missing else (GOOD, ", ".join(wanted))
