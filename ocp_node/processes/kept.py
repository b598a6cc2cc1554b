"""Output kept in memory: bounded, whatever comes."""

from __future__ import annotations

from .rules import cut_marker, first_character, whole_characters


class Kept:
    """The first bytes of a stream, or its first and last; `came` counts all of them."""

    __slots__ = ("came", "_head", "_tail", "_head_max", "_tail_max")

    def __init__(self, bytes_max: int, keep: str) -> None:
        self.came = 0
        self._head_max = bytes_max if keep == "head" else bytes_max // 2
        self._tail_max = bytes_max - self._head_max
        self._head = bytearray()
        self._tail = bytearray()

    def put(self, data: bytes) -> None:
        """`data` is kept as far as the bounds allow."""
        self.came += len(data)
        room = self._head_max - len(self._head)
        if room > 0:
            self._head += data[:room]
            data = data[room:]
        if data and self._tail_max:
            self._tail += data[-self._tail_max:]
            del self._tail[:-self._tail_max]

    @property
    def truncated(self) -> bool:
        """Not all that came is kept."""
        return self.came > len(self._head) + len(self._tail)

    def value(self) -> bytes:
        """What is kept, never more than the bound; where something is missing a line says how much, and no character is cut."""
        if not self.truncated:
            return bytes(self._head + self._tail)
        if not self._tail_max:
            return bytes(self._head[:whole_characters(bytes(self._head[-4:])) + max(0, len(self._head) - 4)])
        room = len(cut_marker(self.came))
        head = bytes(self._head[:max(0, self._head_max - room)])
        head = head[:max(0, len(head) - 4) + whole_characters(head[-4:])]
        tail = bytes(self._tail)
        tail = tail[first_character(tail):]
        return head + cut_marker(self.came - len(head) - len(tail)) + tail

    def close(self) -> None:
        """Nothing is held but the bytes."""
