"""The jobs in the pipeline: what is known of each one here, its open batch, and its row in the spool."""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

import structlog

from logferry_protocol.events import GapReason
from logferry_protocol.job import CONTAINER_PATTERN, Container, LifeCycle

from ..core.batching.batcher import Batcher
from ..core.batching.entries import Chunk
from ..core.batching.gap import MissingEntries, build_gap_batch
from ..core.batching.ports import Job
from ..core.batching.processing import Processor
from ..core.container.container_redaction import redact_container
from ..core.container.label_settings import LabelSettings
from ..core.redaction.redaction import compile_rules
from ..core.session.job_record import JobRecord
from ..core.session.lenient_models import parse_leniently, without_invalid_fields
from ..core.session.session import Session
from ..edge.container_reader import FAILED
from ..edge.metrics import Metrics
from ..edge.spool import Progress, StoredJob
from .batch_queue import BatchQueue
from .intake import Intake

log = structlog.get_logger(__name__)

_CONTAINER: Final = re.compile(CONTAINER_PATTERN)


def is_job_id(text: str) -> bool:
    """Return whether a message can carry this id of a job."""
    return _CONTAINER.fullmatch(text) is not None


@dataclass(slots=True)
class JobBuffer:
    """One job in the pipeline. Moments are in seconds of the monotonic clock."""

    id: str
    container: Container
    """As the cloud is told, without what is hidden."""
    life: LifeCycle
    cursor: str | None
    """After its last closed batch."""
    batcher: Batcher = field(default_factory=Batcher)
    """Holds its open batch."""
    opened_at: float = 0.0
    """When the open batch got its first entry."""
    ended: bool = False
    """Whether nothing more of it can be read."""
    refused: bool = False
    """Whether the cloud refuses it for now."""
    discarded: bool = False
    """Whether it was deleted in the cloud, so that its lines are dropped."""
    problem: str | None = None
    """What is wrong with reading or shipping it, for the operator."""
    processor: Processor | None = None
    held_until: float = 0.0
    """When to stop waiting for lines that join the entry that the processor holds back."""
    held_saved: Chunk | None = None
    """The held entry as it is on disk, or as it was before its removal is written."""
    failures: int = 0
    """How often in a row the agent failed to process it (see `job_isolation.py`)."""
    retry_at: float | None = None
    """When to read it again after such a failure; None while it is not parked for one."""
    described: Container | None = None
    """The container as the reader described it last."""
    hidden: Counter[str] = field(default_factory=Counter)
    """How many secrets were hidden in that description, by the name of what found them."""

    @property
    def reported_life(self) -> LifeCycle:
        """Its life as the cloud is told, with its problem."""
        if self.problem is None:
            return self.life
        problem = self.problem
        if self.processor is not None and (redaction := self.processor.processing.redaction):
            problem = compile_rules(redaction).redact_text(problem, Counter())
        return self.life.model_copy(update={"problem": problem[:512]})


