"""Every limit of the wire, with where it comes from.

PROTOCOL.md repeats these as a table; a contract test compares the two.
"""

from typing import Final

# --- frames ---------------------------------------------------------------------------------------------------------

MAX_FRAME_BYTES: Final = 32_768
"""Bytes of one WebSocket message, encoded. API Gateway's frame quota (it closes with 1009 above), and what it
meters as one message. https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-execution-service-websocket-limits-table.html"""

MAX_ID_CHARS: Final = 64
"""Characters of a request's `id`, which its answer repeats."""

# --- entries --------------------------------------------------------------------------------------------------------

MAX_ENTRY_BYTES: Final = 16_384
"""UTF-8 bytes of one entry's text: the size at which Docker's copier cuts a line (`defaultBufSize`)."""

MIN_CONTINUED_BYTES: Final = 4_096
"""An entry shorter than this is never continued by another, so that a reader may show it as a whole line at once."""

# --- batches --------------------------------------------------------------------------------------------------------

MAX_BODY_BYTES: Final = 22_528
"""Compressed bytes of a body: base64 makes 30,040 characters of them, which leaves 2,728 for the envelope
(measured by a contract test with every field at its longest)."""

MAX_DECODED_BYTES: Final = 1_048_576
"""Bytes of a body's JSON document after decompression. Bounds what a hostile body can make ingest do."""

MAX_BATCH_ENTRIES: Final = 8_192
"""Entries of a batch."""

MAX_CURSOR_BYTES: Final = 1_024
"""Characters of a cursor: printable ASCII without quote and backslash, opaque to all but the agent that wrote it."""

MAX_ENVELOPE_BATCHES: Final = 64
"""Batches of one envelope; each of a different job."""

MIN_TIME_US: Final = 0
MAX_TIME_US: Final = 2**53 - 1
"""Times are whole microseconds since 1970, exact in JavaScript's numbers: up to 2255-06-05."""

MAX_SEQUENCE: Final = 2**53 - 1
"""Sequences stay exact in JavaScript's numbers (`Number.MAX_SAFE_INTEGER`)."""

MAX_COUNT: Final = 2**53 - 1
"""Sums (bytes of a job, its gaps, the lines that a gap misses) stay exact in JavaScript's numbers."""

MAX_DURATION_MS: Final = 7_200_000
"""Milliseconds that a message asks somebody to believe it or to wait: nothing said on a connection outlives the two
hours after which API Gateway ends it."""

# --- jobs -----------------------------------------------------------------------------------------------------------

MAX_OPEN_JOBS: Final = 16
"""Jobs of one `open`: sixteen cursors of the longest kind fit the answer's frame."""

MAX_STATUS_JOBS: Final = 64
"""Jobs of one `status`."""

MAX_TIME_MS: Final = 253_402_300_799_999
"""Times of a container's life are whole milliseconds from 1970 to the end of the year 9999, RFC 3339's last."""

MIN_EXIT_CODE: Final = -(2**31)
MAX_EXIT_CODE: Final = 2**32 - 1
"""Linux ends a process with 0 to 255, Windows with 32 bits, which engines give signed or unsigned."""

MAX_RESTARTS: Final = 999_999_999
"""Nine digits, as many as an agent's cursor holds: three years of a restart every 100 ms."""

MAX_LABELS: Final = 64
MAX_LABEL_KEY_CHARS: Final = 128
MAX_LABEL_VALUE_CHARS: Final = 256
MAX_LABELS_BYTES: Final = 4_096
"""Labels that go over are left out by the agent, Logferry's, Compose's, Swarm's and ECS's own last."""

MAX_LABELS_JSON_BYTES: Final = 16_384
"""Bytes of all labels as JSON writes them, where one control character takes six. Labels over it lose their values,
then their places, so that a record with every other field at its longest (15,700 bytes) fits a frame."""

MAX_NAME_CHARS: Final = 255
MAX_IMAGE_CHARS: Final = 512
MAX_DRIVER_CHARS: Final = 64
MAX_MESSAGE_CHARS: Final = 512
"""Characters of an error's or a state's sentence for a person."""

MAX_RESULT_CHARS: Final = 160
"""Characters of the sentence about one job or batch, printable ASCII: 64 results, one for each batch of the largest
envelope, fit the answer's frame."""

MAX_SUBSCRIPTIONS: Final = 200
"""Jobs one viewer's connection may be subscribed to: their tips fit one `pong`."""
