"""Makes a child: its descriptors, its user.  The only place that starts a program for others (`program.py` for ourselves)."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

from . import orphans, rules
from .records import Output, Start

if TYPE_CHECKING:
    from .marks import Marks


class Account(NamedTuple):
    """As whom a child runs."""
    user_id: int
    group_id: int
    groups: tuple[int, ...]
    home: str


def account(name: str) -> Account | None:
    """The account of that name; None for the node's own.  Root is root under its own name only."""
    if not name:
        return None
    import pwd
    try:
        found = pwd.getpwnam(name)
    except (KeyError, ValueError, UnicodeError):
        raise rules.cannot_start("no_such_user", f"user {name} does not exist") from None
    if found.pw_uid == 0 and name != "root":
        raise rules.cannot_start("user_is_root", f"exec_user {name} resolved to root (uid=0), which is not permitted")
    if os.geteuid() != 0:
        if found.pw_uid == os.geteuid():
            return None
        raise rules.cannot_start("not_permitted", f"the node may not start programs as user {name}")
    return Account(found.pw_uid, found.pw_gid, tuple(os.getgrouplist(name, found.pw_gid)), found.pw_dir)


class Ends:
    """The descriptors of one start: `child` is given to it and closed here once it runs, `kept` is read by the loop."""

    __slots__ = ("stdin", "stdout", "stderr", "child", "kept", "pipe")

    def __init__(self) -> None:
        self.stdin = self.stdout = self.stderr = -3          # subprocess.DEVNULL
        self.child: list[int] = []
        self.kept: list[tuple[str, int]] = []
        self.pipe = ""

    def add_stdin(self, data: bytes) -> None:
        """The child reads `data` and then the end, however slowly it reads: it is given a file, not a pipe."""
        if data:
            self.stdin = _filled(data)
            self.child.append(self.stdin)

    def add_stdout(self, output: Output, listened: bool) -> None:
        """Output has a way to the loop, if anyone wants it."""
        if output.kind == "file":
            self.stdout = self._named_pipe(orphans.pipe_path(output.path))
            self.stderr = -2                                 # subprocess.STDOUT: write order is kept
        elif output.kind == "memory" or listened:
            self.stdout = self._pipe("stdout")
            self.stderr = -2 if output.merged else self._pipe("stderr")

    def give_to(self, who: Account | None) -> None:
        """The child may open its own output again by name (`/dev/stderr`) when it runs as somebody else."""
        for _, descriptor in self.kept if who is not None else ():
            with contextlib.suppress(OSError):
                os.fchown(descriptor, who.user_id if who else -1, -1)

    def _pipe(self, stream: str) -> int:
        ours, theirs = os.pipe()
        os.set_blocking(ours, False)
        self.kept.append((stream, ours))
        self.child.append(theirs)
        return theirs

    def _named_pipe(self, path: str) -> int:
        """A pipe that the next node can open again.  The child holds both of its ends: while no node reads, it can write until
        the pipe is full, then waits, and is never ended by SIGPIPE.  A folder that holds no pipes gets an ordinary one."""
        if orphans.held(path):
            raise rules.cannot_start("still_running", "an earlier run that writes to the same file is still running")
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
        try:
            os.mkfifo(path, 0o600)
        except PermissionError:
            if not os.access(os.path.dirname(path) or ".", os.W_OK | os.X_OK):
                raise
            return self._pipe("stdout")
        self.pipe = path
        self.kept.append(("stdout", open_again(path)))
        theirs = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
        self.child.append(theirs)
        return theirs

    def close_child(self) -> None:
        """Only the child holds its ends, so that theirs is the end of the pipe."""
        for descriptor in self.child:
            os.close(descriptor)
        self.child.clear()

    def close(self) -> None:
        """Nothing is left open; there is no child."""
        self.close_child()
        for _, descriptor in self.kept:
            os.close(descriptor)
        self.kept.clear()
        if self.pipe:
            with contextlib.suppress(OSError):
                os.unlink(self.pipe)


def open_again(path: str) -> int:
    """The node's end of a named pipe."""
    return os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOFOLLOW)


