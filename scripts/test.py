#!/usr/bin/env python3
"""Runs every test: `python3 scripts/test.py [pytest's arguments]`, for example `-k lease`, `tests/base`, `-n 2`.

The first run makes an environment of its own (`.test-env/` in the checkout, or in the cache folder where the checkout cannot be
written) and installs `tests/requirements.txt` there; a later one does so again only when that file or the Python has changed.
Without network it goes on with whatever pytest it finds.  The exit code is pytest's; no test found is a failure.
"""

import hashlib
import os
import shutil
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))
REQUIREMENTS = os.path.join(ROOT, "tests", "requirements.txt")
STAMP = "installed"
INSTALL = ["install", "--quiet", "--disable-pip-version-check", "--no-input", "--retries", "2"]


def main(argv: "list[str]") -> int:
    """pytest's exit code."""
    if sys.version_info < (3, 11):
        return fail("Python 3.11 or newer is needed, this is %s" % sys.version.split()[0])
    python = environment()
    if python is None:
        return fail("no pytest: the environment could not be made and this Python has none; run: pip install pytest pynacl")
    os.chdir(ROOT)
    return subprocess.run([python, "-m", "pytest", *argv], check=False).returncode


def say(text: str) -> None:
    """One line about what is being done."""
    print("scripts/test.py: " + text, flush=True)


def fail(text: str) -> int:
    """The line and the exit code of a run that could not begin."""
    say(text)
    return 1


def environment() -> "str | None":
    """A Python that has pytest: of the test environment, else this one."""
    folder = place()
    python, stamp = os.path.join(folder, "bin", "python"), os.path.join(folder, STAMP)
    if content(stamp) == fingerprint() and runs(python):
        return python
    fault = make(folder, python, stamp)
    if not fault:
        return python
    say("not everything could be installed (%s)" % fault)
    for found in (python, sys.executable):
        if runs(found):
            say("going on with the pytest of %s; tests that need more say so" % found)
            return found
    return None


def place() -> str:
    """Where the environment lives: in the checkout, else in the cache folder of this user, one for each checkout."""
    if os.access(ROOT, os.W_OK):
        return os.path.join(ROOT, ".test-env")
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return os.path.join(cache, "ocp-test-env", hashlib.sha256(ROOT.encode()).hexdigest()[:16])


def this_python() -> str:
    """Changes when the environment has to be made anew."""
    return "%s %s\n" % (sys.version.replace("\n", " "), os.path.realpath(sys.executable))


def fingerprint() -> str:
    """Changes also when something has to be installed."""
    with open(REQUIREMENTS, "rb") as file:
        return this_python() + hashlib.sha256(file.read()).hexdigest()


def content(path: str) -> str:
    """The text of a file, "" when there is none."""
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except OSError:
        return ""


def runs(python: str) -> bool:
    """Whether this Python starts and has pytest."""
    try:
        done = subprocess.run([python, "-c", "import pytest"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
        return done.returncode == 0
    except OSError:
        return False


def make(folder: str, python: str, stamp: str) -> str:
    """The environment with everything that tests need; what went wrong in one line, or ""."""
    with_pip = imports("ensurepip")
    if not content(stamp).startswith(this_python()) or not runs(python):
        say("making the test environment in %s, once" % folder)
        shutil.rmtree(folder, ignore_errors=True)
        fault = step([sys.executable, "-m", "venv", *([] if with_pip else ["--without-pip"]), folder])
        if fault:
            return fault
    if not with_pip and not imports("pip"):
        return "this Python has neither ensurepip nor pip; run: apt install python3-venv"
    say("installing tests/requirements.txt")
    pip = [python, "-m", "pip"] if with_pip else [sys.executable, "-m", "pip", "--python", python]
    fault = step([*pip, *INSTALL, "-r", REQUIREMENTS])
    fault = fault and one_by_one(pip, fault)
    with open(stamp, "w", encoding="utf-8") as file:
        file.write(this_python() if fault else fingerprint())
    return fault


def one_by_one(pip: "list[str]", fault: str) -> str:
    """What can be had is installed, so that one missing package does not take the others along."""
    with open(REQUIREMENTS, encoding="utf-8") as file:
        wanted = [line.partition("#")[0].strip() for line in file if line.partition("#")[0].strip()]
    if step([*pip, *INSTALL, wanted[0]]):
        return fault
    missing = [line for line in wanted[1:] if step([*pip, *INSTALL, line])]
    return "missing: " + ", ".join(missing) if missing else ""


def imports(module: str) -> bool:
    """Whether this Python has the module."""
    import importlib.util
    return importlib.util.find_spec(module) is not None


def step(command: "list[str]") -> str:
    """The command has been run; the last thing it said when it failed, or ""."""
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              errors="replace", check=False)
    except OSError as fault:
        return str(fault.strerror)
    lines = [line.strip() for line in done.stdout.splitlines() if line.strip()]
    return (lines[-1][:300] if lines else "exit code %d" % done.returncode) if done.returncode else ""


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
