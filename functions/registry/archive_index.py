"""The archive's objects in S3 and their index in the registry. `archive` writes them and `query` reads them.

A *segment* is an object with consecutive batches of one job, in the bytes that the agent made. It has about a megabyte,
so that one request of history fetches it. *Rows* are the same entries as JSON lines for Athena, in a folder for each
owner and day. A *run* is what one step archives: several segments, and one object of rows for each day.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from . import items

FACTS: Final = ("first", "count", "start", "end", "raw", "digest", "cursor")
"""The fields that a segment stores beside a batch's body."""


class DamagedSegmentError(Exception):
    """The bytes of a segment are not what was written."""

    def __init__(self, problem: str) -> None:
        super().__init__(problem)
        self.problem = problem

    def __str__(self) -> str:
        return f"a segment of the archive is damaged: {self.problem}"


@dataclass(frozen=True, slots=True)
class Segment:
    """One segment, as the index describes it."""

    first: int
    last: int
    start: int
    """The earliest and the latest time of its entries, in microseconds."""
    end: int
    raw: int
    size: int
    """The size of the object in bytes."""
    run_first: int
    run_last: int
    days: tuple[str, ...]
    """The days of its run. With the run's ends they give the keys of the rows."""
    expires: int = 0
    """When the segment expires, in seconds since 1970; 0 means never."""

    @property
    def count(self) -> int:
        """Return the number of entries."""
        return self.last - self.first + 1

    def key(self, job: str) -> str:
        """Return the key of the segment's object."""
        return segment_key(job, (self.run_first, self.run_last), (self.first, self.last))

    def rows(self, job: str, owner: str) -> list[str]:
        """Return the keys of the objects with the rows of its run."""
        return [rows_key(owner, day, job, self.run_first, self.run_last) for day in self.days]

    def kept(self, now_ms: int) -> bool:
        """Return whether readers may still use the segment. S3 deletes it some hours after it expires."""
        return not self.expires or self.expires * 1000 > now_ms


def segment_key(job: str, run: tuple[int, int], part: tuple[int, int]) -> str:
    """Return the key of a segment's object. No other run has the same key.

    Args:
        job: the job's id.
        run: the first and last sequence of the run.
        part: the first and last sequence of the segment.
    """
    return f"segments/{job}/{run[0]:016d}-{run[1]:016d}/{part[0]:016d}-{part[1]:016d}"


def rows_key(owner: str, day: str, job: str, first: int, last: int) -> str:
    """Return the key of a run's rows of one day. Athena's partition projection needs Hive's folder names.

    Args:
        owner: the job's owner.
        day: the UTC day, `YYYY-MM-DD`.
        job: the job's id.
        first: the first sequence of the run.
        last: the last sequence of the run.
    """
    return f"logs/owner={owner}/day={day}/{job}-{first:016d}-{last:016d}.jsonl.zst"


def encode_segment(batches: Iterable[Mapping[str, Any]]) -> bytes:
    """Return a segment: one line of JSON that describes the batches, then their bodies unchanged."""
    kept = list(batches)
    facts = [{**{name: batch[name] for name in FACTS if name in batch}, "size": len(batch["body"])} for batch in kept]
    header = json.dumps({"version": 1, "batches": facts}, separators=(",", ":")).encode()
    return b"".join([header, b"\n", *(batch["body"] for batch in kept)])


def decode_segment(content: bytes) -> list[dict[str, Any]]:
    """Return the batches of a segment, as the log table holds them.

    Raises:
        DamagedSegmentError: the content is not a whole segment.
    """
    header, _, bodies = content.partition(b"\n")
    try:
        document = json.loads(header)
        if document["version"] != 1:
            raise DamagedSegmentError(f"its version is {document['version']!r}")
        batches, at = [], 0
        for facts in document["batches"]:
            size = facts.pop("size")
            batches.append({**facts, "body": bodies[at : at + size]})
            at += size
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DamagedSegmentError(f"{type(error).__name__}: {error}") from error
    if at != len(bodies):
        raise DamagedSegmentError(f"it has {len(bodies)} bytes of bodies, not {at}")
    return batches


def to_item(job: str, segment: Segment) -> dict[str, Any]:
    """Return the index item of a segment.

    Its sort key is the last sequence, so that a query finds the segment that holds a sequence.
    """
    attributes = {
        "first": segment.first,
        "last": segment.last,
        "start": segment.start,
        "end": segment.end,
        "raw": segment.raw,
        "size": segment.size,
        "run_first": segment.run_first,
        "run_last": segment.run_last,
        "days": list(segment.days),
        "expires": segment.expires or None,
    }
    return {**items.segment_key(job, segment.last), **items.to_item(attributes)}


def from_item(item: Mapping[str, Any]) -> Segment:
    """Return the segment of an index item."""
    plain = items.from_item(item)
    return Segment(
        **{name: plain[name] for name in ("first", "last", "start", "end", "raw", "size", "run_first", "run_last")},
        days=tuple(plain["days"]),
        expires=plain.get("expires", 0),
    )


class Index:
    """Reads the segments of a job from the registry."""

    def __init__(self, dynamodb: Any, registry_table: str) -> None:
        self._dynamodb, self._registry = dynamodb, registry_table

    def from_sequence(self, job: str, sequence: int) -> Iterator[Segment]:
        """Return the segment that holds a sequence, where one does, and those after it, ascending."""
        return self._query(job, "sk >= :sk", sequence, forward=True)

    def before_sequence(self, job: str, sequence: int) -> Iterator[Segment]:
        """Return the segments with entries before a sequence, descending."""
        for segment in self._query(job, "sk >= :sk", sequence - 1, forward=True, limit=1):
            if segment.first < sequence:
                yield segment
        yield from self._query(job, "sk < :sk", sequence - 1, forward=False)

    def _query(
        self, job: str, condition: str, sequence: int, *, forward: bool, limit: int | None = None
    ) -> Iterator[Segment]:
        arguments: dict[str, Any] = {
            "TableName": self._registry,
            "KeyConditionExpression": f"pk = :pk AND {condition}",
            "ExpressionAttributeValues": {
                ":pk": items.segment_key(job, 0)["pk"],
                ":sk": items.segment_key(job, max(0, sequence))["sk"],
            },
            "ScanIndexForward": forward,
            "ConsistentRead": True,
            "Limit": limit or 50,
        }
        while True:
            answer = self._dynamodb.query(**arguments)
            yield from map(from_item, answer["Items"])
            if limit or "LastEvaluatedKey" not in answer:
                return
            arguments["ExclusiveStartKey"] = answer["LastEvaluatedKey"]
