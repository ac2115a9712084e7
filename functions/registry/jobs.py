"""A job's record in the registry, and as viewers are told of it."""

from collections.abc import Iterable, Mapping
from typing import Any, Final, TypeVar

from pydantic import BaseModel, ValidationError

from logferry_protocol.job import Container, JobRecord, LifeCycle
from logferry_protocol.limits import MAX_MESSAGE_CHARS, MAX_SEQUENCE

from .items import shard_of

LOST_AFTER_MS = 15 * 60_000
"""An instance pings every four minutes; one that was not heard of for three pings and some is lost."""

MAX_CLOCK_AHEAD_MS: Final = 24 * 3_600_000
"""How far a host's clock may be ahead of ours: as far as ingest lets the times of lines be."""

T = TypeVar("T", bound=BaseModel)


class DamagedRecordError(Exception):
    """An item of which not even the names of the job can be read; no record can be made of it."""

    def __init__(self, job: str, problem: str) -> None:
        super().__init__(job, problem)
        self.job, self.problem = job, problem

    def __str__(self) -> str:
        return f"the record of the job {self.job} is damaged: {self.problem}"


def sort_time(created: int | None, now_ms: int) -> int:
    """By which time a job stands in lists: when it was created, or when it was first heard of if that was before.

    No container is created after the cloud has heard of it: a time that is later than ours, of a clock that is wrong or
    of somebody who wants to stand first, does not count.
    """
    return min(created or now_ms, now_ms)


def index_attributes(job: str, owner: str, created: int) -> dict[str, str]:
    """Where the job stands in the two indexes: by owner, and among all; the newest can be read first."""
    order = f"{created:013d}#{job}"
    return {"gpk": f"OWNER#{owner}", "gsk": order, "spk": f"JOBS#{shard_of(job)}", "ssk": order}


def list_position(item: Mapping[str, Any]) -> str:
    """Where the job stands in lists, as it is stored: a list goes on behind it."""
    return str(item["gsk"])


def latest_list_position(now_ms: int) -> str:
    """What no place of a job that was created up to now, by any clock that counts, is greater than."""
    return f"{now_ms + MAX_CLOCK_AHEAD_MS:013d}"


def instance_of(item: Mapping[str, Any]) -> tuple[str, str]:
    """The principal and the engine's id that a job belongs to."""
    return str(item.get("principal") or ""), str(item.get("instance") or "")


def with_batches(item: Mapping[str, Any], batches: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """A job's record as new batches of it make it: how far it got, when it last wrote, when it was last heard of."""
    return {
        **item,
        "tip": max(_number(item.get("tip")), *(int(one["first"]) + int(one["count"]) - 1 for one in batches)),
        "last": max(_number(item.get("last")), *(int(one["end"]) // 1000 for one in batches)),
        "seen": max(_number(item.get("seen")), *(int(one.get("received") or 0) for one in batches)),
    }


def to_record(
    item: Mapping[str, Any], *, tip: int | None = None, heard: int | None = None, now: int | None = None
) -> JobRecord:
    """The record of an item. With `heard` and `now` (ms), a running job of a silent instance is shown as lost.

    An earlier version stored what it should have refused. So numbers are moved to their bounds, times that nobody's
    clock has reached to when the job was heard of, and what cannot be read of the container or of its life is left out;
    then the record's `problem` says so. Readers of version 1 refuse a whole list for one record that does not fit.

    Raises:
        DamagedRecordError: what the job is called, or whose it is, cannot be read.
    """
    container, damaged = _read(Container, item.get("container"), "container")
    life, more = _read(LifeCycle, item.get("life"), "life")
    seen = max(_number(item.get("seen")), heard or 0)
    changes: dict[str, Any] = _corrected_times(life, _number(item.get("created")), seen)
    if damaged or more:
        sentence = f"The stored record is damaged: {', '.join([*damaged, *more])} could not be read."
        changes["problem"] = f"{life.problem} {sentence}"[:MAX_MESSAGE_CHARS] if life.problem else sentence
    if now is not None and not life.over and now - seen > LOST_AFTER_MS:
        changes["state"] = "lost"
    last = item.get("last")
    try:
        return JobRecord(
            job=item["job"],
            owner=item["owner"],
            principal=item["principal"],
            instance=str(item.get("instance") or "")[:128],
            container=container,
            life=life.model_copy(update=changes) if changes else life,
            tip=min(max(tip or 0, _number(item.get("tip"))), MAX_SEQUENCE),
            bytes=_number(item.get("bytes")),
            gaps=_number(item.get("gaps")),
            last=None if last is None else _number(last),
            seen=seen,
        )
    except (KeyError, ValidationError) as error:
        raise DamagedRecordError(str(item.get("job"))[:160], str(error)[:MAX_MESSAGE_CHARS]) from None


def _corrected_times(life: LifeCycle, created: int, seen: int) -> dict[str, int]:
    """Other times in the place of those that nobody's clock has reached: when the job was heard of, first or last."""
    if not seen:
        return {}
    first = min(created or seen, seen)
    changes = {"created": first} if (life.created or 0) > first + MAX_CLOCK_AHEAD_MS else {}
    for name in ("started", "ended"):
        if (getattr(life, name) or 0) > seen + MAX_CLOCK_AHEAD_MS:
            changes[name] = seen
    return changes


def _read(model: type[T], stored: Any, name: str) -> tuple[T, list[str]]:
    """A part of a record, without the fields of it that cannot be read, and their names."""
    if stored is None:
        return model(), []
    if not isinstance(stored, Mapping):
        return model(), [name]
    try:
        return model.model_validate(stored), []
    except ValidationError as error:
        damaged = sorted({str(one["loc"][0]) for one in error.errors(include_url=False, include_input=False)})
    sound = {key: value for key, value in stored.items() if key not in damaged}
    return model.model_validate(sound), [f"{name}.{field}" for field in damaged]


def _number(value: Any) -> int:
    """A stored number; 0 where something else is stored."""
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else 0
