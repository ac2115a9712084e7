"""Turns stream records into frames and decides who gets them. It has no clock and no network: facts are arguments."""

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
"""How long nothing is sent to a viewer that took nothing. Its pings tell it the tip, and history has what it missed."""


FAN_OUT_SUBSCRIBERS: Final = 400
"""How many subscribers one invocation sends to. Further invocations serve the others, all at the same time."""

GROWTH_INTERVAL_MS: Final = 2_000
"""How often lists get the growth of a running job. A list computes a rate from two of these."""

FAN_OUT_BYTES: Final = 600_000
"""Bytes of frames in one fan-out event. With the subscribers it stays below the megabyte of an asynchronous call."""


@dataclass(frozen=True, slots=True)
class StreamRecord:
    """One record of a stream."""

    sequence_number: str
    item: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Subscriber:
    """A subscription, as stored. `grant` is the table's word for a share.

    Fan-out events carry its fields as JSON, so their names are a format.
    """

    key: Mapping[str, Any]
    connection: str
    credential: str
    principal: str
    created: int
    expires: int
    lagging: int = 0
    """Until when nothing is sent to it, in milliseconds since 1970."""
    selector: Mapping[str, str] | None = None
    grant: str | None = None


def is_news(record: Mapping[str, Any]) -> bool:
    """Return whether a stream record is something to tell: a new batch, or a new or changed item of the registry.

    The mappings filter by keys and attributes, since AWS documents no filter on the kind of change. Removals (also by
    time to live) and changes of stored batches, which nothing makes, are passed over here, whatever a filter lets in.
    """
    is_batch = "first" in record.get("dynamodb", {}).get("Keys", {})
    return record.get("eventName") not in ({"MODIFY", "REMOVE"} if is_batch else {"REMOVE"})


def read_record(record: Mapping[str, Any]) -> StreamRecord:
    """Return a stream record's new image.

    Raises:
        KeyError, ValueError, TypeError: it is not a record of these tables. It fails alone, and goes whole into the
            on-failure bucket.
    """
    return StreamRecord(record["dynamodb"]["SequenceNumber"], from_item(record["dynamodb"]["NewImage"]))


def group_by_job(records: Iterable[StreamRecord]) -> dict[str, list[StreamRecord]]:
    """Return the records of each job, in the order of their sequences."""
    grouped: defaultdict[str, list[StreamRecord]] = defaultdict(list)
    for record in records:
        grouped[record.item["job"]].append(record)
    return {job: sorted(found, key=lambda record: int(record.item["first"])) for job, found in grouped.items()}


def batch_frames(job: str, batches: Sequence[Mapping[str, Any]]) -> list[bytes]:
    """Return `batch` messages, each with as many batches as fit a frame. Bodies are passed on unchanged."""
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
    # A stream record reaches Lambda as JSON, in which a binary attribute is base64.
    return base64.b64decode(body) if isinstance(body, str) else body


def fan_out_events(job: str, frames: Sequence[bytes], subscribers: Sequence[Subscriber]) -> list[dict[str, Any]]:
    """Return the events that make other invocations send frames to subscribers."""
    parts: list[list[bytes]] = [[]]
    for frame in frames:
        if parts[-1] and sum(map(len, parts[-1])) + len(frame) > FAN_OUT_BYTES:
            parts.append([])
        parts[-1].append(frame)
    audience = [asdict(subscriber) for subscriber in subscribers]
    return [{"job": job, "frames": [one.decode() for one in part], "subscribers": audience} for part in parts]


def parse_fan_out_event(event: Mapping[str, Any]) -> tuple[str, list[bytes], list[Subscriber]]:
    """Return the job, the frames and the subscribers of a fan-out event."""
    subscribers = [Subscriber(**subscriber) for subscriber in event["subscribers"]]
    return event["job"], [frame.encode() for frame in event["frames"]], subscribers


def matches(selector: Mapping[str, str] | None, record: JobRecord) -> bool:
    """Return whether a job belongs to a live list. The rules are those of the HTTP API's list."""
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
