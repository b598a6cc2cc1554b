"""Reads other directories' feeds into this one.

Nothing in a page is believed: each artifact passes the admission that a `PUT` passes, so a directory that lies can hide
nodes but not forge or roll back one.  Directories that read each other come to rest, because numbers only rise.  One ticker for
each directory, so that a dead one delays nobody.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ...base.clock import instant_text
from ...base.errors import Malformed, Refusal
from ...http.calls import Answer, OutboundError
from .. import artifact
from .. import rules as directory_rules
from .. import table as directory_table
from ..admission import Admission
from ..artifact import MICROSECONDS, Advertisement
from . import rules, table

if TYPE_CHECKING:
    from ...core import Core, Rooms
    from ...store.writer import WriteConnection

FETCH_SECONDS = 30.0
UPSTREAMS_MAX = 32


def build(core: Core, rooms: Rooms) -> Mirror:
    """The mirror of this node; a ticker for every directory that is configured to be read."""
    settings = core.settings
    room = Mirror(core, rooms["directory"].admission, lambda: rooms["directory.revocations"])
    for url in dict.fromkeys((*settings.directory_upstreams, *(settings.directory_read_from or settings.directory_publish_to))):
        every = settings.directory_mirror_seconds if url in settings.directory_upstreams else settings.directory_read_seconds
        room.add(url, every)
    return room


REVOCATIONS = "#revocations"              # after the URL of a directory: where this node stands in its other feed
UNSUPPORTED = frozenset({400, 404, 405, 410, 501})


class Mirror:
    """The directories that this node reads."""

    def __init__(self, core: Core, admission: Admission, revocations: Callable[[], Any]) -> None:
        self._core = core
        self.admission = admission
        self._revocations = revocations
        self.upstreams: dict[str, Upstream] = {}

    def add(self, url: str, every_seconds: float) -> Upstream:
        """The directory at `url` is read from now on."""
        url = url.rstrip("/")
        known = self.upstreams.get(url)
        if known is None and len(self.upstreams) < UPSTREAMS_MAX:
            known = self.upstreams[url] = Upstream(self._core, self.admission, url, every_seconds, self._revocations)
            self._core.tickers.add(f"directory-mirror-{len(self.upstreams)}", known.step)
        if known is None:
            raise Refusal("directory-full", "too many directories to read")
        return known

    def figures(self) -> list[dict[str, Any]]:
        """Every directory that is read, and how it goes."""
        return [upstream.figures() for upstream in self.upstreams.values()]


class Upstream:
    """One directory that is read."""

    def __init__(self, core: Core, admission: Admission, url: str, every_seconds: float,
                 revocations: Callable[[], Any] | None = None) -> None:
        self.url = url
        self._revocations = revocations
        self.every_seconds = every_seconds
        self._core = core
        self._admission = admission
        self.failures = 0                 # in a row
        self.error = ""
        self.read_at = 0.0                # when it last answered as it should
        self.counts = {"pages": 0, "stored": 0, "known": 0, "refused": 0}

    def figures(self) -> dict[str, Any]:
        with self._core.reader.snapshot() as connection:
            stand = table.upstream(connection, self.url)
        return {"url": self.url, "cursor": stand.cursor, "read": instant_text(self.read_at) if self.read_at else "",
                "failures": self.failures, "error": self.error, **self.counts}

    def step(self) -> float:
        """The feed has been read to its end, or for as long as one step lasts.  Gives the seconds until the next look."""
        before = self.counts["stored"]
        try:
            more = all(self.pull() for _ in range(rules.PAGES_PER_STEP))
            if self._revocations is not None:
                all(self.pull_revocations() for _ in range(rules.PAGES_PER_STEP))
        except OutboundError as fault:
            return self._failed(fault.message, fault.answer)
        except rules.BadPage as fault:
            return self._failed(str(fault), None)
        self.failures, self.error, self.read_at = 0, "", self._core.clock.time()
        if more and self.counts["stored"] > before:
            return 0.0
        return rules.pause_seconds(self.every_seconds, self._chance())

    def _failed(self, error: str, answer: Answer | None) -> float:
        self.failures += 1
        if error != self.error:
            self._core.log.warning("directory.mirror_failed", url=self.url, error=error, failures=self.failures)
        self.error = error
        return rules.back_off_seconds(self.failures, answer.headers if answer is not None else {}, self._chance())

    def _chance(self) -> float:
        return int.from_bytes(self._core.ids.bytes(4), "big") / 2**32

    def pull(self) -> bool:
        """One page has been read, and stored together with the cursor behind it.  Says whether there may be more."""
        with self._core.reader.snapshot() as connection:
            stand = table.upstream(connection, self.url)
        anew = 0 < stand.rescan_us <= self._admission.now_us()
        cursor = "" if anew else stand.cursor
        batch = self._batch(self._ask("/adv", cursor))
        self.counts["pages"] += 1
        if batch.items or anew or batch.next != cursor:
            self._store(batch, 0 if anew else stand.rescan_us)
        return batch.next != cursor

    def pull_revocations(self) -> bool:
        """One page of what was revoked there counts here too: a revocation is never taken back, so more of them is always safe.

        A directory without a catalogue is fine.  Says whether there may be more.
        """
        place = self.url + REVOCATIONS
        with self._core.reader.snapshot() as connection:
            stand = table.upstream(connection, place)
        try:
            batch = self._batch(self._ask("/revocations", stand.cursor))
        except OutboundError as fault:
            if fault.answer is not None and fault.answer.status in UNSUPPORTED:
                return False
            raise
        if batch.items or batch.next != stand.cursor:
            self._store_revocations(batch, place)
        return batch.next != stand.cursor

    def _store_revocations(self, batch: rules.Batch, place: str) -> None:
        room, now_us = self._revocations() if self._revocations else None, self._admission.now_us()
        assert room is not None
        checked = [found for found in map(room.mirrored, batch.items) if found is not None]

        def change(connection: WriteConnection) -> int:
            table.stand(connection, place, batch.next, now_us, 0)
            return sum(store(connection) for store in checked)

        self.counts["revoked"] = self.counts.get("revoked", 0) + self._core.writer.run(change)
        self.counts["refused"] += len(batch.items) - len(checked)

    def _ask(self, path: str, cursor: str) -> Answer:
        from urllib.parse import quote
        answer = self._core.outbound.request("GET", f"{self.url}{path}?limit=100&since={quote(cursor, safe=':')}",
                                             timeout=FETCH_SECONDS, bytes_max=rules.PAGE_BYTES_MAX, allow_loopback=True,
                                             headers=(("Accept", "application/json"),))
        if not answer.good and answer.status != 410:
            raise OutboundError("status", f"the directory answered {answer.status}", answer)
        return answer

    def _batch(self, answer: Answer) -> rules.Batch:
        if answer.status == 410:          # our cursor is unknown there: the answer says where to begin
            try:
                return rules.Batch([], rules.cursor_of(artifact.parse(answer.body).get("next")))
            except Malformed:
                raise rules.BadPage("the directory forgot our cursor and names no other") from None
        return rules.batch(answer.body)

    def _store(self, batch: rules.Batch, rescan_us: int) -> None:
        """Everything new in the page, what was seen there, and the cursor, in one change."""
        admission, now_us = self._admission, self._admission.now_us()
        seen, newer, passing = self._sift(batch)

        def change(connection: WriteConnection) -> int:
            stored, later = 0, passing
            for submitted in newer:
                try:
                    admission.change(submitted, "", self.url)(connection)      # it refuses before anything is written
                    stored += 1
                except Refusal as refusal:
                    later = later or refusal.code in rules.PASSING
            table.saw(connection, self.url, seen, now_us)
            due = rescan_us or (now_us + int(rules.RESCAN_SECONDS * MICROSECONDS) if later else 0)
            table.stand(connection, self.url, batch.next, now_us, due)
            return stored

        stored = self._core.writer.run(change)
        self.counts["stored"] += stored
        self.counts["refused"] += len(newer) - stored

    def _sift(self, batch: rules.Batch) -> tuple[list[tuple[str, int]], list[Advertisement], bool]:
        """What the page truly lists, what of it is new here and verified, and whether something may be welcome later.

        What we have already, or newer than this, is not verified again: it would change nothing.
        """
        seen: list[tuple[str, int]] = []
        newer: list[Advertisement] = []
        passing = False
        with self._core.reader.snapshot() as connection:
            for item in batch.items:
                try:
                    submitted = artifact.of(item, self._admission.policy.shape)
                    how = directory_rules.match(submitted, directory_table.known(connection, submitted.node_id))
                    if how in ("newer", "different"):
                        newer.append(self._admission.checked(submitted))
                    else:
                        self.counts["known"] += 1
                    if how != "older":
                        seen.append((submitted.node_id, submitted.sequence_no))
                except Refusal as refusal:
                    passing = passing or refusal.code in rules.PASSING
                    self.counts["refused"] += 1
                except Malformed:
                    self.counts["refused"] += 1
        return seen, newer, passing
