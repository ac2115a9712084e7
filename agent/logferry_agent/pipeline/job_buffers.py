"""The jobs in the pipeline: what is known of each one here, and its row in the spool."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Final

import structlog

from logferry_protocol.job import CONTAINER_PATTERN, Container, LifeCycle

from ..core.batching.batcher import Batcher
from ..core.batching.entries import Chunk
from ..core.batching.gap import MissingEntries
from ..core.batching.ports import Job
from ..core.batching.processing import ProcessingOptions, Processor
from ..core.container.container_redaction import redact_container
from ..core.container.label_settings import ALL, LabelSettings, apply_label_settings
from ..core.redaction.redaction import compile_rules
from ..core.session.job_record import JobRecord
from ..core.session.session import Session
from ..edge.metrics import Metrics
from ..edge.spool import Progress, Spool, StoredJob
from .journal import Journal
from .lenient_models import checked, lenient

log = structlog.get_logger(__name__)

_CONTAINER: Final = re.compile(CONTAINER_PATTERN)


def is_job_id(text: str) -> bool:
    """Return whether a message can name a job so."""
    return _CONTAINER.fullmatch(text) is not None


@dataclass(slots=True)
class Lane:
    """One job in the pipeline."""

    id: str
    container: Container
    """As the cloud is told, without what is hidden."""
    life: LifeCycle
    cursor: str | None
    """After its last closed batch."""
    batcher: Batcher = field(default_factory=Batcher)
    opened_at: float = 0.0
    """When the open batch got its first entry."""
    ended: bool = False
    parked: bool = False
    discarded: bool = False
    problem: str | None = None
    """What is wrong with reading or shipping it, for a person."""
    processor: Processor | None = None
    held_until: float = 0.0
    """When what the processor holds back goes on as it is."""
    held_saved: Chunk | None = None
    """What of it is on the disk, or was and was not taken away there yet."""
    failures: int = 0
    """How often in a row an error of ours was met with it (see isolation.py)."""
    retry_at: float | None = None
    """When it is taken up again after one; None while it is not parked for that."""
    described: Container | None = None
    """As the reader described it last."""
    hidden: Counter[str] = field(default_factory=Counter)
    """What was counted as hidden in its description."""
    gaps: dict[int, MissingEntries] = field(default_factory=dict)
    """What the queued gaps made here stand for."""

    @property
    def shown(self) -> LifeCycle:
        """Its life as the cloud is told."""
        if self.problem is None:
            return self.life
        problem = self.problem
        if self.processor is not None and (redaction := self.processor.processing.redaction):
            problem = compile_rules(redaction).hide_alone(problem, Counter())
        return self.life.model_copy(update={"problem": problem[:512]})


class Lanes:
    """All jobs of the pipeline; each change of one reaches the session and the spool."""

    def __init__(
        self,
        spool: Spool,
        journal: Journal,
        session: Session,
        processing: ProcessingOptions,
        allow_labels: Collection[str] = ALL,
        *,
        metrics: Metrics,
    ) -> None:
        """allow_labels: what a container may set by a label, names of `core.apply_label_settings.ALL`."""
        self._metrics = metrics
        self._spool, self._journal, self._session = spool, journal, session
        self._processing, self._allow_labels = processing, allow_labels
        self.by_id: dict[str, Lane] = {}

    def restore(self, stored: StoredJob) -> Lane:
        """Take up a job of the last run; the session learns of it when its queue is known."""
        container, life = lenient(Container, stored.container), lenient(LifeCycle, stored.life)
        settings = self._settings_of(container)
        processing = settings.processing
        # What this hides was counted where it was first seen, or is when a reader describes it.
        lane = Lane(
            stored.id,
            redact_container(processing.redaction, container, settings.valid)[0],
            life,
            stored.cursor,
            ended=stored.ended,
            processor=Processor(processing) if processing.wanted else None,
        )
        self.by_id[lane.id] = lane
        return lane

    def appear(self, job: Job, now: float) -> None:
        """A reader sees a job, perhaps one that is known."""
        if not is_job_id(job.id):
            log.error("job_without_id", id=job.id[:80])
            return
        job = checked(job)
        lane = self.by_id.get(job.id)
        if lane is not None and job.container == lane.described:
            container, hidden = lane.container, lane.hidden
        else:
            settings = self._settings_of(job.container)
            processing = settings.processing
            container, hidden = redact_container(processing.redaction, job.container, settings.valid)
        if lane is None:
            processor = Processor(processing) if processing.wanted else None
            lane = self.by_id[job.id] = Lane(job.id, container, job.life, None, processor=processor)
            stored = StoredJob(job.id, container.model_dump_json(), job.life.model_dump_json())
            self._journal.grow(lambda: self._spool.put_job(stored))
            self._session.add(JobRecord(job.id, container, job.life), now)
        elif (container, job.life) != (lane.container, lane.life):
            lane.container, lane.life = container, job.life
            self.changed(lane, now)
        lane.described = job.container
        if more := hidden - lane.hidden:
            self._metrics.redacted(more)
            lane.hidden |= hidden

    def progressed(self, lane: Lane, now: float) -> None:
        """A batch of it was closed: what failed before does not any more."""
        if lane.failures:
            lane.failures, lane.problem = 0, None
            self.changed(lane, now)

    def changed(self, lane: Lane, now: float) -> None:
        """Something of it that the cloud is told is not what it was."""
        if self.describe(lane) is not None:
            self._session.change(lane.id, lane.container, lane.shown, now)

    def describe(self, lane: Lane) -> JobRecord | None:
        """Write what the engine says of it; None when the session has forgotten it."""
        if (state := self._session.jobs.get(lane.id)) is not None:
            stored = _stored(lane, state)
            self._journal.grow(lambda: self._spool.describe(stored))
        return state

    def advance(self, lane: Lane) -> None:
        """Write what an acknowledgement changed."""
        if (state := self._session.jobs.get(lane.id)) is not None:
            progress = Progress(state.tip, state.digest, state.bytes, state.gaps, state.last)
            self._journal.settle(lambda: self._spool.advance(lane.id, progress))

    def replace(self, lane: Lane) -> None:
        """Write it whole."""
        stored = _stored(lane, self._session.jobs[lane.id])
        self._journal.grow(lambda: self._spool.put_job(stored))

    def forget(self, job_id: str) -> None:
        """It is done with."""
        self.by_id.pop(job_id, None)
        self._journal.grow(lambda: self._spool.forget(job_id))

    def _settings_of(self, container: Container) -> LabelSettings:
        """Return what is to be done with a container's lines; its labels never change."""
        return apply_label_settings(self._processing, container.labels, self._allow_labels)


def _stored(lane: Lane, state: JobRecord) -> StoredJob:
    return StoredJob(
        lane.id,
        lane.container.model_dump_json(),
        lane.life.model_dump_json(),
        lane.ended,
        state.tip,
        state.digest,
        lane.cursor,
        state.bytes,
        state.gaps,
        state.last,
    )
