-- Directories that are read: where this node stands in their feeds, and what it saw there.

CREATE TABLE adv_upstream(
  url TEXT PRIMARY KEY CHECK (length(url) <= 4096),
  cursor TEXT NOT NULL DEFAULT '' CHECK (length(cursor) <= 132),
  read_us INTEGER NOT NULL DEFAULT 0,
  rescan_us INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;

-- Which directory listed which node, with the number it listed last.
CREATE TABLE adv_sighting(
  node_id TEXT NOT NULL CHECK (length(node_id) <= 256),
  source TEXT NOT NULL CHECK (length(source) <= 4096),
  sequence_no INTEGER NOT NULL,
  seen_us INTEGER NOT NULL,
  PRIMARY KEY (node_id, source)
) STRICT, WITHOUT ROWID;
CREATE INDEX adv_sighting_seen ON adv_sighting(seen_us);

-- This node's own advertisement.  The number is stored here before any directory is told of it.
CREATE TABLE adv_own(
  id INTEGER PRIMARY KEY CHECK (id = 1),
  sequence_no INTEGER NOT NULL,
  made_us INTEGER NOT NULL,
  artifact_json TEXT NOT NULL
) STRICT;
