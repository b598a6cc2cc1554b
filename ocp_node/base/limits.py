"""Bounds of the program that are not settings, each with its unit and its reason.  A setting's bound stands in `settings.py`."""

# --- the HTTP edge
HEAD_BYTES_MAX = 65_536            # a request head; browsers send under 16 KiB, tokens and cookies included
HEADERS_MAX = 128                  # header lines of one head
TARGET_LENGTH_MAX = 16_384         # characters of a request target; cursors and ids are far shorter
BLANK_LINES_MAX = 8                # before a request line, of those that came together; clients that send any send one
HEAD_SECONDS = 15.0                # from a head's first byte to its blank line
BODY_SECONDS = 30.0                # from a body's first byte to its last, for bodies read before the handler runs
IDLE_SECONDS = 75.0                # a kept connection with nothing on the way
SEND_SECONDS = 30.0                # without one byte being taken by a slow reader
SEND_BYTES = 262_144               # offered to the kernel at one time by a thread that may wait
LINGER_SECONDS = 2.0               # reading what a refused caller still sends, so that it sees our answer and not a reset
LINGER_BYTES_MAX = 4_194_304
CHUNK_LINE_MAX = 256               # a chunk's size line with its extensions
TRAILER_BYTES_MAX = 8_192
BACKLOG = 4096                     # waiting connections in the kernel; the stock 5 makes bursts retry for seconds
ACCEPTS_PER_WAKE = 64              # so that a burst of new callers does not starve those already served
ACCEPT_PAUSE_SECONDS = 1.0         # while the process or the machine has no descriptor to spare
CONNECTIONS_MAX = 20_000           # all listeners together; lowered to what the process may open
CONNECTIONS_PER_ADDRESS = 1_024    # of one address beyond loopback: one device must not use up the node
SEND_BUFFER_BYTES_MAX = 1_048_576  # what a stream's slow listener may have waiting before it is dropped
PIPELINED_BYTES_MAX = 131_072      # read ahead while a request of the same connection is being answered
RECEIVE_BYTES = 65_536

# --- lanes
WORKER_THREADS = 4
WORKER_QUEUE_MAX = 512             # requests waiting for a worker; past it 503
LONG_THREADS_MAX = 64              # run-and-wait, uploads and downloads at one time; past it 503
LONG_THREADS_PER_ADDRESS = 16      # of one address beyond loopback: a few slow readers must not use up the lane
LONG_BODY_SECONDS = 60.0           # without one byte, for a body that is streamed into its handler

# --- caches of the edge
ANSWERS_MAX = 1_024                # whole answers by the exact bytes of their head
ANSWER_HEAD_BYTES_MAX = 2_048
HEADS_MAX = 1_024                  # parsed heads by their exact bytes
DOCUMENTS_MAX = 256                # stored bodies by route and target
GZIP_BYTES_MIN = 1_024             # below it gzip saves less than its header and time cost

# --- streams
WAIT_SECONDS_MAX = 300.0           # a long poll
KEEPALIVE_SECONDS = 15.0
WEBSOCKET_PING_SECONDS = 30.0
WEBSOCKET_SILENCE_SECONDS = 90.0

# --- failed log-ins, by address
FAILURES_PER_MINUTE = 20
FAILURE_ADDRESSES_MAX = 10_000

# --- the outgoing client
OUTBOUND_SECONDS_MIN = 0.1         # a whole call; below it even loopback fails by chance
OUTBOUND_SECONDS_MAX = 30.0        # ... of a JSON call
OUTBOUND_LONG_SECONDS_MAX = 3_600.0  # ... of a raw call: artifacts and run-and-wait
OUTBOUND_ANSWER_BYTES_MAX = 4_194_304  # a JSON answer, where the caller names no bound of its own
OUTBOUND_STREAM_BYTES_MAX = 1 << 40  # an event stream that stays open for months
OUTBOUND_HEADER_LENGTH_MAX = 16_384  # characters of one header value of ours
OUTBOUND_ADDRESSES_MAX = 4         # of one name, tried one after the other within the deadline
OUTBOUND_IDLE_SECONDS = 15.0       # a kept connection; shorter than servers keep theirs
OUTBOUND_IDLE_PER_PEER = 4
OUTBOUND_IDLE_MAX = 64
OUTBOUND_RECEIVE_BYTES = 262_144

