"""Every limit of the wire, with its unit, its range and its source.

`make generate` writes these as TypeScript (web/src/limits.ts) and as the table in PROTOCOL.md, which shows the first
sentence of each description. PROTOCOL.md's contract test compares the values again.
"""

from typing import Final

# --- frames ---------------------------------------------------------------------------------------------------------

MAX_FRAME_BYTES: Final = 32_768
"""Encoded bytes of one WebSocket message: API Gateway's frame quota and metering unit. Above it, API Gateway closes the
connection with 1009. Range: 1 to 32,768.
https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-execution-service-websocket-limits-table.html"""

MAX_ID_CHARS: Final = 64
"""Characters of a request's `id`, which its answer repeats. Range: 1 to 64 printable ASCII characters."""

# --- entries --------------------------------------------------------------------------------------------------------

MAX_ENTRY_BYTES: Final = 16_384
"""UTF-8 bytes of one entry's text. Docker's copier cuts a line at this size (`defaultBufSize`). Range: 0 to 16,384."""

MIN_CONTINUED_BYTES: Final = 4_096
"""UTF-8 bytes below which no other entry continues an entry. A reader may show a shorter one
as a whole line at once."""

# --- batches --------------------------------------------------------------------------------------------------------

MAX_BODY_BYTES: Final = 22_528
"""Compressed bytes of a body: what one frame carries in base64 beside the longest envelope. Base64 makes 30,040
characters of them, which leaves 2,728 for the envelope (measured by a contract test with every field at its
longest). Range: 1 to 22,528."""

MAX_DECODED_BYTES: Final = 1_048_576
"""Bytes of a body's JSON document after decompression. Bounds what a hostile body can make ingest do. Range: 1 to
1,048,576."""

MAX_BATCH_ENTRIES: Final = 8_192
"""Entries of a batch. Range: 1 to 8,192."""

MAX_CURSOR_BYTES: Final = 1_024
"""Characters of a cursor. They are printable ASCII without quote and backslash, opaque to all but the agent that
wrote the cursor. Range: 0 to 1,024."""

MAX_ENVELOPE_BATCHES: Final = 64
"""Batches of one envelope, each of a different job. Range: 1 to 64."""

MIN_TIME_US: Final = 0
"""Times of entries in whole microseconds begin with 1970."""

MAX_TIME_US: Final = 2**53 - 1
"""Times of entries in whole microseconds end at 2255-06-05: up to there JavaScript's numbers are exact."""

MAX_SEQUENCE: Final = 2**53 - 1
"""Sequences stay exact in JavaScript's numbers (`Number.MAX_SAFE_INTEGER`). Range: 1 to 2^53 - 1 for an entry; 0
stands for no entry."""

MAX_COUNT: Final = 2**53 - 1
"""Sums (a job's bytes and gaps, lines that a gap misses) are exact in JavaScript's numbers. Range: 0 to 2^53 - 1."""

MAX_DURATION_MS: Final = 7_200_000
"""Milliseconds of `ttl`, `interval` and `slow_down`. Nothing said on a connection outlives the two hours after which
API Gateway ends it. Range: 0 to 7,200,000."""

# --- jobs -----------------------------------------------------------------------------------------------------------

MAX_OPEN_JOBS: Final = 16
"""Jobs of one `open`: sixteen cursors of the longest kind fit the answer's frame. Range: 1 to 16."""

MAX_STATUS_JOBS: Final = 64
"""Jobs of one `status`. Range: 1 to 64."""

MAX_TIME_MS: Final = 253_402_300_799_999
"""Times of a container's life in whole milliseconds end with the year 9999, RFC 3339's last. They begin with 1970."""

MIN_EXIT_CODE: Final = -(2**31)
"""Windows ends a process with 32 bits, which some engines give as signed."""

MAX_EXIT_CODE: Final = 2**32 - 1
"""Windows ends a process with 32 bits, which other engines give as unsigned. Linux uses 0 to 255."""

MAX_RESTARTS: Final = 999_999_999
"""Restarts of a container: nine digits, as many as an agent's cursor holds. That is three years of a restart every
100 ms. Range: 0 to 999,999,999."""

MAX_LABELS: Final = 64
"""Labels of a container. The agent leaves out those that go over; Logferry's, Compose's, Swarm's and ECS's own go
last. Range: 0 to 64."""

MAX_LABEL_KEY_CHARS: Final = 128
"""Characters of a label's key. Range: 0 to 128 code points."""

MAX_LABEL_VALUE_CHARS: Final = 256
"""Characters of a label's value. Range: 0 to 256 code points."""

MAX_LABELS_BYTES: Final = 4_096
"""UTF-8 bytes of all labels' keys and values. The agent leaves out labels that go over, as for `MAX_LABELS`. Range:
0 to 4,096."""

MAX_LABELS_JSON_BYTES: Final = 16_384
"""Bytes of all labels as JSON, in which one control character takes six. Labels over it lose their values, then they
are left out, so that a record with every other field at its longest (15,700 bytes) fits a frame. Range: 2 to 16,384."""

MAX_NAME_CHARS: Final = 255
"""Characters of a name: of a container, a host, a project, a service or a task. Range: 0 to 255 code points."""

MAX_IMAGE_CHARS: Final = 512
"""Characters of an image's reference. Range: 0 to 512 code points."""

MAX_DRIVER_CHARS: Final = 64
"""Characters of the name of a logging driver. Range: 0 to 64 code points."""

MAX_MESSAGE_CHARS: Final = 512
"""Characters of an error's or a state's sentence for a person. Range: 0 to 512 code points."""

MAX_RESULT_CHARS: Final = 160
"""Characters of the sentence about one job or batch in `opened` and `ingested`. It is printable ASCII, so that 64
results, one for each batch of the largest envelope, fit the answer's frame. Range: 0 to 160 printable ASCII
characters."""

MAX_SUBSCRIPTIONS: Final = 200
"""Jobs that one viewer's connection may subscribe to: their tips fit one `pong`. Range: 0 to 200."""
