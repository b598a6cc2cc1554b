"""Reading what an application printed, by position, waiting for its end when asked to (App Mesh, output)."""

from __future__ import annotations

from typing import Any, NamedTuple

from ...base import jsontext
from ...base.errors import Refusal
from ...base.limits import WAIT_SECONDS_MAX
from ...contract.route import Reply
from . import program as programs
from . import rules
from .app import App

TEXT = "text/plain; charset=utf-8"
PAGE = "text/html; charset=utf-8"


class Asked(NamedTuple):
    """Which bytes are wanted."""
    position: int
    back: int
    size: int
    seconds: float
    process_uuid: str
    form: str                # "", "json" or "html"


def asked(query: Any) -> Asked:
    """The numbers of a query: negative ones are the default, odd sizes too."""
    size = _number(query.stdout_maxsize, rules.SIZE_MAX, "stdout_maxsize")
    return Asked(_number(query.stdout_position, 0, "stdout_position"), _number(query.stdout_index, 0, "stdout_index"),
                 size if rules.SIZE_MIN <= size <= rules.SIZE_MAX else rules.SIZE_MAX,
                 min(_number(query.timeout, 0, "timeout"), WAIT_SECONDS_MAX), query.process_uuid,
                 "json" if query.json else "html" if query.html else "")


def _number(text: str, default: int, name: str) -> int:
    if not text:
        return default
    try:
        value = programs.duration(text)
    except Refusal:
        raise Refusal("invalid_request", f"invalid number for {name}") from None
    return value if value >= 0 else default


def reply(app: App, wanted: Asked) -> Reply:
    """The bytes as they stand now, the position after them, and the exit code once the present run has ended."""
    from ...processes.outputfile import OutputFile
    run = app.run
    if wanted.process_uuid and (run is None or run.id != wanted.process_uuid or wanted.back):
        raise Refusal("not_found", "No corresponding process running or the given process uuid is wrong")
    if wanted.back >= len(app.outputs):
        if wanted.back or wanted.position:
            raise Refusal("not_found", f"no such index <{wanted.back}> of stdout log file for {app.name}")
        return Reply(b"", 200, (("X-Output-Position", "0"), *ended(app, wanted)), TEXT)
    child = run.child if run is not None and not wanted.back else None
    file = child.output if child is not None and child.output is not None else OutputFile.at(app.outputs[wanted.back])
    if wanted.position > file.end:
        raise Refusal("invalid_request", f"Invalid position <{wanted.position}>, file size: <{file.end}>")
    data, after = file.read(wanted.position, wanted.size, whole_text=True)
    return Reply(_formed(data, wanted.form), 200, (("X-Output-Position", str(after)), *ended(app, wanted)),
                 PAGE if wanted.form == "html" else TEXT)


def ended(app: App, wanted: Asked) -> tuple[tuple[str, str], ...]:
    """The exit code, when this is the present run and it has one; not of an application that was disabled."""
    run = app.run
    if wanted.back or run is None or not run.ended or run.code is None or app.program.status == programs.DISABLED:
        return ()
    return (("X-Exit-Code", str(run.code)),)


def _formed(data: bytes, form: str) -> bytes:
    """The bytes as they are, as a list of lines, or as a page of them."""
    if not form:
        return data
    lines = data.decode("utf-8", "replace").splitlines()
    if form == "json":
        return jsontext.compact([{"index": number, "stdout": line} for number, line in enumerate(lines, 1)])
    from html import escape
    return ("<!DOCTYPE html><html><body>" + "".join(f"<pre>{escape(line)}</pre>" for line in lines) + "</body></html>").encode()
