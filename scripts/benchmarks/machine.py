"""What is measured with: programs pinned to processors, load by wrk, and the system's own accounting."""

from __future__ import annotations

import os
import re
import select
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
PEERS = Path(__file__).resolve().parent / "peers"
SERVER_CPU, LOAD_CPU = "0", "1"
PEER_PACKAGES = ("fastapi", "uvicorn[standard]", "pynacl", "cbor2")


class Missing(Exception):
    """What a row needs is not on this machine; the row is left out and says so."""


class Process:
    """A contender, running; `stop` ends it."""

    def __init__(self, command: Sequence[str], port: int, environment: Mapping[str, str] | None = None,
                 folder: Path | None = None, pinned: bool = True) -> None:
        self.port = port
        self.command = (["taskset", "-c", SERVER_CPU] if pinned and shutil.which("taskset") else []) + list(command)
        clean = {name: text for name, text in os.environ.items() if name not in ("PYTHONDONTWRITEBYTECODE", "PYTHONUNBUFFERED")}
        self.started = time.perf_counter()
        self.child = subprocess.Popen(self.command, env={**clean, **(environment or {})}, cwd=folder or ROOT,
                                      stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def until_answers(self, path: str = "/", seconds: float = 30.0) -> float:
        """Seconds from the start to the first answer, on fresh connections."""
        request = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n".encode()
        while time.perf_counter() - self.started < seconds:
            if self.child.poll() is not None:
                raise Missing(f"{self.command[-1]} ended with {self.child.returncode}")
            try:
                with socket.create_connection(("127.0.0.1", self.port), 1) as sock:
                    sock.sendall(request)
                    if sock.recv(16).startswith(b"HTTP/1.1 2"):
                        return time.perf_counter() - self.started
            except OSError:
                pass
            time.sleep(0.0005)
        raise Missing(f"{self.command[-1]} did not answer")

    def family(self) -> list[int]:
        """The process and its children."""
        pids, found = [self.child.pid], []
        while pids:
            pid = pids.pop()
            found.append(pid)
            try:
                for task in os.listdir(f"/proc/{pid}/task"):
                    pids += [int(child) for child in Path(f"/proc/{pid}/task/{task}/children").read_text().split()]
            except OSError:
                pass
        return found

    def cpu_seconds(self) -> float:
        ticks = 0
        for pid in self.family():
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            ticks += int(fields[11]) + int(fields[12])
        return ticks / os.sysconf("SC_CLK_TCK")

    def resident_kib(self) -> int:
        total = 0
        for pid in self.family():
            match = re.search(r"^Rss:\s+(\d+)", Path(f"/proc/{pid}/smaps_rollup").read_text(), re.M)
            total += int(match[1]) if match else 0
        return total

    def stop(self) -> None:
        self.child.send_signal(signal.SIGTERM)
        try:
            self.child.wait(10)
        except subprocess.TimeoutExpired:
            self.child.kill()
            self.child.wait()


class Load:
    """What wrk says of one run."""

    def __init__(self, text: str, cpu_seconds: float) -> None:
        requests = re.search(r"(\d+) requests in", text)
        rate = re.search(r"Requests/sec:\s+([\d.]+)", text)
        self.requests = int(requests[1]) if requests else 0
        self.rate = float(rate[1]) if rate else 0.0
        self.p99_ms = _milliseconds(re.search(r"99%\s+([\d.]+)(us|ms|s)", text))
        self.max_ms = _milliseconds(re.search(r"Latency\s+\S+\s+\S+\s+([\d.]+)(us|ms|s)", text))
        self.failed = sum(int(number) for number in re.findall(r"Non-2xx or 3xx responses: (\d+)", text))
        self.cpu_us = cpu_seconds * 1e6 / self.requests if self.requests else 0.0


def _milliseconds(found: re.Match[str] | None) -> float:
    return float(found[1]) * {"us": 0.001, "ms": 1.0, "s": 1000.0}[found[2]] if found else 0.0


def wrk(process: Process, path: str, *, clients: int = 32, seconds: float = 2.0, script: str = "", headers: Sequence[str] = (),
        arguments: Sequence[str] = ()) -> Load:
    """One run of load against a contender."""
    if not shutil.which("wrk"):
        raise Missing("the program wrk")
    command = ["taskset", "-c", LOAD_CPU] if shutil.which("taskset") else []
    command += ["wrk", "-t1", f"-c{clients}", f"-d{max(1, round(seconds))}s", "--latency", "--timeout", "30s"]
    command += [part for header in headers for part in ("-H", header)] + (["-s", script] if script else [])
    before = process.cpu_seconds()
    command += [f"http://127.0.0.1:{process.port}{path}", *(["--", *arguments] if arguments else [])]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return Load(done.stdout, process.cpu_seconds() - before)


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def node(folder: Path, *flags: str, environment: Mapping[str, str] | None = None, pinned: bool = True) -> Process:
    """The product, as shipped, on its own state folder; with the same Python environment as its peers."""
    port = free_port()
    command = [peer_python(), str(ROOT / "ocp.py"), "--data-dir", str(folder), "--port", str(port), "--workers", "0", *flags]
    return Process(command, port, environment, pinned=pinned)


def peer_python() -> str:
    """A Python that has the peers' packages; made once beside the checkout."""
    place = ROOT / ".bench-env"
    python = place / "bin" / "python"
    if not (place / "installed").exists():
        print("bench: installing the peers' packages once", flush=True)
        subprocess.run([sys.executable, "-m", "venv", str(place)], check=True)
        pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        done = subprocess.run([*pip, *PEER_PACKAGES], check=False)
        if done.returncode:
            raise Missing("the peers' packages (" + ", ".join(PEER_PACKAGES) + ")")
        (place / "installed").write_text("\n")
    return str(python)


def uvicorn(app: str, folder: Path, environment: Mapping[str, str] | None = None) -> Process:
    """`fastapi_app` or `asgi_app` under uvicorn with uvloop and httptools."""
    port = free_port()
    command = [peer_python(), "-m", "uvicorn", f"benchmarks.peers.{app}:app", "--host", "127.0.0.1", "--port", str(port),
               "--no-access-log", "--log-level", "warning", "--backlog", "4096"]
    return Process(command, port, {"BENCH_DB": str(folder / f"{app}.db"), **(environment or {})}, folder=ROOT / "scripts")


def nginx(folder: Path, constant: str, file_bytes: bytes) -> Process:
    """nginx with one worker: `/constant` from its configuration, `/file` from a file."""
    if not shutil.which("nginx"):
        raise Missing("the program nginx")
    port = free_port()
    (folder / "www").mkdir(exist_ok=True)
    (folder / "www" / "file").write_bytes(file_bytes)
    (folder / "nginx.conf").write_text(
        f"worker_processes 1; daemon off; pid {folder}/nginx.pid; error_log {folder}/nginx.err; user root;\n"
        "events { worker_connections 4096; }\n"
        "http { access_log off; keepalive_requests 1000000000; sendfile on; default_type application/json;\n"
        + "".join(f"{kind}_temp_path {folder};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        + f"server {{ listen 127.0.0.1:{port} backlog=4096; root {folder}/www;"
        f"location = /constant {{ return 200 '{constant}'; }} }} }}\n")
    return Process(["nginx", "-c", str(folder / "nginx.conf")], port)


def slow_sync(folder: Path, microseconds: int) -> dict[str, str]:
    """The environment in which every sync takes so much longer."""
    if not shutil.which("gcc"):
        raise Missing("the program gcc")
    library = folder / "slow_sync.so"
    subprocess.run(["gcc", "-shared", "-fPIC", "-O2", "-o", str(library), str(PEERS / "slow_sync.c"), "-ldl"], check=True)
    return {"LD_PRELOAD": str(library), "SLOWSYNC_US": str(microseconds)}


def open_many(port: int, count: int) -> list[socket.socket]:
    """So many connections that say nothing."""
    import resource
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < count + 200:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, count + 1000), hard))
    return [socket.create_connection(("127.0.0.1", port), 10) for _ in range(count)]


def burst(port: int, count: int, path: str) -> float:
    """Seconds until the last of `count` callers, who all connect at one instant, has its answer."""
    request = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode()
    poll, waiting = select.epoll(), {}
    began = time.perf_counter()
    for _ in range(count):
        sock = socket.socket()
        sock.setblocking(False)
        try:
            sock.connect(("127.0.0.1", port))
        except BlockingIOError:
            pass
        waiting[sock.fileno()] = sock
        poll.register(sock.fileno(), select.EPOLLOUT)
    while waiting and time.perf_counter() - began < 60:
        for number, mask in poll.poll(1.0):
            sock = waiting[number]
            if mask & select.EPOLLOUT:
                sock.send(request)
                poll.modify(number, select.EPOLLIN)
            elif mask & select.EPOLLIN and sock.recv(65536):
                poll.unregister(number)
                waiting.pop(number).close()
    return time.perf_counter() - began
