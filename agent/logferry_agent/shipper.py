"""The pipeline's one thread: chunks in, batches to the spool, envelopes out, acknowledgements back.

Everything that the batchers, the spool and the session hold belongs to this thread, so nothing here needs a lock. A
turn of the loop takes what came in, decides, writes all of it in one transaction, and only then sends: a sequence is
always on disk before it is on the wire, and a batch together with the cursor after it.

When the disk takes no more, nothing new is taken, and what is there is shipped (see journal.py).
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict, deque
from dataclasses import dataclass, field
from functools import partial
from random import Random
from typing import Any, Literal, Protocol

import structlog
from pydantic import BaseModel

from logferry_protocol.errors import MalformedMessageError
from logferry_protocol.events import GapReason
from logferry_protocol.job import Container, LifeCycle
from logferry_protocol.messages import TO_AGENT, Ingest, decode, encode
from logferry_protocol.messages import Batch as WireBatch

from .core.batcher import Batch, Batcher
from .core.chunk import Chunk, Job, Reader
from .core.effects import (
    Acknowledged,
    Counted,
    Discard,
    Effect,
    Forget,
    Hang,
    Park,
    Reread,
    Send,
    SetAside,
    Ship,
)
from .core.gap import Missing, gap_batch, missing_of
from .core.job import JobState, Ref, wire_size
from .core.processing import Processing, Processor
from .core.session import Session
from .edge.deadletter import DeadLetters
from .edge.disk import Spool, StoredJob
from .edge.metrics import Metrics
from .edge.socket import Connected, Frame, LinkEvent, Lost
from .intake import Appeared, Ended, Intake, Offered, Troubled
from .journal import Journal

log = structlog.get_logger(__name__)

INTAKE_BYTES = 4 * 1024 * 1024
"""What may wait between readers and this thread."""

TURN_BYTES = 1024 * 1024
"""What one turn takes of it, so that acknowledgements never wait long behind parsing."""

SAVE_EVERY_S = 0.2
"""Open batches reach the disk this long after their first unsaved entry (DESIGN.md: within 250 ms)."""

RECENT_BATCHES = 64
"""Bodies kept in memory besides the spool: about 1.4 MiB."""

REOPENED_SHARE = 0.95
"""After the spool was full, reading goes on when it is down to this share of its limit."""

Policy = Literal["block", "drop-oldest"]


class Links(Protocol):
    """The connections to the cloud, as the pipeline sees them; never blocks."""

    def send(self, link: int, text: str) -> None:
        """Send a frame, if the connection still stands."""
        ...

    def close(self, link: int) -> None:
        """End a connection."""
        ...


@dataclass(frozen=True, slots=True)
class Limits:
    """How the pipeline is bounded."""

    spool_bytes: int = 1 << 30
    policy: Policy = "block"
    flush_interval_s: float = 30.0
    answer_timeout_s: float = 10.0
    processing: Processing = field(default_factory=Processing)


@dataclass(slots=True)
class Lane:
    """One job in the pipeline."""

    id: str
    container: Container
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
    gaps: dict[int, Missing] = field(default_factory=dict)
    """What the queued gaps made here stand for."""

    @property
    def shown(self) -> LifeCycle:
        """Its life as the cloud is told."""
        return self.life if self.problem is None else self.life.model_copy(update={"problem": self.problem[:512]})


class Shipper:
    """The pipeline."""

    def __init__(
        self, spool: Spool, instance: str, limits: Limits, metrics: Metrics, *, rng: Random | None = None
    ) -> None:
        self._spool, self._limits, self._metrics = spool, limits, metrics
        self._wake = threading.Event()
        self.intake = Intake(INTAKE_BYTES, self._wake.set)
        self.session = Session(instance, rng or Random(), answer_timeout_s=limits.answer_timeout_s)  # noqa: S311
        self.lanes: dict[str, Lane] = {}
        self._open: dict[str, Lane] = {}
        """Lanes with entries in their open batch."""
        self._holding: dict[str, Lane] = {}
        """Lanes whose processor holds an entry back."""
        self._dead = DeadLetters(spool.folder / "rejected")
        self._reader: Reader | None = None
        self._links: Links | None = None
        self._events: deque[LinkEvent] = deque()
        self._journal = Journal(spool)
        self._save_at: float | None = None
        self._full = False
        self._disk_full = False
        self._next_id = 1
        self._recent: OrderedDict[int, Batch] = OrderedDict()
        """Batches just closed, so that those sent at once need not be read back."""
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="shipper", daemon=True)
        self.failure: BaseException | None = None
        """Why the thread ended, when it was not asked to."""
        self._restore(time.monotonic())

    # --- for the composition ------------------------------------------------------------------------------------

    def start(self, links: Links, reader: Reader) -> None:
        """Begin to work."""
        self._links, self._reader = links, reader
        self._thread.start()

    def post(self, event: LinkEvent) -> None:
        """Something happened on a connection; from any thread."""
        self._events.append(event)
        self._wake.set()

    def stop(self, timeout_s: float) -> bool:
        """Ship what is there for at most so long, then end; False when something was left for the next start."""
        self._stop_by = time.monotonic() + timeout_s
        self._stopping.set()
        self._wake.set()
        self._thread.join(timeout_s + 5)
        return not any(job.queue for job in self.session.jobs.values())

    @property
    def alive(self) -> bool:
        """Whether the thread runs."""
        return self._thread.is_alive()

    @property
    def stuck(self) -> bool:
        """Whether the spool's disk takes nothing."""
        return self._journal.stuck

    @property
    def full(self) -> bool:
        """Whether the spool's limit is reached."""
        return self._full

    def lag(self) -> list[tuple[str, str, int | None]]:
        """(job, name, time of its oldest entry that is not acknowledged); from any thread, so a moment old."""
        return [(lane.id, lane.container.name, self._waiting_since(lane)) for lane in list(self.lanes.values())]

    def report(self) -> list[dict[str, Any]]:
        """Every job for a person; from any thread, so a moment old."""
        now = time.monotonic()
        jobs = []
        for lane in list(self.lanes.values()):
            if (state := self.session.jobs.get(lane.id)) is None:
                continue
            jobs.append(
                {
                    "job": lane.id,
                    "name": lane.container.name,
                    "state": lane.life.state,
                    "source": lane.life.source,
                    "phase": state.phase.value,
                    "tip": state.tip,
                    "waiting": sum(ref.count for ref in list(state.queue)) + lane.batcher.count,
                    "waiting_since": self._waiting_since(lane),
                    "watched": now < state.watched_until,
                    "problem": lane.problem,
                }
            )
        return jobs

    def _waiting_since(self, lane: Lane) -> int | None:
        state = self.session.jobs.get(lane.id)
        if state is not None and state.queue:
            return state.queue[0].start
        return lane.batcher.first_time

    # --- the loop -----------------------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            while not self._finished():
                self._wake.wait(self._patience(time.monotonic()))
                self._wake.clear()
                self.turn(time.monotonic())
        except BaseException as error:
            self.failure = error
            log.exception("the pipeline failed")

    def turn(self, now: float) -> None:
        """Do all that can be done now."""
        self._answers(now)
        self._commit(now)
        if not self._journal.stuck:
            if not self._disk_full:
                self._arrivals(now)
            self._let_go(now)
            self._close_due(now)
            self._save_due(now)
        self.session.advance(now)
        self._carry_out(now)
        self._commit(now)
        self._bound(now)
        if self._events or (self.intake.pending and not (self._journal.stuck or self._disk_full)):
            self._wake.set()

    def _finished(self) -> bool:
        if not self._stopping.is_set():
            return False
        drained = not self.intake.pending and not self._open and not self._holding and self._journal.empty
        drained = drained and not any(job.queue for job in self.session.jobs.values())
        if drained or time.monotonic() >= self._stop_by:
            self._save_at = 0.0
            self._save_due(time.monotonic())
            self._commit(time.monotonic())
            return True
        return False

    def _patience(self, now: float) -> float | None:
        """How long nothing will happen by itself."""
        moments = [self._journal.stuck_until, self.session.deadline()]
        if not self._journal.stuck:
            moments.append(self._save_at)
            moments += [self._due(lane, now) for lane in self._open.values()]
            moments += [lane.held_until for lane in self._holding.values()]
        if self._stopping.is_set():
            moments.append(self._stop_by)
        known = [moment for moment in moments if moment is not None]
        return max(0.0, min(known) - now) if known else None

    def _answers(self, now: float) -> None:
        while self._events:
            event = self._events.popleft()
            match event:
                case Frame():
                    try:
                        message = decode(event.text, TO_AGENT)
                    except MalformedMessageError:
                        message = None
                    self.session.received(event.link, message, now)
                case Connected():
                    self.session.connected(event.link, now)
                case Lost():
                    self.session.lost(event.link, now)
        self._carry_out(now)

    def _arrivals(self, now: float) -> None:
        for arrival in self.intake.take(TURN_BYTES):
            match arrival:
                case Offered():
                    self._take(arrival, now)
                case Appeared():
                    self._appear(arrival.job, now)
                case Ended():
                    self._end(arrival.job_id, now)
                case Troubled():
                    if (lane := self.lanes.get(arrival.job_id)) is not None:
                        lane.problem = arrival.problem
                        self._changed(lane, now)

    def _take(self, offered: Offered, now: float) -> None:
        lane = self.lanes.get(offered.job_id)
        if lane is None or not self.intake.current(offered):
            return
        chunk = offered.chunk
        self._metrics.read(chunk, lane.life.source or "none")
        if lane.discarded:
            self._metrics.dropped("deleted", len(chunk.texts))
            return
        if lane.processor is None:
            self._gain(lane, chunk, offered.begin, now)
            return
        if (processed := lane.processor.take(chunk, offered.begin)) is not None:
            self._gain(lane, processed, 0, now)
        if lane.processor.limited:
            self._metrics.dropped("rate_limit", lane.processor.limited)
            lane.processor.limited = 0
        if lane.processor.holding:
            lane.held_until = now + self._limits.processing.merge_wait_s
            self._holding[lane.id] = lane

    def _let_go(self, now: float, *, all_of: Lane | None = None) -> None:
        """Let entries that waited long enough for lines to join them go on; of one lane at once."""
        for lane in [all_of] if all_of is not None else list(self._holding.values()):
            due = all_of is not None or now >= lane.held_until or self._stopping.is_set()
            if lane.processor is not None and due:
                self._holding.pop(lane.id, None)
                if (processed := lane.processor.flush()) is not None:
                    self._gain(lane, processed, 0, now)

    def _gain(self, lane: Lane, chunk: Chunk, begin: int, now: float) -> None:
        if not lane.batcher.count:
            lane.opened_at = now
        lane.batcher.add(chunk, begin)
        while lane.batcher.full:
            self._close(lane, now)
        if lane.batcher.count:
            self._open[lane.id] = lane
            if self._save_at is None:
                self._save_at = now + SAVE_EVERY_S

    # --- jobs ---------------------------------------------------------------------------------------------------

    def _restore(self, now: float) -> None:
        """Take up what the last run left in the spool."""
        states: dict[str, JobState] = {}
        for stored in self._spool.jobs():
            lane = Lane(
                stored.id,
                Container.model_validate_json(stored.container),
                LifeCycle.model_validate_json(stored.life),
                stored.cursor,
                ended=stored.ended,
                processor=self._processor(),
            )
            self.lanes[lane.id] = lane
            states[lane.id] = JobState(
                lane.id,
                lane.container,
                lane.life,
                tip=stored.tip,
                digest=stored.digest,
                bytes=stored.bytes,
                gaps=stored.gaps,
                last=stored.last,
                ended=stored.ended,
            )
        for queued in self._spool.queue():
            self._next_id = queued.id + 1
            if (state := states.get(queued.job)) is not None:
                state.queue.append(_ref(queued.id, queued.batch, queued.size, gap=queued.gap, first=queued.first))
        places = {lane.id: lane.cursor for lane in self.lanes.values()}
        for job_id, piece in self._spool.pieces():
            if (lane_or_none := self.lanes.get(job_id)) is not None:
                self._gain(lane_or_none, piece.chunk(places[job_id]), 0, now)
                lane_or_none.batcher.mark_saved()
                places[job_id] = piece.cursor
        self.intake.restore(
            (Job(lane.id, lane.container, lane.life), places[lane.id]) for lane in self.lanes.values() if not lane.ended
        )
        for state in states.values():
            self.session.add(state, now)

    def _appear(self, job: Job, now: float) -> None:
        lane = self.lanes.get(job.id)
        if lane is None:
            lane = self.lanes[job.id] = Lane(job.id, job.container, job.life, None, processor=self._processor())
            stored = StoredJob(job.id, job.container.model_dump_json(), job.life.model_dump_json())
            self._journal.grow(lambda: self._spool.put_job(stored))
            self.session.add(JobState(job.id, job.container, job.life), now)
        elif (job.container, job.life) != (lane.container, lane.life):
            lane.container, lane.life = job.container, job.life
            self._changed(lane, now)

    def _processor(self) -> Processor | None:
        return Processor(self._limits.processing) if self._limits.processing.wanted else None

    def _changed(self, lane: Lane, now: float) -> None:
        if (state := self.session.jobs.get(lane.id)) is None:
            return
        self._write_job(lane, state)
        self.session.change(lane.id, lane.container, lane.shown, now)

    def _end(self, job_id: str, now: float) -> None:
        lane = self.lanes.get(job_id)
        if lane is None or lane.ended:
            return
        lane.ended = True
        self._let_go(now, all_of=lane)
        while lane.batcher.count:
            self._close(lane, now)
        if (state := self.session.jobs.get(job_id)) is not None:
            self._write_job(lane, state)
            self.session.end(job_id, now)

    def _write_job(self, lane: Lane, state: JobState) -> None:
        stored = _stored_job(lane, state)
        self._journal.grow(lambda: self._spool.describe(stored))

    # --- batches ------------------------------------------------------------------------------------------------

    def _close(self, lane: Lane, now: float) -> None:
        """Close a batch: it goes to the spool with the cursor after it, in the place of its pieces."""
        saved = lane.batcher.saved
        batch = lane.batcher.close()
        if batch is None:
            return
        if not lane.batcher.count:
            self._open.pop(lane.id, None)
        lane.opened_at = now
        lane.cursor = batch.cursor
        if saved:
            self._journal.grow(lambda: self._spool.drop_pieces(lane.id))
        self._enqueue(lane, batch, now)
        self._journal.move_cursor(lane.id, batch.cursor)
        if saved > batch.count:
            self._save(lane)

    def _enqueue(self, lane: Lane, batch: Batch, now: float, missing: Missing | None = None) -> None:
        batch_id = self._next_id
        self._next_id += 1
        if missing is not None:
            lane.gaps[batch_id] = missing
        gap = missing is not None
        self._journal.grow(lambda: self._spool.append(batch_id, lane.id, batch, gap=gap), batch_id)
        self._recent[batch_id] = batch
        if len(self._recent) > RECENT_BATCHES:
            self._recent.popitem(last=False)
        ref = _ref(batch_id, batch, len(batch.body), gap=missing is not None)
        self.session.queue(lane.id, ref, now)

    def _due(self, lane: Lane, now: float) -> float | None:
        """When the open batch of a lane should be closed; None while it could not be sent anyway."""
        if not self.session.idle(lane.id, now):
            return None
        if self._stopping.is_set() or lane.life.state in {"exited", "removed"}:
            return now
        if self.session.watched(lane.id, now):
            state = self.session.jobs[lane.id]
            return max(now, state.sent_at + state.interval_s)
        return lane.opened_at + self._limits.flush_interval_s

    def _close_due(self, now: float) -> None:
        for lane in list(self._open.values()):
            due = self._due(lane, now)
            if due is not None and due <= now:
                self._close(lane, now)

    def _save(self, lane: Lane) -> None:
        if (piece := lane.batcher.unsaved()) is not None:
            lane.batcher.mark_saved()
            self._journal.grow(lambda: self._spool.save_piece(lane.id, piece))

    def _save_due(self, now: float) -> None:
        if self._save_at is None or now < self._save_at:
            return
        self._save_at = None
        for lane in self._open.values():
            self._save(lane)

    # --- effects ------------------------------------------------------------------------------------------------

    def _carry_out(self, now: float) -> None:
        while effects := self.session.effects():
            for effect in effects:
                self._do(effect, now)

    def _do(self, effect: Effect, now: float) -> None:  # noqa: PLR0912 - one branch an effect
        match effect:
            case Ship():
                for _, ref in effect.batches:
                    if ref.first is not None:
                        self._journal.settle(partial(self._spool.assign, ref.id, ref.first), ref.id)
                self._journal.send(effect)
            case Send():
                self._journal.send(effect)
            case Acknowledged():
                self._acknowledged(effect)
            case SetAside():
                self._set_aside(effect, now)
            case Reread():
                self._reread(effect, now)
            case Park():
                lane = self.lanes[effect.job]
                lane.parked = True
                lane.problem = f"the cloud refuses the job: {effect.reason} {effect.message}".rstrip()
                self._metrics.refused(effect.reason)
                log.warning("the cloud refuses a job", job=effect.job, reason=effect.reason, message=effect.message)
            case Discard():
                self._discard(self.lanes[effect.job])
            case Forget():
                self.lanes.pop(effect.job, None)
                self._open.pop(effect.job, None)
                self.intake.forget(effect.job)
                self._metrics.forget(effect.job)
                self._journal.grow(lambda: self._spool.forget(effect.job))
            case Hang():
                if self._links is not None:
                    self._links.close(effect.link)
            case Counted():
                self._metrics.counted(effect)
                if effect.what in {"conflict", "rejected", "error"}:
                    log.warning(f"the cloud says {effect.what}", job=effect.job, detail=effect.detail)

    def _acknowledged(self, effect: Acknowledged) -> None:
        lane, state = self.lanes[effect.job], self.session.jobs.get(effect.job)
        if lane.parked:
            lane.parked, lane.problem = False, None
        for ref in effect.refs:
            lane.gaps.pop(ref.id, None)
            self._recent.pop(ref.id, None)
            self._journal.settle(partial(self._spool.remove, ref.id), ref.id)
            self._metrics.acknowledged(ref)
        if state is not None:
            stored = _stored_job(lane, state)
            self._journal.settle(lambda: self._spool.advance(stored))

    def _set_aside(self, effect: SetAside, now: float) -> None:
        ref, lane = effect.ref, self.lanes[effect.job]
        if (stored := self._spool.load(ref.id)) is None:
            return
        where = self._dead.keep(stored, effect.reason, effect.message)
        missing = missing_of(stored.batch)
        reason: GapReason = "quota" if effect.reason == "quota" else "rejected"
        gap = gap_batch(reason, missing, stored.batch.cursor, f"{effect.reason}: {effect.message}".rstrip(": "))
        self._metrics.dropped(reason, missing.count)
        log.error(
            "a batch was refused for good", job=effect.job, first=ref.first, reason=effect.reason, kept=str(where)
        )
        self._become_gap(lane, ref, gap, missing)
        self.session.requeue(effect.job, self.session.jobs[effect.job].queue, now)

    def _become_gap(self, lane: Lane, ref: Ref, gap: Batch, missing: Missing) -> None:
        """Let a gap take a queued batch's place, and its sequence if it had one."""
        lane.gaps[ref.id] = missing
        replaced = _ref(ref.id, gap, len(gap.body), gap=True, first=ref.first)
        for name in ("count", "raw", "gaps", "start", "end", "digest", "size", "gap"):
            setattr(ref, name, getattr(replaced, name))
        self._journal.grow(lambda: self._spool.replace(ref.id, gap), ref.id)

    def _reread(self, effect: Reread, now: float) -> None:
        """Take the cloud's word for where a job stands."""
        lane, state = self.lanes[effect.job], self.session.jobs[effect.job]
        log.warning("the cloud's place is taken", job=effect.job, tip=effect.tip, cause=effect.cause)
        self._metrics.resynchronised(effect.cause)
        self._empty(lane)
        lane.cursor = effect.cursor
        stored = _stored_job(lane, state)
        self._journal.grow(lambda: self._spool.put_job(stored))
        if lane.ended:
            # Nothing can be read again: what the queue held beyond the cloud is unknown, and is said to be.
            at = time.time_ns() // 1000
            missing = Missing(0, 0, at, at)
            reason: GapReason = "conflict" if effect.cause == "conflict" else "spool_lost"
            self._enqueue(lane, gap_batch(reason, missing, effect.cursor or "", "the container is gone"), now, missing)
            return
        position = self.intake.reposition(lane.id, effect.cursor)
        if self._reader is not None:
            self._reader.reread(lane.id, position)

    def _discard(self, lane: Lane) -> None:
        log.warning("a job was deleted in the cloud: its lines are dropped from now on", job=lane.id)
        lane.discarded = True
        self._empty(lane)

    def _empty(self, lane: Lane) -> None:
        """Give up all that is read and not acknowledged of a job."""
        lane.batcher.clear()
        lane.gaps.clear()
        if lane.processor is not None:
            lane.processor.clear()
        self._open.pop(lane.id, None)
        self._holding.pop(lane.id, None)
        self._journal.forget_cursor(lane.id)
        self._journal.grow(lambda: self._spool.clear(lane.id))

    # --- the bounds ---------------------------------------------------------------------------------------------

    def _bound(self, now: float) -> None:
        """Keep the spool under its limit: stop reading, or drop the oldest that was never sent."""
        limit = self._limits.spool_bytes
        if not self._journal.stuck:
            capacity = self._spool.capacity()
            self._disk_full = self._spool.bytes >= capacity
            limit = max(1, min(limit, capacity))
        over = self._spool.bytes >= limit
        if over and not self._journal.stuck:
            self._drop_oldest(int(limit * REOPENED_SHARE), now, only_parked=self._limits.policy == "block")
            over = self._spool.bytes >= limit
        full = over or (self._full and self._spool.bytes >= limit * REOPENED_SHARE)
        if full != self._full:
            self._full = full
            if full:
                log.warning("the spool is full: reading waits", bytes=self._spool.bytes, limit=limit)
        self.intake.set_closed(self._full or self._journal.stuck)
        self._metrics.spool(self._spool.bytes, limit)

    def _drop_oldest(self, target: int, now: float, *, only_parked: bool) -> None:
        """Fold the oldest unsent batches into gaps, until the spool is under its limit."""
        while self._spool.bytes > target:
            oldest: tuple[int, str] | None = None
            for job in self.session.jobs.values():
                if only_parked and not self.lanes[job.id].parked:
                    continue
                ref = next((ref for ref in job.queue if ref.first is None and not ref.gap), None)
                if ref is not None and (oldest is None or ref.id < oldest[0]):
                    oldest = (ref.id, job.id)
            if oldest is None:
                return
            self._drop(self.lanes[oldest[1]], oldest[0], now)
            self._commit(now)
            if self._journal.stuck:
                return

    def _drop(self, lane: Lane, batch_id: int, now: float) -> None:
        stored = self._spool.load(batch_id)
        queue = list(self.session.jobs[lane.id].queue)
        index = next(index for index, ref in enumerate(queue) if ref.id == batch_id)
        ref, before = queue[index], queue[index - 1] if index else None
        if stored is None:
            return
        missing = missing_of(stored.batch)
        self._metrics.dropped("spool_full", missing.count)
        if before is not None and before.gap and before.first is None and before.id in lane.gaps:
            missing += lane.gaps.pop(before.id)
            self._journal.grow(lambda: self._spool.remove(before.id))
            del queue[index - 1]
        gap = gap_batch("spool_full", missing, stored.batch.cursor)
        self._become_gap(lane, ref, gap, missing)
        self.session.requeue(lane.id, queue, now)

    def _commit(self, now: float) -> None:
        """Write what is to be written, then send what waited for it."""
        for effect in self._journal.commit(now):
            self._send(effect)

    def _batch(self, ref: Ref) -> Batch | None:
        """A queued batch with its body."""
        recent = self._recent.get(ref.id)
        if recent is not None and recent.digest == ref.digest:
            return recent
        stored = self._spool.load(ref.id)
        return stored.batch if stored is not None else None

    def _send(self, effect: Send | Ship) -> None:
        if self._links is None:
            return
        message: BaseModel
        if isinstance(effect, Ship):
            batches = []
            for job_id, ref in effect.batches:
                batch = self._batch(ref)
                if batch is None or ref.first is None:
                    continue
                self._metrics.sent(batch)
                batches.append(_wire(job_id, ref.first, batch))
            if not batches:
                return
            message = Ingest(id=effect.id, batches=batches)
        else:
            message = effect.message
        self._links.send(effect.link, encode(message))


def _wire(job_id: str, first: int, batch: Batch) -> WireBatch:
    return WireBatch(
        job=job_id,
        first=first,
        count=batch.count,
        start=batch.start,
        end=batch.end,
        raw=batch.raw,
        digest=batch.digest,
        cursor=batch.cursor,
        body=batch.body,
    )


def _ref(batch_id: int, batch: Batch, size: int, *, gap: bool = False, first: int | None = None) -> Ref:
    return Ref(
        id=batch_id,
        count=batch.count,
        raw=batch.raw,
        gaps=batch.gaps,
        start=batch.start,
        end=batch.end,
        digest=batch.digest,
        size=wire_size(size, batch.cursor),
        gap=gap,
        first=first,
    )


def _stored_job(lane: Lane, state: JobState) -> StoredJob:
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
