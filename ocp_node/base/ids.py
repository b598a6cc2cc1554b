"""Names come from here and are passed in, so that a test can foresee them."""

from __future__ import annotations

import os


class Ids:
    """Random names from the system's generator."""

    def bytes(self, count: int) -> bytes:
        return os.urandom(count)

    def hex(self, digits: int = 32) -> str:
        return self.bytes((digits + 1) // 2).hex()[:digits]

    def uuid(self) -> str:
        """A version 4 UUID with dashes (RFC 9562 section 5.4)."""
        raw = bytearray(self.bytes(16))
        raw[6] = raw[6] & 0x0F | 0x40
        raw[8] = raw[8] & 0x3F | 0x80
        text = raw.hex()
        return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


class CountedIds(Ids):
    """Foreseeable names for tests: the n-th draw holds n in every byte group."""

    def __init__(self) -> None:
        self.drawn = 0

    def bytes(self, count: int) -> bytes:
        self.drawn += 1
        return self.drawn.to_bytes(count, "big")
