"""`ocp.py directory`: dump, verify and load a seed directory, and see how it does."""

from __future__ import annotations

import argparse
import os
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from ..base.clock import Clock
from ..base.errors import Unusable
from ..base.ids import Ids
from ..base.log import silent
from ..base.settings import Settings
from ..directory import exchange
from ..directory.admission import Admission
from ..directory.rules import Policy
from ..http.outbound import Outbound, OutboundError
from ..store.reader import Reader
from . import arguments, node, outcome, output

LINE_BYTES_MAX = exchange.LINE_BYTES_MAX + 1


def run(argv: Sequence[str], environ: Mapping[str, str]) -> int:
    """0 when all went well, 1 when a dump is not whole or not true."""
    parser = arguments.Parser("directory",
                              description="Dumps, verifies and loads a seed directory as JSON lines, and shows how it does.",
                              examples=("directory export nodes.jsonl", "directory export - --from https://seed.example",
                                        "directory verify nodes.jsonl", "directory import nodes.jsonl --trusted",
                                        "directory import nodes.jsonl --to https://seed.example", "directory status --json"))
    parser.add_argument("action", choices=("export", "import", "verify", "status"))
    parser.add_argument("file", nargs="?", default="-", help="the dump; - is standard input or output (default)")
    parser.add_argument("--from", dest="source", default="", metavar="URL", help="export what this directory serves")
    parser.add_argument("--to", dest="target", default="", metavar="URL", help="import by publishing at this directory")
    parser.add_argument("--trusted", action="store_true", help="the dump is ours: take its high-water marks too")
    node.add_arguments(parser)
    own, settings = arguments.parse(parser, argv, environ)
    actions: Mapping[str, Callable[[argparse.Namespace, Settings], int]] = {
        "export": _export, "import": _import, "verify": _verify, "status": _status}
    try:
        return actions[own.action](own, settings)
    except OutboundError as fault:
        raise outcome.Unreachable(f"{own.source or own.target} does not answer: {fault.message}") from None


def _export(own: argparse.Namespace, settings: Settings) -> int:
    now = Clock().time()
    with _Output(own.file) as write:
        if own.source:
            report = exchange.fetch(_outbound(), own.source, now, write)
        else:
            reader = _reader(settings)
            try:
                report = exchange.dump(reader, now, write)
            finally:
                reader.close()
    return _told(own, report, to=sys.stderr if own.file == "-" else None)


def _verify(own: argparse.Namespace, settings: Settings) -> int:
    with _Input(own.file) as lines:
        return _told(own, exchange.verify(lines, Clock().time()))


def _import(own: argparse.Namespace, settings: Settings) -> int:
    with _Input(own.file) as lines:
        if own.target:
            return _told(own, exchange.send(lines, _outbound(), own.target, Clock(), threading.Event().wait))
        from ..store.opening import open_store
        clock = Clock()
        store = open_store(Path(settings.data_dir), clock, Ids(), silent(), lambda act: act(), database=Path(settings.db_path))
        try:
            admission = Admission(Policy(settings), clock, silent(), lambda stored: None)
            report = exchange.load(lines, store.writer, admission, trusted=own.trusted)
        finally:
            store.close()
    return _told(own, report)


def _status(own: argparse.Namespace, settings: Settings) -> int:
    """The running node's own word; what is on the disk when none runs."""
    asked = node.named(own, settings)
    try:
        answer = asked.ask("directory.status")
        shown: Any = answer.body
        running = answer.ok
    except outcome.Unreachable:
        if own.url:
            raise
        running, reader = False, _reader(settings)
        try:
            shown = exchange.figures(reader, Clock().time())
        finally:
            reader.close()
    if own.json:
        output.document({"running": running, **shown})
    else:
        output.columns([("running", "yes" if running else "no"), *_flat(shown, "")])
    return outcome.OK


def _flat(value: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, str]]:
    for name, member in value.items():
        if isinstance(member, dict):
            yield from _flat(member, f"{prefix}{name} ")
        elif isinstance(member, list) and member and isinstance(member[0], dict):
            for each in member:
                yield prefix + name, "  ".join(f"{key} {text}" for key, text in each.items() if text not in ("", None))
        else:
            yield prefix + name, " ".join(map(str, member)) if isinstance(member, list) else str(member)


def _reader(settings: Settings) -> Reader:
    path = Path(settings.db_path)
    if not path.exists():
        raise Unusable(f"there is no database at {path}; has a node run here?")
    return Reader(path)


def _outbound() -> Outbound:
    return Outbound(Clock(), silent(), user_agent="ocp")


def _told(own: argparse.Namespace, report: exchange.Report, to: Any = None) -> int:
    if own.json and to is None:
        output.document(report.document())
    else:
        for what, count in sorted(report.counts.items()):
            print(f"{count:>9}  {what}", file=to or sys.stdout)
        for line, reason in report.problems:
            print(f"ocp: line {line}: {output.clean(reason)}", file=sys.stderr)
        if not report.whole:
            print("ocp: the dump has no end line: it was cut off", file=sys.stderr)
    return outcome.OK if report.good else outcome.FAILED


class _Input:
    """The lines of a file or of standard input, none longer than a line may be."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._file: BinaryIO | None = None

    def __enter__(self) -> Iterator[bytes]:
        try:
            self._file = sys.stdin.buffer if self._name == "-" else open(self._name, "rb")
        except OSError as fault:
            raise Unusable(f"{self._name} cannot be read: {fault.strerror}") from None
        return iter(lambda: self._file.readline(LINE_BYTES_MAX), b"")  # type: ignore[union-attr]

    def __exit__(self, *_: object) -> None:
        if self._file is not None and self._name != "-":
            self._file.close()


class _Output:
    """A new file that is there whole or not at all, or standard output."""

    def __init__(self, name: str) -> None:
        self._path = None if name == "-" else Path(name)
        self._file: BinaryIO | None = None

    def __enter__(self) -> Callable[[bytes], object]:
        if self._path is None:
            return sys.stdout.buffer.write
        try:
            descriptor = os.open(self._path.with_name(self._path.name + ".part"),
                                 os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
        except OSError as fault:
            raise Unusable(f"{self._path} cannot be written: {fault.strerror}") from None
        self._file = os.fdopen(descriptor, "wb", 1 << 18)
        return self._file.write

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if self._path is None or self._file is None:
            sys.stdout.flush()
            return
        part = self._path.with_name(self._path.name + ".part")
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        if kind is None:
            os.replace(part, self._path)
        else:
            part.unlink()
