"""The kinds of failure a request can meet; each has one place that catches it (`http/app.py`).

`Malformed`: the bytes are not the record.  `Refusal`: an answer the protocol foresees.
Anything else that is raised is a fault: our bug or a broken disk, answered 500 without detail.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence


class Problem:
    """One wrong place in a document: where, which rule, and what the rule wanted."""

    __slots__ = ("path", "code", "expected", "actual")

    def __init__(self, path: tuple[str | int, ...], code: str, expected: str = "", actual: str = "") -> None:
        self.path = path
        self.code = code            # required type const enum pattern min-length max-length minimum maximum ...
        self.expected = expected    # for `type`: string integer number boolean object array; else the bound as text
        self.actual = actual        # for `type`: the same words and `null`; never the value itself

    def pointer(self) -> str:
        """The place as an RFC 6901 JSON pointer; the whole document is the empty text."""
        return "".join("/" + str(step).replace("~", "~0").replace("/", "~1") for step in self.path)

    def dotted(self) -> str:
        """The place as `$.a.list[0]`, the form of the mesh contract."""
        return "$" + "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in self.path)

    def __repr__(self) -> str:
        return f"Problem({self.pointer()!r}, {self.code!r}, {self.expected!r}, {self.actual!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Problem) and repr(self) == repr(other)

    def __hash__(self) -> int:
        return hash(repr(self))


class Malformed(Exception):
    """The input is not the record it should be.  `problems` names every wrong field at once.

    `code` is `invalid_json` when there was no document at all, else `invalid_request`.
    """

    def __init__(self, problems: Sequence[Problem] = (), code: str = "invalid_request", message: str = "") -> None:
        super().__init__(message or code)
        self.problems = tuple(problems)
        self.code = code
        self.message = message


class Refusal(Exception):
    """An answer the protocol foresees.

    `code` is the stable machine word of the surface (`not_found`, `stale-sequence`), `message` the text for people
    (the mesh's `error`, App Mesh's `message`), `detail` further members of the error body, `headers` such as `Retry-After`.
    The status is the route's or the surface's fact, never the rule's.
    """

    def __init__(self, code: str, message: str = "", detail: Mapping[str, object] | None = None,
                 headers: Sequence[tuple[str, str]] = ()) -> None:
        super().__init__(f"{code}: {message}" if message else code)
        self.code = code
        self.message = message
        self.detail = dict(detail or {})
        self.headers = tuple(headers)


class Busy(Refusal):
    """A bounded queue or pool is full; the caller should come back after `retry_after_seconds`."""

    def __init__(self, what: str, retry_after_seconds: int = 1) -> None:
        super().__init__("busy", f"{what} is busy", headers=(("Retry-After", str(retry_after_seconds)),))


class NotStored(Exception):
    """Changes could not be made durable (a full disk, a broken one): nothing of them is stored.  The cause says why."""


class Unusable(Exception):
    """The node cannot start or go on: one line that says what is wrong and what to do.  Nothing was overwritten."""