# --- what is signed, and secrets
SIGNED_SKEW_SECONDS = 300          # between two nodes' clocks; OCP 0.1 refuses more
SIGNED_ID_LENGTH_MAX = 128         # characters of a node id and of a nonce in a signed request
REQUEST_ID_LENGTH_MAX = 200
TIMESTAMP_LENGTH_MAX = 64          # ISO-8601 with fraction and offset has 32
DISPLAY_NAME_LENGTH_MAX = 200
GRANT_LIFETIME_SECONDS_MAX = 86_400  # a capability grant; a day, so that a lost one heals by itself
GRANT_USES_MAX = 1_000_000
GRANT_HEADER_LENGTH_MAX = 8_192    # characters of the grant or its proof as shown in a header
TOKEN_LENGTH_MAX = 8_192           # a JSON web token; ours have 300 characters
TOKEN_LEEWAY_SECONDS = 60          # around the times in a token
PRIVATE_FILE_BYTES_MAX = 65_536    # an identity has 400 bytes, a key 32

# --- the store: the writer
QUEUE_CHANGES_MAX = 4_096          # waiting changes; past it callers are told to come back (503)
GROUP_CHANGES_MAX = 512            # changes in one transaction: one fsync for all of them
CHANGE_SECONDS = 30.0              # a thread that waits for its own change
CHANGE_LOOP_SECONDS = 2.0          # how long such a thread then waits for the loop to run what follows the commit

# --- the store: SQLite's log, in bytes
WAL_IDLE_BYTES = 1_048_576         # worth copying back into the database once nobody writes
WAL_BUSY_BYTES = 16_777_216        # copied back between two groups even though there is work
WAL_LARGE_BYTES = 67_108_864       # readers have kept it from being reused: wait for them shortly and empty it
WAL_KEPT_BYTES = 4_194_304         # what stays of the file when it starts over (journal_size_limit)
WAL_IDLE_SECONDS = 0.5             # without a change before an idle checkpoint
WAL_WAIT_MILLISECONDS = 250        # how long emptying a large log may hold up writers
DATABASE_BUSY_SECONDS = 5.0        # another process (a backup, an administrator's tool) holds the database

# --- the store: connections
STATEMENTS_KEPT = 256              # prepared statements of one connection
WRITER_CACHE_KIB = 4_096
READER_CACHE_KIB = 1_024           # of each connection that reads
READERS_KEPT = 8                   # connections kept open while nobody reads with them

# --- the store: events
EVENT_PAYLOAD_BYTES_MAX = 65_536   # of one event, as JSON (OCP 0.1, event log)
EVENTS_PER_READ_MAX = 1_000
EVENT_TYPES_PER_READ_MAX = 64
EVENTS_KEPT = 100_000              # of each surface, where no setting says otherwise
EVENTS_PRUNED_MAX = 500            # so that one sweep does not hold up other changes

# --- the store: the outbox
OUTBOX_ROWS_MAX = 20_000           # waiting deliveries; past it a change that asks for one more is refused
OUTBOX_BYTES_MAX = 8_388_608       # of one payload, as JSON: the largest body a peer takes
OUTBOX_FAILED_KEPT = 1_000         # deliveries that were given up, kept for the operator to see
OUTBOX_TAKEN_MAX = 32              # rows of one step
OUTBOX_SENDING_MAX = 8             # at one time, where deliveries run beside each other
OUTBOX_ATTEMPTS_MAX = 12           # with the delays below: three quarters of an hour
OUTBOX_DELAY_SECONDS = 2.0         # after the first failure; doubled for each further one
OUTBOX_DELAY_SECONDS_MAX = 900.0
OUTBOX_ERROR_LENGTH_MAX = 500      # characters kept of why a delivery failed

# --- the store: starting
FREE_BYTES_MIN = 8_388_608         # below it the folder counts as full: the log of one busy minute needs as much
CHECKED_BYTES_MAX = 1_048_576      # a database up to this size is checked whole at every start (a few milliseconds)
CHECKED_UNCLEAN_BYTES_MAX = 67_108_864  # and up to this one after a stop that was not clean; larger ones by `doctor`
UPGRADE_BACKUPS_KEPT = 3

# --- the store: backups
BACKUP_PAGES_PER_STEP = 2_048      # 8 MiB; between two of them other threads read on
BACKUP_MEMBERS_MAX = 200_000
BACKUP_MANIFEST_BYTES_MAX = 67_108_864
COPY_BYTES = 262_144