class JobBuffers:
    """All jobs of the pipeline. Each change of one reaches the session, the spool and, where it has to, its reader."""

    def __init__(
        self,
        queue: BatchQueue,
        session: Session,
        intake: Intake,
        metrics: Metrics,
        settings_of: Callable[[Container], LabelSettings],
    ) -> None:
        """Start without jobs.

        Args:
            queue: writes the jobs' rows and open batches.
            session: what is sent to the cloud.
            intake: where readers are told to read a job again.
            metrics: counts hidden secrets and refused jobs.
            settings_of: returns how to process a container's lines; its labels never change.
        """
        self._queue, self._session, self._intake, self._metrics = queue, session, intake, metrics
        self._settings_of = settings_of
        self.by_id: dict[str, JobBuffer] = {}
        self.open: dict[str, JobBuffer] = {}
        """Jobs with entries in their open batch."""
        self.holding: dict[str, JobBuffer] = {}
        """Jobs whose processor holds an entry back."""
        self.kept: dict[str, JobBuffer] = {}
        """Jobs with such an entry on disk, whether it is still held back or not."""

    # --- description --------------------------------------------------------------------------------------------

    def restore(self, stored: StoredJob) -> JobBuffer:
        """Bring back a job of the last run. The session learns of it when its queue is known."""
        container, refused = parse_leniently(Container, stored.container)
        _log_refused("stored_fields_refused", Container, refused)
        life, refused = parse_leniently(LifeCycle, stored.life)
        _log_refused("stored_fields_refused", LifeCycle, refused)
        settings = self._settings_of(container)
        processing = settings.processing
        # What this hides was counted where it was first seen, or is counted when a reader describes it.
        buffer = JobBuffer(
            stored.id,
            redact_container(processing.redaction, container, settings.valid)[0],
            life,
            stored.cursor,
            ended=stored.ended,
            processor=Processor(processing) if processing.any_enabled else None,
        )
        self.by_id[buffer.id] = buffer
        return buffer

    def appear(self, job: Job, now: float) -> None:
        """Add a job that a reader sees, or update it when it is known."""
        if not is_job_id(job.id):
            log.error("job_without_id", id=job.id[:80])
            return
        described, refused = without_invalid_fields(job.container)
        _log_refused("fields_refused", Container, refused)
        life, refused = without_invalid_fields(job.life)
        _log_refused("fields_refused", LifeCycle, refused)
        buffer = self.by_id.get(job.id)
        if buffer is not None and described == buffer.described:
            container, hidden = buffer.container, buffer.hidden
        else:
            settings = self._settings_of(described)
            processing = settings.processing
            container, hidden = redact_container(processing.redaction, described, settings.valid)
        if buffer is None:
            processor = Processor(processing) if processing.any_enabled else None
            buffer = self.by_id[job.id] = JobBuffer(job.id, container, life, None, processor=processor)
            self._queue.put_job(StoredJob(job.id, container.model_dump_json(), life.model_dump_json()))
            self._session.add(JobRecord(job.id, container, life), now)
        elif (container, life) != (buffer.container, buffer.life):
            buffer.container, buffer.life = container, life
            self.update(buffer, now)
        buffer.described = described
        if more := hidden - buffer.hidden:
            self._metrics.redacted(more)
            buffer.hidden |= hidden

    def update(self, buffer: JobBuffer, now: float) -> None:
        """Write and report a change of what the cloud is told of a job."""
        if self.save_description(buffer):
            self._session.change(buffer.id, buffer.container, buffer.reported_life, now)

    def save_description(self, buffer: JobBuffer) -> bool:
        """Write what the engine says of a job; return False when the session has forgotten the job."""
        record = self._session.jobs.get(buffer.id)
        if record is not None:
            self._queue.describe_job(_stored(buffer, record))
        return record is not None

    def save_progress(self, buffer: JobBuffer) -> None:
        """Write what an acknowledgement changed."""
        if (record := self._session.jobs.get(buffer.id)) is not None:
            progress = Progress(record.tip, record.digest, record.bytes, record.gaps, record.last)
            self._queue.advance_job(buffer.id, progress)

    def forget(self, job_id: str) -> None:
        """Forget a job that is done, everywhere."""
        self._forget_open(job_id)
        self._intake.forget(job_id)
        self._metrics.forget(job_id)
        self.by_id.pop(job_id, None)
        self._queue.forget_job(job_id)

    # --- failures -----------------------------------------------------------------------------------------------

    def mark_refused(self, buffer: JobBuffer, reason: str, problem: str) -> None:
        """Record that the cloud refuses a job for now."""
        buffer.refused, buffer.problem = True, problem
        self._metrics.refused(reason)

    def mark_accepted(self, buffer: JobBuffer) -> None:
        """Record that the cloud accepted a batch of a job."""
        if buffer.refused:
            buffer.refused, buffer.problem = False, None

    def mark_processed(self, buffer: JobBuffer, now: float) -> None:
        """Record that a batch of a job was closed, so what failed before works again."""
        if buffer.failures:
            buffer.failures, buffer.problem = 0, None
            self.update(buffer, now)

    def is_refused(self, job_id: str) -> bool:
        """Return whether the cloud refuses a job for now."""
        return self.by_id[job_id].refused

    # --- position -----------------------------------------------------------------------------------------------

    def clear(self, buffer: JobBuffer, cursor: str | None) -> None:
        """Give up a job's open batch in memory; its lines are processed next from after a cursor."""
        buffer.batcher.clear()
        buffer.held_saved = None
        if buffer.processor is not None:
            buffer.processor.resume_after(cursor)
        self._forget_open(buffer.id)

    def give_up_open(self, buffer: JobBuffer) -> None:
        """Give up a job's open batch in memory and on disk, and void what readers still offer of the job."""
        self.clear(buffer, buffer.cursor)
        self._queue.drop_pieces(buffer.id)
        self._queue.drop_held(buffer.id)
        self._intake.reposition(buffer.id, buffer.cursor)

    def reset(self, buffer: JobBuffer, cursor: str | None) -> None:
        """Give up everything of a job that is not acknowledged, and continue after the cloud's cursor."""
        self.clear(buffer, cursor)
        self._queue.clear(buffer.id)
        buffer.cursor = cursor
        self._queue.put_job(_stored(buffer, self._session.jobs[buffer.id]))

    def discard(self, buffer: JobBuffer) -> None:
        """Give up everything of a job that was deleted in the cloud, and drop what is still read of it."""
        buffer.discarded = True
        self.clear(buffer, buffer.cursor)
        self._queue.clear(buffer.id)

    def reread(self, buffer: JobBuffer, cursor: str | None) -> None:
        """Let the reader read a job again from after a cursor."""
        self._intake.reread(buffer.id, cursor)

    def append_gap(self, buffer: JobBuffer, reason: GapReason, cursor: str | None, detail: str, now: float) -> None:
        """Queue a gap for lines that cannot be read again, of which neither number nor times are known."""
        at = time.time_ns() // 1_000
        missing = MissingEntries(0, 0, at, at)
        self._queue.append_gap(buffer.id, build_gap_batch(reason, missing, cursor or "", detail), missing, now)

    def _forget_open(self, job_id: str) -> None:
        self.open.pop(job_id, None)
        self.holding.pop(job_id, None)
        self.kept.pop(job_id, None)

    # --- reports, from other threads than the pipeline's, so a moment old ---------------------------------------

    def parked(self) -> list[str]:
        """Return for the operator which jobs nothing is shipped of for now, and why."""
        buffers = [
            buffer
            for buffer in list(self.by_id.values())
            if buffer.refused or buffer.failures or buffer.problem == FAILED
        ]
        return [f"{buffer.container.name or buffer.id[:12]}: {buffer.problem}" for buffer in buffers]

    def lag(self) -> list[tuple[str, str, int | None]]:
        """Return of each job its id, its name, and the time of its oldest entry that is not acknowledged."""
        return [(buffer.id, buffer.container.name, self._waiting_since(buffer)) for buffer in list(self.by_id.values())]

    def report(self, now: float) -> list[dict[str, Any]]:
        """Return every job for the status page."""
        jobs = []
        for buffer in list(self.by_id.values()):
            if (record := self._session.jobs.get(buffer.id)) is None:
                continue
            jobs.append(
                {
                    "job": buffer.id,
                    "name": buffer.container.name,
                    "state": buffer.life.state,
                    "source": buffer.life.source,
                    "phase": record.state.value,
                    "tip": record.tip,
                    "waiting": sum(batch.count for batch in list(record.queue)) + buffer.batcher.count,
                    "waiting_since": self._waiting_since(buffer),
                    "watched": now < record.watched_until,
                    "problem": buffer.problem,
                }
            )
        return jobs

    def _waiting_since(self, buffer: JobBuffer) -> int | None:
        record = self._session.jobs.get(buffer.id)
        if record is not None and record.queue:
            return record.queue[0].start
        return buffer.batcher.first_time


def _log_refused(event: str, model: type, fields: list[str]) -> None:
    if fields:
        log.warning(event, model=model.__name__, fields=fields)


def _stored(buffer: JobBuffer, record: JobRecord) -> StoredJob:
    return StoredJob(
        buffer.id,
        buffer.container.model_dump_json(),
        buffer.life.model_dump_json(),
        buffer.ended,
        record.tip,
        record.digest,
        buffer.cursor,
        record.bytes,
        record.gaps,
        record.last,
    )
