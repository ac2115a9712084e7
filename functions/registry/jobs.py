"""A job's record in the registry, and as viewers are told of it."""

from collections.abc import Iterable, Mapping
from typing import Any

from logferry_protocol.job import Container, JobRecord, LifeCycle

from .items import shard_of

LOST_AFTER_MS = 15 * 60_000
"""An instance pings every four minutes; one that was not heard of for three pings and some is lost."""


def index_attributes(job: str, owner: str, created: int) -> dict[str, str]:
    """Where the job stands in the two indexes: by owner, and among all; the newest can be read first."""
    order = f"{created:013d}#{job}"
    return {"gpk": f"OWNER#{owner}", "gsk": order, "spk": f"JOBS#{shard_of(job)}", "ssk": order}


def grown(item: Mapping[str, Any], batches: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """A job's record as new batches of it make it: how far it got, when it last wrote, when it was last heard of."""
    return {
        **item,
        "tip": max(int(item.get("tip") or 0), *(int(one["first"]) + int(one["count"]) - 1 for one in batches)),
        "last": max(int(item.get("last") or 0), *(int(one["end"]) // 1000 for one in batches)),
        "seen": max(int(item.get("seen") or 0), *(int(one.get("received") or 0) for one in batches)),
    }


def to_record(
    item: Mapping[str, Any], *, tip: int | None = None, heard: int | None = None, now: int | None = None
) -> JobRecord:
    """The record of an item. With `heard` and `now` (ms), a running job of a silent instance is shown as lost."""
    life = LifeCycle.model_validate(item.get("life") or {})
    seen = max(int(item.get("seen") or 0), heard or 0)
    if now is not None and not life.over and now - seen > LOST_AFTER_MS:
        life = life.model_copy(update={"state": "lost"})
    return JobRecord(
        job=item["job"],
        owner=item["owner"],
        principal=item["principal"],
        instance=item["instance"],
        container=Container.model_validate(item.get("container") or {}),
        life=life,
        tip=max(tip or 0, int(item.get("tip") or 0)),
        bytes=int(item.get("bytes") or 0),
        gaps=int(item.get("gaps") or 0),
        last=item.get("last"),
        seen=seen,
    )
