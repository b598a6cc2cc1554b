"""All SQL of the mirror: cursors of the directories that are read, and what was seen there."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from typing import NamedTuple

SIGHTINGS_KEPT_US = 72 * 3600 * 1_000_000
SWEPT_PER_CALL_MAX = 500


class Upstream(NamedTuple):
    """Where this node stands in a directory's feed."""
    cursor: str
    read_us: int
    rescan_us: int          # when to begin anew, 0 = no need


def upstream(connection: sqlite3.Connection, url: str) -> Upstream:
    """What is known of the directory; the start of its feed when nothing is."""
    row = connection.execute("SELECT cursor, read_us, rescan_us FROM adv_upstream WHERE url = ?", (url,)).fetchone()
    return Upstream(*row) if row is not None else Upstream("", 0, 0)


def stand(connection: sqlite3.Connection, url: str, cursor: str, read_us: int, rescan_us: int) -> None:
    """This node has read the directory's feed up to `cursor`."""
    connection.execute("INSERT INTO adv_upstream VALUES (?, ?, ?, ?) ON CONFLICT(url) DO UPDATE SET cursor = excluded.cursor, "
                       "read_us = excluded.read_us, rescan_us = excluded.rescan_us", (url, cursor, read_us, rescan_us))


def saw(connection: sqlite3.Connection, source: str, seen: Iterable[tuple[str, int]], seen_us: int) -> None:
    """The source listed these nodes with these numbers."""
    connection.executemany("INSERT INTO adv_sighting VALUES (?, ?, ?, ?) ON CONFLICT(node_id, source) DO UPDATE SET "
                           "sequence_no = excluded.sequence_no, seen_us = excluded.seen_us",
                           [(node_id, source, sequence_no, seen_us) for node_id, sequence_no in seen])


def sources(connection: sqlite3.Connection, node_id: str) -> list[tuple[str, int, int]]:
    """Source, number and time of every sighting of the node, the newest number first."""
    return [tuple(row) for row in connection.execute("SELECT source, sequence_no, seen_us FROM adv_sighting WHERE node_id = ? "
                                                     "ORDER BY sequence_no DESC, seen_us DESC, source LIMIT 100", (node_id,))]


def latest(connection: sqlite3.Connection, now_us: int, limit: int) -> list[tuple[str, str, int, int, int, bytes]]:
    """Node, source, time seen, number, end of service and artifact of the nodes that are served now and were seen last, one row
    for each node; the source is the one that listed the newest number."""
    rows = connection.execute(
        "SELECT c.node_id, (SELECT s.source FROM adv_sighting s WHERE s.node_id = c.node_id ORDER BY s.sequence_no DESC, "
        "s.seen_us DESC LIMIT 1), "
        "coalesce((SELECT max(s.seen_us) FROM adv_sighting s WHERE s.node_id = c.node_id), c.stored_us), c.sequence_no, "
        "c.held_until_us, "
        "CAST(c.artifact_json AS BLOB) FROM adv_current c WHERE c.held_until_us > ? ORDER BY c.position DESC LIMIT ?",
                              (now_us, limit))
    return [tuple(row) for row in rows]


def sweep(connection: sqlite3.Connection, now_us: int) -> int:
    """Sightings of days ago are forgotten, a batch at a time.  Gives how many went."""
    return connection.execute("DELETE FROM adv_sighting WHERE (node_id, source) IN (SELECT node_id, source FROM adv_sighting "
                              "WHERE seen_us <= ? ORDER BY seen_us LIMIT ?)",
                              (now_us - SIGHTINGS_KEPT_US, SWEPT_PER_CALL_MAX)).rowcount
