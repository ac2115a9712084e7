"""How the archive lies in S3 and is indexed in the registry: what the function archive writes and query reads.

A *segment* holds consecutive batches of one job, the very bytes that the agent made, for history: about a megabyte, so
that one request fetches it. *Rows* are the same entries as JSON lines, for Athena, in a folder for each owner and day.
A *run* is what is archived in one step: several segments, and one object of rows for each day.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from . import items

FACTS: Final = ("first", "count", "start", "end", "raw", "digest", "cursor")
"""What stands beside a batch's body in a segment."""


class DamagedSegmentError(Exception):
    """A segment's bytes are not what was written."""

    def __init__(self, problem: str) -> None:
        super().__init__(problem)
        self.problem = problem

    def __str__(self) -> str:
        return f"a segment of the archive is damaged: {self.problem}"


@dataclass(frozen=True, slots=True)
class Segment:
    """What the index says of one segment."""

    first: int
    last: int
    start: int
    """Earliest and latest time of its entries, in microseconds."""
    end: int
    raw: int
    size: int
    """Bytes of the object."""
    run_first: int
    run_last: int
    days: tuple[str, ...]
    """With the run's ends, where the rows lie."""
    expires: int = 0
    """Seconds since 1970 when it is not kept any more; 0 is never."""

    @property
    def count(self) -> int:
        """How many entries it holds."""
        return self.last - self.first + 1

    def key(self, job: str) -> str:
        """The object that it is."""
        return segment_key(job, (self.run_first, self.run_last), (self.first, self.last))

    def rows(self, job: str, owner: str) -> list[str]:
        """The objects that hold the rows of its run."""
        return [rows_key(owner, day, job, self.run_first, self.run_last) for day in self.days]

    def kept(self, now_ms: int) -> bool:
        """Whether it is still kept. S3 deletes it some hours later than this, and nobody sees which of them when."""
        return not self.expires or self.expires * 1000 > now_ms


def segment_key(job: str, run: tuple[int, int], part: tuple[int, int]) -> str:
    """Where a segment lies, by the first and last sequence of its run and its own: no other run has these keys."""
    return f"segments/{job}/{run[0]:016d}-{run[1]:016d}/{part[0]:016d}-{part[1]:016d}"


def rows_key(owner: str, day: str, job: str, first: int, last: int) -> str:
    """Where the rows of a run's day lie: Hive's folders, which Athena's partition projection computes."""
    return f"logs/owner={owner}/day={day}/{job}-{first:016d}-{last:016d}.jsonl.zst"


def encode_segment(batches: Iterable[Mapping[str, Any]]) -> bytes:
    """A line of JSON that says what follows, then the bodies as they are."""
    taken = list(batches)
    facts = [{**{name: batch[name] for name in FACTS if name in batch}, "size": len(batch["body"])} for batch in taken]
    header = json.dumps({"version": 1, "batches": facts}, separators=(",", ":")).encode()
    return b"".join([header, b"\n", *(batch["body"] for batch in taken)])


def decode_segment(content: bytes) -> list[dict[str, Any]]:
    """The batches of a segment, as the log table holds them.

    Raises:
        DamagedSegmentError: it is none, or not all of one.
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
        raise DamagedSegmentError(f"{len(bodies)} bytes of bodies, said to be {at}")
    return batches


def to_item(job: str, segment: Segment) -> dict[str, Any]:
    """A segment as the index keeps it, ordered by its last sequence: the one that holds a sequence is found by it."""
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
    """A segment of the index."""
    plain = items.from_item(item)
    return Segment(
        **{name: plain[name] for name in ("first", "last", "start", "end", "raw", "size", "run_first", "run_last")},
        days=tuple(plain["days"]),
        expires=plain.get("expires", 0),
    )


class Index:
    """The segments of a job, read from the registry."""

    def __init__(self, dynamodb: Any, registry_table: str) -> None:
        self._dynamodb, self._registry = dynamodb, registry_table

    def from_sequence(self, job: str, sequence: int) -> Iterator[Segment]:
        """The segment that holds a sequence, if there is one, and those after it, ascending."""
        return self._query(job, "sk >= :sk", sequence, forward=True)

    def before_sequence(self, job: str, sequence: int) -> Iterator[Segment]:
        """Segments with entries before a sequence, descending."""
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
