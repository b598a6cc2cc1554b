"""Publishes this node's own advertisement at the configured directories, and in its own.

The number is on the disk before any directory hears of it, so two artifacts can never bear the same one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ...base import jsontext
from ...base.errors import Malformed, Refusal
from ...crypto import node_did
from ...http.calls import OutboundError
from .. import artifact
from ..artifact import MICROSECONDS
from ..succession import table as successions
from . import rules, table
from .table import Own

if TYPE_CHECKING:
    from ...core import Core, Rooms
    from ..admission import Admission

PUT_SECONDS = 20.0
ANSWER_BYTES_MAX = 65_536
ROTATED = "mesh.identity.rotated"
IDLE_SECONDS = 300.0              # between two looks at whether there is an endpoint to advertise


def build(core: Core, rooms: Rooms) -> Publisher:
    """The publisher, with its ticker."""
    room = Publisher(core, rooms["directory"].admission)
    if room.targets:
        ticker = core.tickers.add("directory-publisher", room.step)
        core.feed.listen(lambda events: ticker.wake() if any(event.event_type == ROTATED for event in events) else None)
    return room


class Target:
    """One directory, and how far it got."""

    __slots__ = ("url", "sequence_no", "failures", "error", "due", "stored_at")

    def __init__(self, url: str) -> None:
        self.url = url
        self.sequence_no = -1         # the newest that is stored there
        self.failures = 0
        self.error = ""
        self.due = 0.0                # on the steady clock
        self.stored_at = 0.0

    def figures(self) -> dict[str, Any]:
        return {"url": self.url, "sequence-no": self.sequence_no, "failures": self.failures, "error": self.error}


class Publisher:
    """This node's advertisement and the directories that should have it."""

    def __init__(self, core: Core, admission: Admission) -> None:
        self._core = core
        self._admission = admission
        self.targets = [Target(url.rstrip("/")) for url in dict.fromkeys(core.settings.directory_publish_to)]
        self.state = "not asked to publish" if not self.targets else "starting"
        self._renew_at = 0.0          # on the steady clock; 0 = at the next look
        self._own: Own | None = None
        self._url = ""
        self._did = ""                # under which name that is: a new key is a new node to every directory

    def figures(self) -> dict[str, Any]:
        """What this node says of itself, and to whom."""
        return {"state": self.state, "endpoint": self._url, "sequence-no": self._own.sequence_no if self._own else None,
                "directories": [target.figures() for target in self.targets]}

    def endpoint(self) -> str:
        """What would be advertised now, "" when nothing can be."""
        return rules.endpoint(self._core.settings.directory_endpoint, self._core.base_url)

    def step(self) -> float:
        """The advertisement is fresh, every directory that was due has been told.  Gives the seconds until something is due."""
        url = self.endpoint()
        if not url:
            self.state = ("not published: an advertisement can only name a wss endpoint; serve TLS with a base URL that begins "
                          "with https, or name the endpoint with directory_endpoint")
            return IDLE_SECONDS
        steady = self._core.clock.monotonic()
        renamed = url != self._url or self._core.identity.did != self._did
        if self._own is None or renamed or steady >= self._renew_at or rules.misdated(
                self._own.made_us / MICROSECONDS, self._core.clock.time(), self._core.settings.directory_lifetime_seconds):
            self.renew(url)
        assert self._own is not None
        for target in self.targets:
            if target.sequence_no != self._own.sequence_no and steady >= target.due:
                self._send(target)
        waiting = [target for target in self.targets if target.sequence_no != self._own.sequence_no]
        stored = len(self.targets) - len(waiting)
        self.state = "published" if not waiting else f"published at {stored} of {len(self.targets)} directories"
        return max(0.0, min([self._renew_at, *(target.due for target in waiting)]) - self._core.clock.monotonic())

    def renew(self, url: str, above: int = -1) -> None:
        """A new advertisement with a higher number is on the disk, and in this node's own directory."""
        core, settings, identity = self._core, self._core.settings, self._core.identity
        now = core.clock.time()
        with core.reader.snapshot() as connection:
            stored = table.own(connection)
        number = rules.next_number(max(stored.sequence_no if stored else -1, above), now)
        key_text = identity.did.removeprefix(node_did.NODE)
        made = rules.unsigned(identity.did, key_text, number, url, now, settings.directory_lifetime_seconds,
                              settings.directory_federation_id, core.ids.hex(26))
        signed = node_did.sign_artifact(identity, node_did.ADVERTISEMENT, made)
        own = Own(number, int(now * MICROSECONDS), jsontext.compact(signed))
        submitted = self._admission.checked(artifact.of(signed, self._admission.policy.shape))
        statements = identity.node_successions if identity.did != self._did else ()

        def change(connection: Any) -> None:
            table.keep(connection, own)
            successions.keep_own(connection, statements, int(now * MICROSECONDS))
            try:
                self._admission.change(submitted, "", "own")(connection)
            except Refusal as refusal:            # a full or mirrored-ahead directory of ours: the others are told all the same
                core.log.warning("directory.own_not_stored", reason=refusal.code)

        core.writer.run(change)
        self._own, self._url, self._did = own, url, identity.did
        self._renew_at = core.clock.monotonic() + rules.renewal_seconds(settings.directory_lifetime_seconds, self._chance())

    def _send(self, target: Target) -> None:
        """The directory was told, or its next attempt is planned."""
        assert self._own is not None
        core = self._core
        try:
            answer = core.outbound.request("PUT", f"{target.url}/adv/{self._did}", body=self._own.text,
                                           timeout=PUT_SECONDS, bytes_max=ANSWER_BYTES_MAX, allow_loopback=True,
                                           headers=(("Content-Type", "application/json"),))
        except OutboundError as fault:
            self._failed(target, fault.message, {})
            return
        try:
            body: Any = artifact.parse(answer.body)
        except Malformed:
            body = None
        what, number = rules.outcome(answer.status, answer.headers, body, self._did, self._own.sequence_no)
        if what == "stored":
            target.sequence_no, target.failures, target.error, target.stored_at = number, 0, "", core.clock.time()
        elif what == "higher" and rules.believed(number, self._own.sequence_no):
            core.log.warning("directory.own_number_raised", url=target.url, ours=self._own.sequence_no, theirs=number)
            self._failed(target, f"it has number {number} of ours", {})
            target.due = 0.0
            self.renew(self._url, above=number)
        else:
            reason = body.get("reason") if isinstance(body, dict) else None
            word = reason if isinstance(reason, str) and len(reason) < 60 and reason.isprintable() else f"status {answer.status}"
            self._failed(target, f"claims number {number} of ours" if what == "higher" else word, answer.headers)

    def _failed(self, target: Target, error: str, headers: Any) -> None:
        target.failures += 1
        if error != target.error:
            self._core.log.warning("directory.publish_failed", url=target.url, error=error)
        target.error = error
        target.due = self._core.clock.monotonic() + rules.back_off_seconds(target.failures, headers, self._chance())

    def _chance(self) -> float:
        return int.from_bytes(self._core.ids.bytes(4), "big") / 2**32
