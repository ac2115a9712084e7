"""Turns stream records into frames and decides who gets them. No clock, no network: all that is known comes in."""

import base64
import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from logferry_protocol.job import JobRecord
from logferry_protocol.limits import MAX_FRAME_BYTES
from registry.items import from_item

LAGGING_MS: Final = 3_000
"""How long a viewer that took nothing is left alone; its pings tell it the tip, so it catches up by history."""


FAN_OUT_SUBSCRIBERS: Final = 400
"""Subscribers that one invocation sends to. Those of a larger audience are handed over to others, all at once."""

GROWTH_INTERVAL_MS: Final = 2_000
"""How often lists are told that a running job grew. A list reads a rate from two of these."""

FAN_OUT_BYTES: Final = 600_000
"""Bytes of frames in one hand-over: with the subscribers it stays below the megabyte of an asynchronous call."""


@dataclass(frozen=True, slots=True)
class StreamRecord:
    """One record of a stream that was understood."""

    sequence_number: str
    item: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Subscriber:
    """A subscription as it is stored."""

    key: Mapping[str, Any]
    connection: str
    credential: str
    principal: str
    created: int
    expires: int
    lagging: int = 0
    """Milliseconds since 1970 until which it is left alone."""
    selector: Mapping[str, str] | None = None
    grant: str | None = None


def read_record(record: Mapping[str, Any]) -> StreamRecord:
    """A stream record's new image.

    Raises:
        KeyError, ValueError, TypeError: it is no record of ours. It fails alone and ends in the failure bucket, whole.
    """
    return StreamRecord(record["dynamodb"]["SequenceNumber"], from_item(record["dynamodb"]["NewImage"]))


def group_by_job(records: Iterable[StreamRecord]) -> dict[str, list[StreamRecord]]:
    """Arrivals of each job, in the order of their sequences."""
    grouped: defaultdict[str, list[StreamRecord]] = defaultdict(list)
    for record in records:
        grouped[record.item["job"]].append(record)
    return {job: sorted(found, key=lambda record: int(record.item["first"])) for job, found in grouped.items()}


def batch_frames(job: str, batches: Sequence[Mapping[str, Any]]) -> list[bytes]:
    """`batch` messages with as many batches as fit each frame. What was compressed once is passed on as it is."""
    head = f'{{"type":"batch","job":"{job}","batches":['.encode()
    frames: list[bytes] = []
    parts: list[bytes] = []
    size = len(head) + 2
    for batch in batches:
        part = _facts(batch)
        if parts and size + len(part) + 1 > MAX_FRAME_BYTES:
            frames.append(head + b",".join(parts) + b"]}")
            parts, size = [], len(head) + 2
        parts.append(part)
        size += len(part) + 1
    if parts:
        frames.append(head + b",".join(parts) + b"]}")
    return frames


def _facts(batch: Mapping[str, Any]) -> bytes:
    facts = {name: batch[name] for name in ("first", "count", "start", "end", "raw", "digest")}
    facts["body"] = base64.b64encode(_bytes(batch["body"])).decode()
    return json.dumps(facts, separators=(",", ":")).encode()


def _bytes(body: bytes | str) -> bytes:
    # A stream record reaches Lambda as JSON, where a binary attribute is base64.
    return base64.b64decode(body) if isinstance(body, str) else body


def fan_out_events(job: str, frames: Sequence[bytes], subscribers: Sequence[Subscriber]) -> list[dict[str, Any]]:
    """What other invocations are to send to a part of the audience."""
    parts: list[list[bytes]] = [[]]
    for frame in frames:
        if parts[-1] and sum(map(len, parts[-1])) + len(frame) > FAN_OUT_BYTES:
            parts.append([])
        parts[-1].append(frame)
    audience = [asdict(subscriber) for subscriber in subscribers]
    return [{"job": job, "frames": [one.decode() for one in part], "subscribers": audience} for part in parts]


def parse_fan_out_event(event: Mapping[str, Any]) -> tuple[str, list[bytes], list[Subscriber]]:
    """What `fan_out_events` made: the job, its frames, and who is to get them."""
    subscribers = [Subscriber(**subscriber) for subscriber in event["subscribers"]]
    return event["job"], [frame.encode() for frame in event["frames"]], subscribers


def matches(selector: Mapping[str, str] | None, record: JobRecord) -> bool:
    """Whether a job belongs to a live list; the same rules as the HTTP API's list."""
    wanted = dict(selector or {})
    label = wanted.pop("label", None)
    if label is not None:
        name, equals, value = label.partition("=")
        labels = record.container.labels
        if name not in labels or (equals and labels[name] != value):
            return False
    facts = {
        "owner": record.owner,
        "host": record.container.host,
        "name": record.container.name,
        "image": record.container.image,
    }
    return all(facts.get(field) == value for field, value in wanted.items())
