-- The seed directory.  Times are microseconds since 1970.

-- One row.  `position` is the last place in the feed that was given away; it never goes back, not even when the newest
-- artifact is swept, because a reader may stand there.  `nodes` and `highwaters` count rows of the tables below.
CREATE TABLE adv_state(
  id INTEGER PRIMARY KEY CHECK (id = 1),
  epoch TEXT NOT NULL CHECK (length(epoch) = 16),
  log_id TEXT NOT NULL DEFAULT '',
  position INTEGER NOT NULL DEFAULT 0,
  nodes INTEGER NOT NULL DEFAULT 0,
  highwaters INTEGER NOT NULL DEFAULT 0
) STRICT;
INSERT INTO adv_state(id, epoch) VALUES (1, lower(hex(randomblob(8))));

-- The newest artifact of each node, in the order of acceptance: a page of the feed is one run of neighbouring rows.
-- The artifact is the last column, so that looking at times does not read it.
CREATE TABLE adv_current(
  position INTEGER PRIMARY KEY,
  node_id TEXT NOT NULL UNIQUE CHECK (length(node_id) <= 256),
  sequence_no INTEGER NOT NULL CHECK (sequence_no >= 0),
  advertisement_id TEXT NOT NULL,
  digest TEXT NOT NULL CHECK (length(digest) = 43),
  advertised_us INTEGER NOT NULL,
  expires_us INTEGER NOT NULL,
  stored_us INTEGER NOT NULL,
  held_until_us INTEGER NOT NULL,
  artifact_json TEXT NOT NULL
) STRICT;
CREATE INDEX adv_current_held ON adv_current(held_until_us);

-- The highest number ever accepted of each node; it outlives the artifact, or an older one could be brought back.
CREATE TABLE adv_highwater(
  node_id TEXT PRIMARY KEY CHECK (length(node_id) <= 256),
  sequence_no INTEGER NOT NULL CHECK (sequence_no >= 0),
  digest TEXT NOT NULL CHECK (length(digest) = 43),
  retain_until_us INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX adv_highwater_retain ON adv_highwater(retain_until_us);
