"""A directory as JSON lines: dumped, verified, loaded; from the disk or over HTTP.

    {"kind":"header","format":"ocp-directory-dump","version":1,"epoch":…,"position":…,"exported-at":…}
    {"kind":"advertisement","artifact":{…}}
    {"kind":"highwater","node/id":…,"sequence/no":…,"digest":…,"retain-until":…}
    {"kind":"revocation","family":…,"artifact":{…}}
    {"kind":"delegation","artifact":{…}}
    {"kind":"end","lines":…}

Signed facts are verified again wherever they are loaded.  High-water marks are not signed: they are taken only from a dump that
the operator trusts.  Registrations are left out: nodes bring them again every day, with a fresh word of their own.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

from ..base import jsontext
from ..base.clock import instant_text
from ..base.errors import Malformed, Refusal, Unusable
from . import artifact, passports, rules, table
from . import shape as shapes
from .admission import Admission
from .delegations import rules as delegation_rules
from .delegations import table as delegation_table
from .endorsements import rules as endorsement_rules
from .mirror import rules as mirror_rules
from .revocations import rules as revocation_rules
from .revocations import table as revocation_table
from .shape import MICROSECONDS, Shape

if TYPE_CHECKING:
    from ..base.clock import Clock
    from ..http.outbound import Outbound
    from ..store.reader import Reader
    from ..store.writer import Writer

FORMAT, VERSION = "ocp-directory-dump", 1
LINE_BYTES_MAX = 20 << 20
ROWS_PER_READ = 500
LINES_PER_CHANGE = 200
PROBLEMS_MAX = 50
ASK_SECONDS = 30.0
WAIT_SECONDS_MAX = 300.0
KINDS = ("advertisement", "highwater", "revocation", "delegation")


class Report:
    """What became of the lines of a dump."""

    def __init__(self) -> None:
        self.lines = 0
        self.counts: dict[str, int] = {}
        self.problems: list[tuple[int, str]] = []      # line number and reason; the first of them
        self.bad = 0
        self.whole = False                             # the last line says that nothing is missing

    def add(self, what: str, count: int = 1) -> None:
        self.counts[what] = self.counts.get(what, 0) + count

    def problem(self, reason: str) -> None:
        self.bad += 1
        if len(self.problems) < PROBLEMS_MAX:
            self.problems.append((self.lines, reason))

    @property
    def good(self) -> bool:
        return self.whole and not self.bad

    def document(self) -> dict[str, object]:
        return {"lines": self.lines, "counts": dict(sorted(self.counts.items())), "bad": self.bad, "whole": self.whole,
                "problems": [{"line": line, "reason": reason} for line, reason in self.problems]}


# --- dumping ----------------------------------------------------------------------------------------------------------

def dump(reader: Reader, now: float, write: Callable[[bytes], object]) -> Report:
    """Everything that the directory keeps has been written, line by line, as of about now.

    Read in steps, each of one moment: a node that publishes meanwhile may stand there twice or with its newer artifact.
    """
    report = Report()

    def line(kind: str, **members: object) -> None:
        write(jsontext.compact({"kind": kind, **members}) + b"\n")
        report.lines += 1
        report.add(kind)

    with reader.snapshot() as connection:
        state = table.state(connection)
    line("header", format=FORMAT, version=VERSION, epoch=state.epoch, position=state.position,
         **{"exported-at": instant_text(now)})
    for text in _rows(reader):
        write(b'{"kind":"advertisement","artifact":%b}\n' % text)
        report.lines += 1
        report.add("advertisement")
    for node_id, sequence_no, digest, until_us in _highwaters(reader):
        line("highwater", **{"node/id": node_id, "sequence/no": sequence_no, "digest": digest, "retain-until": until_us})
    for family, revocation in _revocations(reader):
        line("revocation", family=family, artifact=json.loads(revocation))
    for delegation in _delegations(reader):
        line("delegation", artifact=json.loads(delegation))
    line("end", lines=report.lines)
    report.whole = True
    return report


def _rows(reader: Reader) -> Iterator[bytes]:
    position, more = 0, True
    while more:
        with reader.snapshot() as connection:
            rows = table.export(connection, position, ROWS_PER_READ)
        yield from (text for _, text in rows)
        position, more = rows[-1][0] if rows else 0, bool(rows)


def _highwaters(reader: Reader) -> Iterator[tuple[str, int, str, int]]:
    name, more = "", True
    while more:
        with reader.snapshot() as connection:
            rows = table.highwaters(connection, name, ROWS_PER_READ)
        yield from rows
        name, more = rows[-1][0] if rows else "", bool(rows)


def _revocations(reader: Reader) -> Iterator[tuple[str, str]]:
    position, more = 0, True
    while more:
        with reader.snapshot() as connection:
            rows = revocation_table.after(connection, position, "", ROWS_PER_READ)
        yield from ((family, text) for _, family, text in rows)
        position, more = rows[-1][0] if rows else 0, bool(rows)


def _delegations(reader: Reader) -> Iterator[str]:
    name, more = "", True
    while more:
        with reader.snapshot() as connection:
            rows = delegation_table.page(connection, name, ROWS_PER_READ)
        yield from (text for _, text in rows)
        name, more = rows[-1][0] if rows else "", bool(rows)


def fetch(outbound: Outbound, url: str, now: float, write: Callable[[bytes], object]) -> Report:
    """What another directory serves has been written as a dump; nothing of it is verified yet."""
    report, cursor = Report(), ""
    write(jsontext.compact({"kind": "header", "format": FORMAT, "version": VERSION, "source": url,
                            "exported-at": instant_text(now)}) + b"\n")
    report.lines = 1
    while True:
        answer = outbound.request("GET", f"{url.rstrip('/')}/adv?limit=100&since={cursor}", timeout=ASK_SECONDS,
                                  bytes_max=mirror_rules.PAGE_BYTES_MAX, allow_loopback=True)
        if not answer.good:
            raise Unusable(f"{url} answered {answer.status}")
        try:
            batch = mirror_rules.batch(answer.body)
        except mirror_rules.BadPage as fault:
            raise Unusable(f"{url} is no directory: {fault}") from None
        for item in batch.items:
            write(jsontext.compact({"kind": "advertisement", "artifact": item}) + b"\n")
            report.lines += 1
            report.add("advertisement")
        if batch.next == cursor or not batch.items:
            break
        cursor = batch.next
    write(jsontext.compact({"kind": "end", "lines": report.lines}) + b"\n")
    report.whole = True
    return report


# --- reading ----------------------------------------------------------------------------------------------------------

def read(lines: Iterable[bytes], report: Report) -> Iterator[tuple[str, dict[str, Any]]]:
    """Kind and members of each line.  Lines that are none are problems of the report; without its last line it is not whole."""
    for raw in lines:
        report.lines += 1
        if not raw.strip():
            continue
        if report.whole:
            report.problem("something follows the end")
            return
        try:
            if len(raw) > LINE_BYTES_MAX:
                raise Malformed(code="malformed-json")
            members = shapes.parse(raw)
        except Malformed:
            report.problem("no strict JSON object")
            continue
        kind = members.get("kind")
        if kind == "header":
            if members.get("format") != FORMAT or members.get("version") != VERSION:
                raise Unusable("this is no dump of a directory, or one of a newer program")
        elif kind == "end":
            report.whole = True
            if members.get("lines") != report.lines - 1:
                report.problem("the dump lost or gained lines")
        elif kind in KINDS:
            yield str(kind), members
        else:
            report.problem("an unknown kind of line")


def verify(lines: Iterable[bytes], now: float) -> Report:
    """Every signature of a dump has been checked.  Expired artifacts are fine, and counted."""
    report, shape, now_us = Report(), Shape(), int(now * MICROSECONDS)
    for kind, members in read(lines, report):
        try:
            report.add(_verified(kind, members, shape, now_us))
        except (Malformed, Refusal) as fault:
            report.problem(_reason(fault))
    return report


def _verified(kind: str, members: dict[str, Any], shape: Shape, now_us: int) -> str:
    """What is counted for a line that holds."""
    if kind == "highwater":
        shapes.check(members, HIGHWATER, shape, "invalid-artifact")
        return kind
    document = members.get("artifact")
    if kind == "advertisement":
        submitted = artifact.of(document, shape)
        artifact.verify(submitted)
        return kind if submitted.expires_us > now_us else "advertisement expired"
    if kind == "delegation":
        delegation = delegation_rules.read(document, shape)
        passports.check_proof(delegation_rules.proof(delegation))
        return kind
    if members.get("family") == revocation_rules.ENDORSEMENTS:
        endorsement_rules.read(document, endorsement_rules.REVOCATION, shape)
        return "revocation unproven without its federation root"
    revocation = revocation_rules.read(document, shape)
    revocation_rules.check(revocation, shapes.instant_us(revocation["revoked_at"]), frozenset())
    return kind


HIGHWATER: shapes.Table = (("node/id", True, shapes.node_id), ("sequence/no", True, shapes.count()),
                           ("digest", True, shapes.matching(r"[A-Za-z0-9_-]{43}")), ("retain-until", True, shapes.count()))


def _reason(fault: Malformed | Refusal) -> str:
    if isinstance(fault, Refusal):
        return fault.code
    return ", ".join(f"{problem.pointer()} {problem.code}" for problem in fault.problems[:3]) or fault.code


# --- loading ----------------------------------------------------------------------------------------------------------

def load(lines: Iterable[bytes], writer: Writer, admission: Admission, *, trusted: bool = False) -> Report:
    """Everything in the dump that is valid and newer is in the database of `writer`.

    `trusted`: the operator vouches for the marks too, so that nothing older than this dump can come back.
    """
    report = Report()
    waiting: list[tuple[str, Callable[[Any], object]]] = []
    for kind, members in read(lines, report):
        try:
            change = _change(kind, members, admission, trusted)
        except (Malformed, Refusal) as fault:
            _not_taken(report, fault)
            continue
        if change is None:
            report.add(f"{kind} left out")
        else:
            waiting.append((kind, change))
        if len(waiting) == LINES_PER_CHANGE:
            _store(writer, waiting, report)
            waiting = []
    _store(writer, waiting, report)
    return report


PASSING = frozenset({"expired", "stale-sequence", "delegation-exists", "policy-denied", "not-yet-valid", "directory-full",
                     "already-known"})


def _not_taken(report: Report, fault: Malformed | Refusal) -> None:
    """What is out of date is only counted; what is not true is a problem."""
    if isinstance(fault, Refusal) and fault.code in PASSING:
        report.add(fault.code)
    else:
        report.problem(_reason(fault))


def _change(kind: str, members: dict[str, Any], admission: Admission, trusted: bool) -> Callable[[Any], object] | None:
    """The change that a verified line asks for, None for one that is left out."""
    shape, document = admission.policy.shape, members.get("artifact")
    if kind == "advertisement":
        return admission.change(admission.checked(artifact.of(document, shape)), "", "dump")
    if kind == "highwater":
        _verified(kind, members, shape, 0)
        return _mark(members) if trusted else None
    if kind == "delegation":
        delegation = delegation_rules.read(document, shape)
        delegation_rules.check(delegation, delegation["delegation_id"], admission.now_us(), frozenset())
        return _delegation(delegation, admission.now_us())
    if members.get("family") != revocation_rules.PASSPORTS:
        return None                       # whether it holds only its federation's root can say
    _verified(kind, members, shape, 0)
    return _revocation(dict(members["artifact"]), admission.now_us())


def _mark(members: dict[str, Any]) -> Callable[[Any], object]:
    return lambda connection: table.raise_highwater(connection, members["node/id"], members["sequence/no"], members["digest"],
                                                    members["retain-until"])


def _delegation(delegation: dict[str, Any], now_us: int) -> Callable[[Any], object]:
    def change(connection: Any) -> None:
        if delegation_table.find(connection, delegation["delegation_id"]) is not None:
            raise Refusal("already-known")
        delegation_table.put(connection, delegation["delegation_id"], delegation["proxy_key"],
                             delegation["issuer/participant_id"],
                             shapes.instant_us(delegation["expires_at"]), now_us, jsontext.compact(delegation).decode())
    return change


def _revocation(revocation: dict[str, Any], now_us: int) -> Callable[[Any], object]:
    target, issuer = revocation_rules.target(revocation), revocation_rules.issuer(revocation)

    def change(connection: Any) -> None:
        if not revocation_table.add(connection, revocation_rules.PASSPORTS, target, revocation["node_id"],
                                    revocation["capability_id"], issuer, now_us, jsontext.compact(revocation).decode()):
            raise Refusal("already-known")
        if "passport_id" in revocation:
            revocation_table.withdraw_passport(connection, target, revocation["node_id"], revocation["capability_id"], issuer)
        else:
            revocation_table.withdraw_delegation(connection, target, issuer)

    return change


def _store(writer: Writer, waiting: list[tuple[str, Callable[[Any], object]]], report: Report) -> None:
    if not waiting:
        return

    def change(connection: Any) -> list[tuple[str, Refusal | None]]:
        done: list[tuple[str, Refusal | None]] = []
        for kind, act in waiting:
            try:
                act(connection)               # each refuses before it writes
                done.append((kind, None))
            except Refusal as refusal:
                done.append((kind, refusal))
        return done

    for kind, refusal in writer.run(change):
        if refusal is None:
            report.add(kind)
        else:
            _not_taken(report, refusal)


def send(lines: Iterable[bytes], outbound: Outbound, url: str, clock: Clock, pause: Callable[[float], object]) -> Report:
    """The advertisements of a dump have been published at another directory, one `PUT` each, as fast as it wants them."""
    report, now_us = Report(), int(clock.time() * MICROSECONDS)
    for kind, members in read(lines, report):
        if kind != "advertisement":
            report.add(f"{kind} left out")
            continue
        try:
            submitted = artifact.of(members.get("artifact"), Shape())
            artifact.verify(submitted)
        except (Malformed, Refusal) as fault:
            report.problem(_reason(fault))
            continue
        if submitted.expires_us <= now_us:
            report.add("expired")
            continue
        _put(outbound, f"{url.rstrip('/')}/adv/{submitted.node_id}", submitted.text, report, pause)
    return report


def _put(outbound: Outbound, url: str, body: bytes, report: Report, pause: Callable[[float], object]) -> None:
    for _ in range(10):
        answer = outbound.request("PUT", url, body=body, timeout=ASK_SECONDS, bytes_max=65_536, allow_loopback=True,
                                  headers=(("Content-Type", "application/json"),))
        if answer.status not in (429, 503):
            break
        asked = answer.headers.get("retry-after", "1")
        pause(min(float(asked) if asked.isdigit() else 1.0, WAIT_SECONDS_MAX))
    if answer.status in (200, 201):
        report.add("advertisement")
    elif answer.status == 409:
        report.add("stale-sequence")
    else:
        report.problem(f"the directory answered {answer.status}")


def figures(reader: Reader, now: float) -> dict[str, object]:
    """The directory on the disk in numbers, whether a node runs or not."""
    with reader.snapshot() as connection:
        state = table.state(connection)
        return {"epoch": state.epoch, "cursor": rules.cursor_text(state.epoch, state.position),
                "live": table.live(connection, int(now * MICROSECONDS)),
                "nodes": state.nodes, "highwaters": state.highwaters, "revocations": revocation_table.position(connection)}
