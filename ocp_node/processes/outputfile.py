"""The output of one run in files, read by absolute position: position 0 is the run's first byte, and stays so.

The first file is `path` itself; when it is full the next is `path.<position of its first byte>`.  Names never change, so a
reader in another thread needs no lock.  A first file that was given up stays as an empty one: it says that others may exist.
"""

from __future__ import annotations

import contextlib
import errno
import os

from ..base.log import Log
from .rules import whole_characters

Segment = tuple[int, str]             # the position of its first byte, its path
READ_TRIES = 3                        # a file may be given up between looking and opening


class OutputFile:
    """What is kept of a run's output: bytes `start` to `end`."""

    __slots__ = ("path", "segments", "end")

    def __init__(self, path: str, segments: tuple[Segment, ...] = (), end: int = 0) -> None:
        self.path = path
        self.segments = segments
        self.end = end

    @classmethod
    def at(cls, path: str) -> OutputFile:
        """The output that stands at `path`, of a run that has ended or whose node has; empty when there is none."""
        sizes = {start: (name, size) for start, name in _found(path) if (size := _size(name)) is not None}
        if len(sizes) > 1 and sizes.get(0, ("", 1))[1] == 0:
            del sizes[0]
        segments = tuple((start, sizes[start][0]) for start in sorted(sizes))
        end = segments[-1][0] + sizes[segments[-1][0]][1] if segments else 0
        return cls(path, segments, end)

    @property
    def start(self) -> int:
        """The position of the first byte still kept."""
        return self.segments[0][0] if self.segments else 0

    def read(self, position: int, limit: int, whole_text: bool = False) -> tuple[bytes, int]:
        """Up to `limit` bytes from `position`, and the position after them.

        Bytes no longer kept are passed over.  `whole_text` gives a few bytes less rather than cut a UTF-8 character.
        """
        parts: list[bytes] = []
        position, left, tries = max(0, position), limit, READ_TRIES
        while left > 0 and position < self.end and tries:
            at, data = self._part(max(position, self.start), left)
            if not data or (parts and at != position):         # given up meanwhile: what came before is not glued to what follows
                tries -= 1
                if parts:
                    break
                continue
            parts.append(data)
            position, left = at + len(data), left - len(data)
        joined = b"".join(parts)
        short = len(joined) - whole_characters(joined) if whole_text and position < self.end else 0
        return (joined[:-short], position - short) if 0 < short < len(joined) else (joined, position)

    def _part(self, position: int, limit: int) -> tuple[int, bytes]:
        """Bytes of the one file that holds `position`; none when it has just been given up."""
        segments = self.segments
        index = max((i for i, segment in enumerate(segments) if segment[0] <= position), default=-1)
        if index < 0:
            return position, b""
        start, name = segments[index]
        stop = segments[index + 1][0] if index + 1 < len(segments) else self.end
        try:
            descriptor = os.open(name, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        except OSError:
            return position, b""
        try:
            return position, os.pread(descriptor, min(limit, stop - position), position - start)
        finally:
            os.close(descriptor)

    def remove(self) -> None:
        """Nothing is left of this output."""
        for _, name in _found(self.path):
            with contextlib.suppress(OSError):
                os.unlink(name)
        self.segments, self.end = (), 0


def _found(path: str) -> list[Segment]:
    """The files of an output, as the folder lists them."""
    folder, base = os.path.split(path)
    try:
        names = os.listdir(folder or ".")
    except OSError:
        return []
    found = [(0, path)] if base in names else []
    for name in names:
        start = name[len(base) + 1:]
        if name.startswith(base + ".") and start.isascii() and start.isdigit() and start[0] != "0":
            found.append((int(start), os.path.join(folder, name)))
    return found


def _size(name: str) -> int | None:
    try:
        return os.lstat(name).st_size
    except OSError:
        return None


class FileWriter:
    """Writes a run's output.  A disk that takes nothing stops nobody: what it refused is counted, and a line says so later."""

    __slots__ = ("file", "came", "lost", "_bytes_max", "_files_kept", "_descriptor", "_log", "_gap", "_closed")

    def __init__(self, file: OutputFile, bytes_max: int, files_kept: int, log: Log) -> None:
        self.file = file
        self.came = file.end
        self.lost = 0
        self._bytes_max = bytes_max
        self._files_kept = files_kept
        self._log = log
        self._descriptor = -1
        self._gap = 0
        self._closed = files_kept == 1 and file.end >= bytes_max

    @classmethod
    def fresh(cls, path: str, bytes_max: int, files_kept: int, log: Log) -> FileWriter:
        """For a new run: what an earlier one left at `path` is gone.  The file itself is made with the first byte."""
        if os.path.lexists(path):
            OutputFile(path).remove()
        return cls(OutputFile(path), bytes_max, files_kept, log)

    @property
    def truncated(self) -> bool:
        """Not all that came can be read."""
        return self._closed and self.came > self.file.end or self.lost > 0 or self.file.start > 0

    def put(self, data: bytes) -> None:
        """`data` stands in the file, or is counted as left out."""
        self.came += len(data)
        while data and not self._closed:
            room = self._room()
            if room <= 0 and self._next():
                continue
            taken = self._write(data[:room]) if room > 0 else 0
            if not taken:
                self._refused(len(data))
                return
            data = data[taken:]

    def close(self) -> None:
        """The file is as it stays."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _room(self) -> int:
        segments = self.file.segments
        return self._bytes_max - (self.file.end - segments[-1][0] if segments else 0)

    def _next(self) -> bool:
        """The next file is begun, or the only one is closed with a last line; False when there can be no next one now."""
        if self._files_kept == 1:
            self._write(b"\n[the output of a run is kept up to %d bytes; the rest was left out]\n" % self._bytes_max)
            self._closed = True
            self.close()
            return True
        before = self._descriptor
        if not self._begin(f"{self.file.path}.{self.file.end}"):
            return False
        if before >= 0:
            os.close(before)
        return True

    def _write(self, data: bytes) -> int:
        """How many bytes the disk took."""
        if self._descriptor < 0 and not self._open():
            return 0
        try:
            if self._gap:
                line = b"\n[%d bytes lost: they could not be written]\n" % self._gap
                self.file.end += os.write(self._descriptor, line)
                self._gap = 0
            taken = os.write(self._descriptor, data)
        except OSError as fault:
            self._warn(fault)
            return 0
        self.file.end += taken
        return taken

    def _open(self) -> bool:
        """The file at the end is open, after a start or an adoption."""
        if not self.file.segments:
            return self._begin(self.file.path)
        try:
            self._descriptor = os.open(self.file.segments[-1][1], os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW)
        except OSError as fault:
            self._warn(fault)
        return self._descriptor >= 0

    def _begin(self, name: str) -> bool:
        """A new file is open, and only as many as are kept exist."""
        try:
            descriptor = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        except OSError as fault:
            self._warn(fault)
            return False
        self._descriptor = descriptor
        segments = (*self.file.segments, (self.file.end, name))
        self.file.segments = segments[-self._files_kept:]
        for start, old in segments[:-self._files_kept]:
            with contextlib.suppress(OSError):
                os.truncate(old, 0) if start == 0 else os.unlink(old)
        return True

    def _refused(self, count: int) -> None:
        self.lost += count
        self._gap += count

    def _warn(self, fault: OSError) -> None:
        """Said once for each gap, not for each chunk."""
        if not self._gap:
            error = errno.errorcode.get(fault.errno or 0, "unknown")
            self._log.warning("processes.output_refused", path=self.file.path, error=error)
