"""How an artifact's content leaves the node: as JSON with base64 (OCP 0.1), or as the bytes themselves, whole or from a point on.

Whatever leaves was seen to have its digest.  Nothing here holds more than a piece of it in memory.
"""

from __future__ import annotations

import binascii
import os
import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from ...base import jsontext
from ...base.errors import Refusal
from ...contract.route import File, Headers, Reply
from .blobs import Blobs
from .rules import BYTES_TYPE

if TYPE_CHECKING:
    from ...base.clock import Clock

SMALL_BYTES = 262_144                # up to here an answer is made in memory, by any lane
PIECE_BYTES = 3 * 65_536             # whole groups of three, so that pieces of base64 join without padding
SEEN_SECONDS = 3_600.0               # a large file that has not changed is not read again for each part of it
SEEN_MAX = 256
_RANGE = re.compile(r"bytes=([0-9]{0,19})-([0-9]{0,19})")

Members = dict[str, Any]


class Delivery:
    """Opens contents, and remembers which large ones were read through lately."""

    def __init__(self, blobs: Blobs, clock: Clock) -> None:
        self._blobs = blobs
        self._clock = clock
        self._seen: dict[tuple[str, int, int, int], float] = {}

    def open(self, artifact: Mapping[str, Any]) -> int:
        """A descriptor of the content, at its start, which has its digest.  The caller closes it."""
        digest, size = artifact["digest"], artifact["size_bytes"]
        if size <= SMALL_BYTES:
            return self._blobs.verified(digest, size)
        descriptor = self._blobs.open(digest, size)
        try:
            if not self._seen_lately(digest, descriptor):
                self._blobs.check(descriptor, digest)
                self._note(digest, descriptor)
        except BaseException:
            os.close(descriptor)
            raise
        return descriptor

    def is_sound(self, artifact: Mapping[str, Any]) -> bool:
        """Is the content there, with its digest?"""
        try:
            os.close(self.open(artifact))
        except Refusal:
            return False
        return True

    def _seen_lately(self, digest: str, descriptor: int) -> bool:
        return self._clock.monotonic() - self._seen.get(_mark(digest, descriptor), -SEEN_SECONDS) < SEEN_SECONDS

    def _note(self, digest: str, descriptor: int) -> None:
        if len(self._seen) >= SEEN_MAX:
            self._seen.clear()
        self._seen[_mark(digest, descriptor)] = self._clock.monotonic()


def _mark(digest: str, descriptor: int) -> tuple[str, int, int, int]:
    """This very file in this very state: writing to it would change its times."""
    facts = os.fstat(descriptor)
    return digest, facts.st_ino, facts.st_mtime_ns, facts.st_ctime_ns


def json_reply(shown: Members, descriptor: int, size: int, headers: Headers = ()) -> Reply:
    """The artifact with its content as base64.  Takes the descriptor over."""
    if size > SMALL_BYTES:
        return Reply(_json_pieces(shown, descriptor), headers=headers)
    with os.fdopen(descriptor, "rb") as file:
        return Reply({**shown, "content_base64": binascii.b2a_base64(file.read(size), newline=False).decode("ascii")}, headers=headers)


def _json_pieces(shown: Members, descriptor: int) -> Iterator[bytes]:
    with os.fdopen(descriptor, "rb") as file:
        yield jsontext.ascii_text(shown).encode()[:-1] + b',"content_base64":"'
        while piece := file.read(PIECE_BYTES):
            yield binascii.b2a_base64(piece, newline=False)
        yield b'"}'


def raw_reply(artifact: Mapping[str, Any], descriptor: int, headers: Mapping[str, str], more: Headers = ()) -> Reply:
    """The bytes, or the part of them that is asked for (RFC 9110 section 14).  Takes the descriptor over.

    Always as plain bytes to be saved: a page that somebody published must not run in the name of this node.
    """
    size, tag = artifact["size_bytes"], f'"sha256:{artifact["digest"]}"'
    named = [("ETag", tag), ("Accept-Ranges", "bytes"), ("X-OCP-Artifact-Digest", f"sha256:{artifact['digest']}"),
             ("Content-Disposition", "attachment"), ("Cache-Control", "private, no-cache"), ("Vary", "Accept"), *more]
    if artifact["media_type"].isascii():
        named.append(("X-OCP-Artifact-Media-Type", artifact["media_type"]))
    if tag in [each.strip() for each in headers.get("if-none-match", "").split(",")]:
        os.close(descriptor)
        return Reply(None, 304, named)
    part = asked_part(headers.get("range", ""), size) if headers.get("if-range", tag) == tag else None
    if part is None:
        return Reply(_bytes(descriptor, 0, size), 200, named, BYTES_TYPE)
    if not part:
        os.close(descriptor)
        raise Refusal("range_not_satisfiable", "the artifact has no such bytes", headers=(("Content-Range", f"bytes */{size}"),))
    start, stop = part
    return Reply(_bytes(descriptor, start, stop), 206, (*named, ("Content-Range", f"bytes {start}-{stop - 1}/{size}")), BYTES_TYPE)


def _bytes(descriptor: int, start: int, stop: int) -> File | bytes:
    """The part, for the kernel to send, or at once when it is small.  Takes the descriptor over."""
    if stop - start > SMALL_BYTES:
        return File(descriptor, start, stop)
    with os.fdopen(descriptor, "rb") as file:
        file.seek(start)
        return file.read(stop - start)


def asked_part(header: str, size: int) -> tuple[int, int] | tuple[()] | None:
    """Start and end (exclusive) of the bytes a Range header asks for; () when there are none such; None: all of them.

    A header that is no single range of bytes counts as absent, as RFC 9110 has it.
    """
    found = _RANGE.fullmatch(header.replace(" ", ""))
    if found is None or found[0] == "bytes=-":
        return None
    first, last = found.groups()
    if not first:
        count = min(int(last), size)
        return (size - count, size) if count else ()
    if last and int(last) < int(first):
        return None
    return (int(first), min(int(last) + 1 if last else size, size)) if int(first) < size else ()


def wants_bytes(headers: Mapping[str, str]) -> bool:
    """Does the caller name plain bytes as what it takes?"""
    kinds = [each.partition(";") for each in headers.get("accept", "").lower().split(",")]
    return any(kind.strip() == BYTES_TYPE and "q=0" not in rest.replace(" ", "").split(";") for kind, _, rest in kinds)
