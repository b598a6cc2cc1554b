"""All SQL of the seed directory's own tables: the newest artifacts, the highest numbers, the feed's position."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from typing import NamedTuple

from .artifact import Advertisement
from .rules import RETENTION_US, Known

SWEPT_PER_CALL_MAX = 500      # so that one sweep does not hold up publications


class State(NamedTuple):
    """The directory's one row."""
    epoch: str
    log_id: str
    position: int
    nodes: int
    highwaters: int


class Current(NamedTuple):
    """A node's newest artifact, as it is served."""
    position: int
    sequence_no: int
    digest: str
    stored_us: int
    expires_us: int
    held_until_us: int
    text: bytes


def state(connection: sqlite3.Connection) -> State:
    """Epoch, last position and counts."""
    return State(*connection.execute("SELECT epoch, log_id, position, nodes, highwaters FROM adv_state").fetchone())


def begin_epoch(connection: sqlite3.Connection, epoch: str, log_id: str) -> None:
    """Cursors given out before are strangers' from now on."""
    connection.execute("UPDATE adv_state SET epoch = ?, log_id = ?", (epoch, log_id))


def known(connection: sqlite3.Connection, node_id: str) -> Known | None:
    """What is kept of the node, None when nothing is."""
    row = connection.execute(
        "SELECT h.sequence_no, h.digest, h.retain_until_us, coalesce(c.held_until_us, 0), coalesce(c.stored_us, 0) FROM "
        "adv_highwater h LEFT JOIN adv_current c ON c.node_id = h.node_id WHERE h.node_id = ?", (node_id,)).fetchone()
    return Known(*row) if row is not None else None


def put(connection: sqlite3.Connection, kept: Advertisement, stored_us: int, held_until_us: int, retain_until_us: int,
        first: bool) -> int:
    """The artifact is the node's newest, at a new position, which is given; its number is the node's highest."""
    replaced = 0 if first else connection.execute("DELETE FROM adv_current WHERE node_id = ?", (kept.node_id,)).rowcount
    given = connection.execute("UPDATE adv_state SET position = position + 1, nodes = nodes + ?, highwaters = highwaters + ? "
                               "RETURNING position", (1 - replaced, int(first))).fetchall()
    position = int(given[0][0])
    connection.execute("INSERT INTO adv_current VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                       (position, kept.node_id, kept.sequence_no, kept.advertisement_id, kept.digest, kept.advertised_us,
                        kept.expires_us, stored_us, held_until_us, kept.text.decode()))
    connection.execute("INSERT INTO adv_highwater VALUES (?, ?, ?, ?) ON CONFLICT(node_id) DO UPDATE SET sequence_no = "
                       "excluded.sequence_no, digest = excluded.digest, retain_until_us = excluded.retain_until_us",
                       (kept.node_id, kept.sequence_no, kept.digest, retain_until_us))
    return position


def fetch(connection: sqlite3.Connection, node_id: str, now_us: int) -> Current | None:
    """The node's artifact if it is still served."""
    row = connection.execute("SELECT position, sequence_no, digest, stored_us, expires_us, held_until_us, CAST(artifact_json AS "
                             "BLOB) FROM adv_current WHERE node_id = ? AND held_until_us > ?", (node_id, now_us)).fetchone()
    return Current(*row) if row is not None else None


def after(connection: sqlite3.Connection, position: int, now_us: int, rows_max: int) -> Iterator[tuple[int, int, bytes | None]]:
    """Position, end of service and artifact (None when it is no longer served) of the rows after `position`, in order.

    Rows are read as they are taken, and an artifact only when it will be shown.
    """
    return iter(connection.execute("SELECT position, held_until_us, CASE WHEN held_until_us > ? THEN CAST(artifact_json AS "
                                   "BLOB) END "
                                   "FROM adv_current WHERE position > ? ORDER BY position LIMIT ?", (now_us, position, rows_max)))


def live(connection: sqlite3.Connection, now_us: int) -> int:
    """How many nodes are served."""
    return int(connection.execute("SELECT count(*) FROM adv_current WHERE held_until_us > ?", (now_us,)).fetchone()[0])


def newest_stored_us(connection: sqlite3.Connection) -> int:
    """When the last artifact was stored, 0 when none is there."""
    row = connection.execute("SELECT stored_us FROM adv_current ORDER BY position DESC LIMIT 1").fetchone()
    return int(row[0]) if row else 0


def sweep(connection: sqlite3.Connection, now_us: int) -> int:
    """Artifacts that nobody was served for three days are gone, and numbers whose artifacts cannot come back; a batch at a time.

    Gives how many rows went.
    """
    artifacts = connection.execute(
        "DELETE FROM adv_current WHERE position IN (SELECT position FROM adv_current WHERE held_until_us <= ? ORDER BY "
        "held_until_us LIMIT ?)", (now_us - RETENTION_US, SWEPT_PER_CALL_MAX)).rowcount
    numbers = connection.execute(
        "DELETE FROM adv_highwater WHERE node_id IN (SELECT h.node_id FROM adv_highwater h WHERE h.retain_until_us <= ? "
        "AND NOT EXISTS (SELECT 1 FROM adv_current c WHERE c.node_id = h.node_id) ORDER BY h.retain_until_us LIMIT ?)",
        (now_us, SWEPT_PER_CALL_MAX)).rowcount
    if artifacts or numbers:
        connection.execute("UPDATE adv_state SET nodes = nodes - ?, highwaters = highwaters - ?", (artifacts, numbers))
    return artifacts + numbers


def export(connection: sqlite3.Connection, position: int, rows_max: int) -> list[tuple[int, bytes]]:
    """Artifacts after `position`, served or not, in the order of acceptance."""
    return [(row[0], row[1]) for row in connection.execute(
        "SELECT position, CAST(artifact_json AS BLOB) FROM adv_current WHERE position > ? ORDER BY position LIMIT ?",
                                                           (position, rows_max))]


def highwaters(connection: sqlite3.Connection, node_id: str, rows_max: int) -> list[tuple[str, int, str, int]]:
    """Node, highest number, digest and end of retention of the nodes after `node_id`, in the order of their ids."""
    return [tuple(row) for row in connection.execute(
        "SELECT node_id, sequence_no, digest, retain_until_us FROM adv_highwater WHERE node_id > ? ORDER BY node_id LIMIT ?",
                                                     (node_id, rows_max))]


def raise_highwater(connection: sqlite3.Connection, node_id: str, sequence_no: int, digest: str, retain_until_us: int) -> bool:
    """The node's highest number is at least this one.  Says whether it rose."""
    before = connection.execute("SELECT sequence_no FROM adv_highwater WHERE node_id = ?", (node_id,)).fetchone()
    if before is not None and before[0] >= sequence_no:
        return False
    connection.execute("INSERT INTO adv_highwater VALUES (?, ?, ?, ?) ON CONFLICT(node_id) DO UPDATE SET sequence_no = "
                       "excluded.sequence_no, "
                       "digest = excluded.digest, retain_until_us = max(retain_until_us, excluded.retain_until_us)",
                       (node_id, sequence_no, digest, retain_until_us))
    connection.execute("UPDATE adv_state SET highwaters = highwaters + ?", (int(before is None),))
    return True
