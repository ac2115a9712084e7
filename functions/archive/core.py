"""Decides what is archived, when, and in which objects. It has no clock and no network: all facts are arguments.

How it works. A job's state says up to which sequence it is archived (`tip`) and what is being archived now (`plan`).
One step has five parts:

1. Take the batches after the tip.
2. Write the plan, on the condition that the state has not changed.
3. Put the objects, under keys that only the plan decides.
4. Index them.
5. Advance the tip over the plan, on the condition that the plan is still there.

A crash anywhere leaves a plan. The next run carries it out again, with the same batches, keys and bytes. So each entry
is in one segment and in one object of rows, however often a step starts.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise, takewhile
from json.encoder import encode_basestring
from typing import Any, Final, Literal

from logferry_protocol.batch import STREAM_OF, Columns, decode_body
from logferry_protocol.errors import BatchError
from registry.archive_index import Segment, rows_key, segment_key

Batch = Mapping[str, Any]
"""A batch, as the log table holds it."""

SEGMENT_BYTES: Final = 1_048_576
SEGMENT_BATCHES: Final = 1_000
"""A segment ends at either limit. A page of history needs about one segment."""

RUN_BYTES: Final = 8 * 1_048_576
RUN_RAW_BYTES: Final = 64 * 1_048_576
RUN_ENTRIES: Final = 500_000
RUN_BATCHES: Final = 4_000
"""A run ends at any of these limits: after some seconds of work and tens of megabytes of memory."""

RUN_DAYS: Final = 16
"""A run ends here, too. Each day has a compressor of some megabytes, an object, and a name in the index."""

MAX_BATCH_DAYS: Final = 8
"""A batch with entries of more days is filed whole under its first. A wild clock must not cost one object a line."""

HOURLY_ENTRIES: Final = 10_000
"""A job with this many unarchived entries is archived every hour, one with fewer once a day."""

MAX_AGE_MS: Final = 24 * 3_600_000
"""When a job's first unarchived batch is this old, every hour archives it, whatever its size.

The table's time to live, two days at least, must not come first.
"""

MIN_INTERVAL_MS: Final = 10 * 60_000
"""The pause between two runs of an ended job.

Without it, a container that restarts every second would make an object each time.
"""

UNOPENED_MS: Final = 3 * 3_600_000
"""A job not opened for this long cannot be written now. Agents open their jobs after every connect, and no connection
lives longer than two hours."""

Trigger = Literal["ended", "hourly", "daily"]

_EPOCH: Final = datetime(1970, 1, 1)
_DAY_US: Final = 86_400_000_000


@dataclass(frozen=True, slots=True)
class Plan:
    """What one step archives. It decides the key of every object."""

    first: int
    last: int
    segments: tuple[tuple[int, int], ...]
    """The first and the last sequence of each segment."""
    days: tuple[str, ...]

    def keys(self, job: str, owner: str) -> list[str]:
        """Return the keys of the plan's objects."""
        segments = [segment_key(job, (self.first, self.last), part) for part in self.segments]
        return segments + self.rows_keys(job, owner)

    def rows_keys(self, job: str, owner: str) -> list[str]:
        """Return the keys of the objects with rows, in the order of `days`."""
        return [rows_key(owner, day, job, self.first, self.last) for day in self.days]


@dataclass(frozen=True, slots=True)
class State:
    """How far a job is archived."""

    tip: int = 0
    plan: Plan | None = None
    opened: int = 0
    """When an agent last opened the job, in milliseconds. `archived` is when a step last ended."""
    archived: int = 0
    deleted: bool = False


@dataclass(frozen=True, slots=True)
class Backlog:
    """The part of a job that is not archived yet."""

    first: int
    received: int
    """When the first of its batches was stored, in milliseconds."""
    tip: int


def is_due(why: Trigger, state: State, backlog: Backlog, now_ms: int) -> bool:
    """Return whether a job's backlog is archived now. Otherwise it waits and makes a larger object later.

    Args:
        why: what started the run.
        state: how far the job is archived.
        backlog: what is not archived yet.
        now_ms: the time.
    """
    if state.plan is not None or why == "daily":
        return True
    if now_ms - backlog.received >= MAX_AGE_MS or now_ms - state.opened >= UNOPENED_MS:
        return True
    if why == "ended":
        return now_ms - state.archived >= MIN_INTERVAL_MS
    return backlog.tip - backlog.first + 1 >= HOURLY_ENTRIES


def is_finished(state: State, backlog: Backlog | None, now_ms: int) -> bool:
    """Return whether a job can leave the list of unarchived jobs. The next `open` lists it again."""
    return backlog is None and state.plan is None and now_ms - state.opened >= UNOPENED_MS


def last_of(batch: Batch) -> int:
    """Return the sequence of a batch's last entry."""
    return int(batch["first"]) + int(batch["count"]) - 1


