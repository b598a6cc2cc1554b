"""What is sealed with the node's secret key: from the one key in the file follows one for each purpose and name."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING

from ...crypto import boxes

if TYPE_CHECKING:
    from ...base.ids import Ids

SECRET, DIGEST, JOB = "ocp-secret-v1", "ocp-digest-v1", "ocp-job-secret-v1"


class Keyring:
    """Seals, opens and digests.  The key is read, or made, when first needed; not on the loop for the first time."""

    def __init__(self, path: Path, ids: Ids) -> None:
        self.path = path
        self._ids = ids
        self._key = b""
        self._lock = threading.Lock()

    def load(self) -> None:
        """The key that must be there is there.  `Unusable` otherwise."""
        with self._lock:
            self._key = self._key or boxes.load_key(self.path)

    def _master(self) -> bytes:
        with self._lock:
            self._key = self._key or boxes.load_or_make_key(self.path, self._ids)
            return self._key

    def seal(self, value: str, label: str, *names: str) -> str:
        """The value as a database may hold it; it opens only for the same purpose and names."""
        return boxes.seal_text(boxes.derive(self._master(), label, *names), value, self._ids)

    def open(self, sealed: str, label: str, *names: str) -> str:
        """The value that was sealed; `CannotOpen` for another key, purpose or name, and for changed text."""
        return boxes.open_text(boxes.derive(self._master(), label, *names), sealed)

    def digest(self, value: str, *names: str) -> str:
        """A digest that says nothing to who lacks the key: equal for equal values of the same name; "" for an empty value."""
        return boxes.keyed_digest(boxes.derive(self._master(), DIGEST, *names), value.encode()) if value else ""
