"""Build messages and batches of the wire; every field has a valid default."""

import base64
from typing import Any

from logferry_protocol.batch import encode_body
from logferry_protocol.encoding import digest_of
from logferry_protocol.messages import Batch

CONTAINER = "c" * 64
NOW_MS = 1_764_000_000_000


def batch_document(
    first: int = 1, texts: tuple[str, ...] = ("one", "two", "three"), **overrides: Any
) -> dict[str, Any]:
    """Return a batch as JSON; `streams` and `time` (µs) shape its body, other overrides replace fields afterwards."""
    streams = overrides.pop("streams", "o" * len(texts))
    time = overrides.pop("time", NOW_MS * 1000)
    times = [time + index for index in range(len(texts))]
    body = overrides.pop("body", None) or encode_body(times, streams, texts)
    document = {
        "job": CONTAINER,
        "first": first,
        "count": len(texts),
        "start": times[0],
        "end": times[-1],
        "raw": sum(len(text.encode()) for text in texts),
        "digest": digest_of(body),
        "cursor": f"cursor-{first}",
        "body": base64.b64encode(body).decode(),
    }
    return {**document, **overrides}


def batch(first: int = 1, texts: tuple[str, ...] = ("one", "two", "three"), **overrides: Any) -> Batch:
    """Return a batch as ingest receives it."""
    return Batch.model_validate(batch_document(first, texts, **overrides))
