"""A job's record: as the registry stores it, and as viewers get it."""

from collections.abc import Iterable, Mapping
from typing import Any, Final, TypeVar

from pydantic import BaseModel, ValidationError

from logferry_protocol.job import Container, JobRecord, LifeCycle
from logferry_protocol.limits import MAX_MESSAGE_CHARS, MAX_SEQUENCE

from .items import shard_of

LOST_AFTER_MS = 15 * 60_000
"""An instance pings every four minutes. It counts as lost after three missed pings and a margin."""

MAX_CLOCK_AHEAD_MS: Final = 24 * 3_600_000
"""How far a host's clock may be ahead of the cloud's. Ingest refuses entries with a later time."""

T = TypeVar("T", bound=BaseModel)


class DamagedRecordError(Exception):
    """An item without a readable job id or owner. No record can be made of it."""

    def __init__(self, job: str, problem: str) -> None:
        super().__init__(job, problem)
        self.job, self.problem = job, problem

    def __str__(self) -> str:
        return f"the record of the job {self.job} is damaged: {self.problem}"


def sort_time(created: int | None, now_ms: int) -> int:
    """Return the time by which lists order a job: its creation, or when the cloud first heard of it if that is earlier.

    The cloud cannot hear of a container before it is created. So a later time comes from a wrong clock, or from
    somebody who wants to be first in the list, and does not count.
    """
    return min(created or now_ms, now_ms)


def index_attributes(job: str, owner: str, created: int) -> dict[str, str]:
    """Return the attributes that list a job in the two indexes: by owner, and among all jobs, the newest first."""
    order = f"{created:013d}#{job}"
    return {"gpk": f"OWNER#{owner}", "gsk": order, "spk": f"JOBS#{shard_of(job)}", "ssk": order}


def list_position(item: Mapping[str, Any]) -> str:
    """Return a job's position in lists, as stored. The next page of a list starts after it."""
    return str(item["gsk"])


def latest_list_position(now_ms: int) -> str:
    """Return the greatest list position of a job that was created up to now, by any clock that counts."""
    return f"{now_ms + MAX_CLOCK_AHEAD_MS:013d}"


def instance_of(item: Mapping[str, Any]) -> tuple[str, str]:
    """Return the principal and the engine's id of a job."""
    return str(item.get("principal") or ""), str(item.get("instance") or "")


def with_batches(item: Mapping[str, Any], batches: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Return a job's record, updated by new batches: its tip, its last entry's time and when it was last heard of."""
    return {
        **item,
        "tip": max(_number(item.get("tip")), *(int(one["first"]) + int(one["count"]) - 1 for one in batches)),
        "last": max(_number(item.get("last")), *(int(one["end"]) // 1000 for one in batches)),
        "seen": max(_number(item.get("seen")), *(int(one.get("received") or 0) for one in batches)),
    }


def to_record(
    item: Mapping[str, Any], *, tip: int | None = None, heard: int | None = None, now: int | None = None
) -> JobRecord:
    """Return the record of an item.

    An earlier version stored values that it should have refused, and readers of version 1 refuse a whole list for one
    bad record. So numbers are moved to their bounds, and impossible times become the time at which the job was heard
    of. Unreadable fields of the container or its life are left out, and the record's `problem` names them.

    Args:
        item: the stored attributes.
        tip: the job's tip, where the caller knows a later one.
        heard: when the job's instance was last heard of, in milliseconds.
        now: the time in milliseconds. With it, a running job of a silent instance is shown as lost.

    Raises:
        DamagedRecordError: the job's id or owner cannot be read.
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
    """Return replacements for times that no clock has reached: the time at which the job was first or last heard of."""
    if not seen:
        return {}
    first = min(created or seen, seen)
    changes = {"created": first} if (life.created or 0) > first + MAX_CLOCK_AHEAD_MS else {}
    for name in ("started", "ended"):
        if (getattr(life, name) or 0) > seen + MAX_CLOCK_AHEAD_MS:
            changes[name] = seen
    return changes


def _read(model: type[T], stored: Any, name: str) -> tuple[T, list[str]]:
    """Return a part of a record without its unreadable fields, and the names of those."""
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
    """Return a stored number, or 0 where something else is stored."""
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else 0