def _filled(data: bytes) -> int:
    """A descriptor of a file without a name that holds `data`, at its start."""
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("stdin")
    else:
        import tempfile
        descriptor, name = tempfile.mkstemp()
        os.unlink(name)
    try:
        view = memoryview(data)
        while view:
            view = view[os.write(descriptor, view):]
        os.lseek(descriptor, 0, os.SEEK_SET)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def open_ends(start: Start, listened: bool, who: Account | None) -> Ends:
    """All descriptors of a start, or none and a `Refusal`."""
    if start.output.kind == "file" and not os.path.isabs(start.output.path):
        raise rules.cannot_start("no_output", "the output file is not named by its whole path")
    ends = Ends()
    try:
        ends.add_stdin(start.stdin)
        ends.add_stdout(start.output, listened)
        ends.give_to(who)
    except OSError as fault:
        ends.close()
        if start.output.kind == "file" and fault.errno not in (errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOSPC):
            raise rules.cannot_start("no_output", "the output file cannot be written") from None
        raise rules.start_fault(fault.errno, start.command[0]) from None
    except ValueError:                                       # a path with a NUL
        ends.close()
        raise rules.cannot_start("no_output", "the output file cannot be written") from None
    except BaseException:
        ends.close()
        raise
    return ends


def run(start: Start, ends: Ends, environment: Mapping[str, str], who: Account | None, marks: Marks,
        ulimits: str = "") -> tuple[int, int]:
    """The number of the new child, and its mark.  It leads a session and a group of its own.

    `ulimits` are shell commands that a shell runs before it becomes the program (`bounds.py` says when).
    The caller reaps the child: no `Popen` is kept, which would cost a kilobyte and a lock for each.
    """
    import subprocess
    cwd, command = start.cwd or "/", start.command
    if ulimits:
        _must_be_there(command[0], cwd, environment)
        command = ["/bin/sh", "-c", ulimits + 'exec "$@"', "sh", *command]
    try:
        with marks.lock:
            mark = marks.put_on(start.mark)
            try:
                made = subprocess.Popen(
                    command, stdin=ends.stdin, stdout=ends.stdout, stderr=ends.stderr, close_fds=True, cwd=cwd,
                    env=environment, start_new_session=True, umask=start.umask, user=who.user_id if who else None,
                    group=who.group_id if who else None, extra_groups=who.groups if who else None)
            finally:
                marks.take_off()
    except (OSError, ValueError, subprocess.SubprocessError) as fault:
        marks.arrived(mark)
        raise _refusal(fault, start.command[0], cwd, environment) from None
    made.returncode = 0               # tells Popen that there is nothing to wait for: the engine does
    return made.pid, mark


def _refusal(fault: Exception, program: str, cwd: str, environment: Mapping[str, str]) -> Exception:
    """What was missing: the folder, the program, or the interpreter that the program names."""
    if not isinstance(fault, OSError):
        return rules.start_fault(None, program)
    if fault.filename == cwd and not (os.path.isdir(cwd) and os.access(cwd, os.X_OK)):
        return rules.cannot_start("no_such_folder", f"working_directory {cwd} does not exist")
    refusal = rules.start_fault(fault.errno, program)
    if refusal.detail["why"] == "not_found" and _found(program, cwd, environment):
        return rules.cannot_start("unusable_format", f"command file {program} names an interpreter that does not exist")
    return refusal


def _found(program: str, cwd: str, environment: Mapping[str, str]) -> list[str]:
    """Where files of that name are."""
    folders = [""] if "/" in program else os.get_exec_path(environment)
    return [path for folder in folders if os.path.isfile(path := os.path.join(cwd, folder, program))]


def _must_be_there(program: str, cwd: str, environment: Mapping[str, str]) -> None:
    """A shell would only say 127, or 126: what a start can tell beforehand is told as for every other program."""
    if not os.path.isdir(cwd):
        raise rules.cannot_start("no_such_folder", f"working_directory {cwd} does not exist")
    paths = _found(program, cwd, environment)
    if not any(os.stat(path).st_mode & 0o111 for path in paths):
        raise rules.start_fault(errno.EACCES if paths or os.path.isdir(os.path.join(cwd, program)) else errno.ENOENT, program)
