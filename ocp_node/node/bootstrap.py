"""Signatures are available when the node starts, or one clear line says how to get them.

Looked at in this order: an importable PyNaCl; one in the folder `vendor/` beside `ocp.py`; the system's libsodium; the private
environment in the data folder, which is made here, once, when there is nothing else.  Whatever is not the first is said on
standard error.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping, Sequence

from ..base.errors import Unusable
from ..crypto import sodium

PACKAGE = "pynacl>=1.5"
PRIVATE = "python"              # the private environment's name in the data folder
STEP_SECONDS_MAX = 300          # for making the environment, and for installing into it
REFUSED = ("1", "true", "yes", "on")
WAYS_OUT = "pip install pynacl, or apt install python3-nacl, or apt install libsodium23"


def say(text: str) -> None:
    """One line for the person who started the node."""
    print(f"ocp: {text}", file=sys.stderr, flush=True)


def signatures(root: str, data: str, environ: Mapping[str, str]) -> None:
    """PyNaCl or libsodium can be loaded when this returns.  `Unusable` says how to get one.

    `root` is the folder of `ocp.py`, `data` the data folder.  Where PyNaCl had to be installed this does not return:
    the program starts again with the environment that has it.
    """
    found = look(root, data)
    if found is None:
        _make(data, environ)
        _again(data)
    elif found:
        say(found)


def look(root: str, data: str, system: Callable[[], object] = sodium.SystemLibrary) -> str | None:
    """What gives signatures, and can be loaded now: "" for an importable PyNaCl, else a line about it; None for nothing."""
    if _importable():
        return ""
    vendor = os.path.join(root, "vendor")
    if os.path.isdir(os.path.join(vendor, "nacl")) and _importable(vendor):
        return f"signatures by PyNaCl in {vendor}"
    try:
        system()
        return "signatures by the system's libsodium"
    except (OSError, AttributeError):
        pass
    packages = _packages(data)
    if os.path.isdir(os.path.join(packages, "nacl")) and _importable(packages):
        return f"signatures by PyNaCl in {os.path.join(data, PRIVATE)}"
    return None


def _importable(folder: str = "") -> bool:
    """Whether PyNaCl's compiled part can be loaded, from `folder` first; a failed try leaves nothing behind."""
    if folder:
        sys.path.insert(1, folder)
    try:
        sodium.PyNaCl()
        return True
    except (ImportError, OSError, AttributeError):
        for name in [name for name in sys.modules if name.partition(".")[0] in ("nacl", "_cffi_backend")]:
            del sys.modules[name]
        if folder:
            sys.path.remove(folder)
        return False


def _packages(data: str) -> str:
    """Where the private environment keeps packages for exactly this Python."""
    return os.path.join(data, PRIVATE, "lib", f"python{sys.version_info[0]}.{sys.version_info[1]}", "site-packages")


def _python(folder: str) -> str:
    return os.path.join(folder, "bin", "python")


def _make(data: str, environ: Mapping[str, str]) -> None:
    """The private environment holds PyNaCl for this Python; made by one process at a time, and whole or not at all."""
    private = os.path.join(data, PRIVATE)
    if os.path.realpath(sys.prefix) == os.path.realpath(private):
        raise Unusable(f"PyNaCl in {private} does not load; remove that folder, then run: {WAYS_OUT}")
    if environ.get("OCP_NO_BOOTSTRAP", "").strip().lower() in REFUSED:
        raise Unusable("no signatures: neither PyNaCl nor libsodium is here, and OCP_NO_BOOTSTRAP forbids to install; "
                       f"run: {WAYS_OUT}")
    try:
        os.makedirs(data, mode=0o700, exist_ok=True)
        lock = os.open(os.path.join(data, PRIVATE + ".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as fault:
        raise Unusable(f"the data folder {data} cannot be used: {fault.strerror}") from None
    try:
        import fcntl
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not os.path.isdir(os.path.join(_packages(data), "nacl")) or not _importable(_packages(data)):
            _install(private)
    finally:
        os.close(lock)


def _install(private: str) -> None:
    """`private` is a fresh environment with PyNaCl in it, built under another name first."""
    import shutil
    new = private + ".new"
    steps = _steps(new)
    say(f"signatures need PyNaCl or libsodium and neither is here: installing PyNaCl into {private}, once")
    try:
        shutil.rmtree(new, ignore_errors=True)
        for step in steps:
            _run(step)
        shutil.rmtree(private, ignore_errors=True)
        os.rename(new, private)
    except OSError as fault:
        raise Unusable(f"PyNaCl could not be installed into {private}: {fault.strerror}; run: {WAYS_OUT}") from None
    finally:
        shutil.rmtree(new, ignore_errors=True)
    say(f"PyNaCl is installed in {private}; starting again with it")


def _steps(new: str, has: Callable[[str], bool] | None = None) -> Sequence[Sequence[str]]:
    """The commands that make the environment: with its own pip, else with this Python's; only ready-built packages are taken."""
    has = has or _has
    options = ["install", "--quiet", "--disable-pip-version-check", "--no-input", "--timeout", "15", "--retries", "1",
               "--only-binary=:all:", PACKAGE]
    if has("venv") and has("ensurepip"):
        return [[sys.executable, "-m", "venv", new], [_python(new), "-m", "pip", *options]]
    if has("venv") and has("pip"):
        return [[sys.executable, "-m", "venv", "--without-pip", new],
                [sys.executable, "-m", "pip", "--python", _python(new), *options]]
    raise Unusable("no signatures: neither PyNaCl nor libsodium is here, and this Python has neither ensurepip nor pip; "
                   "run: apt install python3-nacl, or apt install python3-venv and start again, or pip install pynacl")


def _has(module: str) -> bool:
    import importlib.util
    return importlib.util.find_spec(module) is not None


def _run(command: Sequence[str]) -> None:
    """The command has ended well.  `Unusable` quotes the last thing it said."""
    import subprocess
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              errors="replace", timeout=STEP_SECONDS_MAX, check=False)
    except subprocess.TimeoutExpired:
        raise Unusable(f"PyNaCl could not be installed in {STEP_SECONDS_MAX} seconds; run: {WAYS_OUT}") from None
    if done.returncode:
        last = next((line.strip() for line in reversed(done.stdout.splitlines()) if line.strip()), f"exit code {done.returncode}")
        raise Unusable("PyNaCl could not be installed: no network, or nothing ready-built for this machine "
                       f"({last[:200]}); run: {WAYS_OUT}")


def _again(data: str) -> None:
    """This process runs the same command with the private environment's Python; its id stays the same."""
    os.execv(_python(os.path.join(data, PRIVATE)), [_python(os.path.join(data, PRIVATE)), *sys.orig_argv[1:]])