def take_run(batches: Iterable[Batch]) -> list[Batch]:
    """Return the batches of one run: consecutive ones up to its limits, and at least one where there is any."""
    taken: list[Batch] = []
    size = raw = entries = 0
    for batch in batches:
        size, raw, entries = size + len(batch["body"]), raw + batch["raw"], entries + batch["count"]
        full = size > RUN_BYTES or raw > RUN_RAW_BYTES or entries > RUN_ENTRIES or len(taken) >= RUN_BATCHES
        if taken and (full or batch["first"] != last_of(taken[-1]) + 1):
            break
        taken.append(batch)
    return taken


def plan_run(batches: Sequence[Batch]) -> Plan:
    """Return the plan of a run. It covers the first batches up to the greatest number of days."""
    segments: list[tuple[int, int]] = []
    days: set[str] = set()
    size = count = 0
    for batch in batches:
        these = {day for day, _times in _days_of(readable_columns(batch).times)}
        if segments and len(days | these) > RUN_DAYS:
            break
        days |= these
        size, count = size + len(batch["body"]), count + 1
        if segments and size <= SEGMENT_BYTES and count <= SEGMENT_BATCHES:
            segments[-1] = (segments[-1][0], last_of(batch))
        else:
            segments.append((batch["first"], last_of(batch)))
            size, count = len(batch["body"]), 1
    return Plan(segments[0][0], segments[-1][1], tuple(segments), tuple(sorted(days)))


def batches_up_to(batches: Iterable[Batch], last: int) -> list[Batch]:
    """Return the batches that begin up to a sequence."""
    return list(takewhile(lambda batch: batch["first"] <= last, batches))


def covers_plan(plan: Plan, batches: Sequence[Batch]) -> bool:
    """Return whether the batches are all that the plan covers. They are not once the time to live deleted some."""
    if not batches or (batches[0]["first"], last_of(batches[-1])) != (plan.first, plan.last):
        return False
    return all(last_of(one) + 1 == other["first"] for one, other in pairwise(batches))


def build_segments(plan: Plan, batches: Sequence[Batch], expires: int) -> list[tuple[Segment, list[Batch]]]:
    """Return the plan's segments with the batches of each.

    Args:
        plan: the plan.
        batches: the batches that it covers.
        expires: when the segments expire, in seconds since 1970; 0 means never.
    """
    made = []
    for first, last in plan.segments:
        inside = [batch for batch in batches if first <= batch["first"] <= last]
        segment = Segment(
            first,
            last,
            min(batch["start"] for batch in inside),
            max(batch["end"] for batch in inside),
            sum(batch["raw"] for batch in inside),
            sum(len(batch["body"]) for batch in inside),
            plan.first,
            plan.last,
            plan.days,
            expires,
        )
        made.append((segment, inside))
    return made


def readable_columns(batch: Batch) -> Columns:
    """Return a batch's entries, or none if its body cannot be read. Its bytes are archived in any case."""
    try:
        return decode_body(batch["body"])
    except BatchError:
        return Columns((), "", ())


def rows(job: str, container: Mapping[str, Any], batch: Batch) -> Iterator[tuple[str, str]]:
    """Yield a batch's entries as JSON lines: each day that occurs, with its lines.

    The columns are those of `export --format jsonl`, and the container's name, host and image.
    """
    columns = readable_columns(batch)
    facts = "".join(
        f',"{name}":{encode_basestring(str(container.get(name, "")))}' for name in ("name", "host", "image")
    )
    tail = f',"job":"{job}"{facts}}}\n'
    at = 0
    for day, times in _days_of(columns.times):
        until = at + len(times)
        yield (
            day,
            "".join(
                f'{{"sequence":{sequence},"time":"{timestamp(time)}","stream":"{STREAM_OF[character]}",'
                f'"line":{encode_basestring(text)}{tail}'
                for sequence, time, character, text in zip(
                    range(batch["first"] + at, batch["first"] + until),
                    times,
                    columns.streams[at:until],
                    columns.texts[at:until],
                    strict=True,
                )
            ),
        )
        at = until


def _days_of(times: Sequence[int]) -> list[tuple[str, Sequence[int]]]:
    """Return the days of a batch's entries, in their order. A day may come again after a clock stepped back."""
    if not times:
        return []
    cuts = [0, *(at for at in range(1, len(times)) if times[at] // _DAY_US != times[at - 1] // _DAY_US), len(times)]
    parts = [times[begin:end] for begin, end in pairwise(cuts)]
    if len({part[0] // _DAY_US for part in parts}) > MAX_BATCH_DAYS:
        return [(timestamp(min(times))[:10], times)]
    return [(timestamp(part[0])[:10], part) for part in parts]


def timestamp(us: int) -> str:
    """Return a time in RFC 3339, UTC, with microseconds. Athena's from_iso8601_timestamp reads it."""
    return (_EPOCH + timedelta(microseconds=us)).isoformat(timespec="microseconds") + "Z"
