"""Bounds of the store, each with its unit and its reason."""

# --- the writer
QUEUE_CHANGES_MAX = 4_096            # waiting changes; past it callers are told to come back (503)
GROUP_CHANGES_MAX = 512              # changes in one transaction: one fsync for all of them
RUN_SECONDS = 30.0                   # a thread that waits for its own change
LOOP_SECONDS = 2.0                   # how long such a thread then waits for the loop to run what follows the commit

# --- the write-ahead log, in bytes
WAL_IDLE_BYTES = 1_048_576           # worth copying back into the database once nobody writes
WAL_BUSY_BYTES = 16_777_216          # copied back between two groups even though there is work
WAL_LARGE_BYTES = 67_108_864         # readers have kept it from being reused: wait for them shortly and empty it
WAL_KEPT_BYTES = 4_194_304           # what stays of the file when it starts over (journal_size_limit)
IDLE_SECONDS = 0.5                   # without a change before an idle checkpoint
LARGE_WAIT_MILLISECONDS = 250        # how long emptying a large log may hold up writers
BUSY_SECONDS = 5.0                   # another process (a backup, an administrator's tool) holds the database

# --- connections
STATEMENTS_KEPT = 256                # prepared statements of one connection
WRITER_CACHE_KIB = 4_096
READER_CACHE_KIB = 1_024             # each thread that reads has its own

# --- events
PAYLOAD_BYTES_MAX = 65_536           # of one event, as JSON (OCP 0.1, event log)
EVENTS_PER_READ_MAX = 1_000
EVENT_TYPES_PER_READ_MAX = 64
EVENTS_KEPT = 100_000                # of each surface, where no setting says otherwise
PRUNED_PER_CALL_MAX = 5_000          # so that one sweep does not hold up other changes

# --- the outbox
OUTBOX_ROWS_MAX = 20_000             # waiting deliveries; past it a change that asks for one more is refused
OUTBOX_BYTES_MAX = 8_388_608         # of one payload, as JSON: the largest body a peer takes
OUTBOX_FAILED_KEPT = 1_000           # deliveries that were given up, kept for the operator to see
OUTBOX_TAKEN_MAX = 32                # rows of one step
OUTBOX_SENDING_MAX = 8               # at one time, where deliveries run beside each other
OUTBOX_ATTEMPTS_MAX = 12             # with the delays below: about an hour and a half
OUTBOX_DELAY_SECONDS = 2.0           # after the first failure; doubled for each further one
OUTBOX_DELAY_SECONDS_MAX = 900.0
ERROR_LENGTH_MAX = 500               # characters kept of why a delivery failed

# --- starting
FREE_BYTES_MIN = 8_388_608           # below it the folder counts as full: the log of one busy minute needs as much
CHECKED_BYTES_MAX = 1_048_576        # a database up to this size is checked whole at every start (a few milliseconds)
CHECKED_UNCLEAN_BYTES_MAX = 67_108_864   # and up to this one after a stop that was not clean; larger ones by `doctor`
UPGRADE_BACKUPS_KEPT = 3

# --- backups
BACKUP_PAGES_PER_STEP = 2_048        # 8 MiB between two looks at the clock
BACKUP_MEMBERS_MAX = 200_000
BACKUP_MANIFEST_BYTES_MAX = 67_108_864
COPY_BYTES = 262_144
