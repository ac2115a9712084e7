"""Collect in memory what readers offer, as a job's log."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from threading import Condition

from logferry_agent.core.batching.entries import Chunk, PreencodedBatch
from logferry_agent.core.batching.ports import Job, Offer, Position
from logferry_protocol.events import SystemEvent, decode_event

WAIT_S = 60.0
"""Seconds after which a test stops waiting for a condition. No test waits for a fixed time."""


@dataclass
class Log:
    """One job as it was offered."""

    epoch: int = 1
    cursor: str | None = None
    times: list[int] = field(default_factory=list)
    streams: list[str] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    jobs: list[Job] = field(default_factory=list)
    ended: bool = False
    misplaced: int = 0
    """How often its reader reported an unreadable position."""
    problems: list[str] = field(default_factory=list)

    def lines(self, stream: str = "oe") -> list[str]:
        """Return the lines of the streams, with fragments joined."""
        found: list[str] = []
        latest: dict[str, int] = {}
        for letter, text in zip(self.streams, self.texts, strict=True):
            if letter == "s" or letter.lower() not in stream:
                continue
            if letter.isupper() and letter.lower() in latest:
                found[latest[letter.lower()]] += text
            else:
                latest[letter] = len(found)
                found.append(text)
        return found

    def events(self) -> list[SystemEvent]:
        """Return the system entries."""
        return [decode_event(text) for letter, text in zip(self.streams, self.texts, strict=True) if letter == "s"]

    def names(self) -> list[str]:
        """Return the kinds of system entries."""
        return [event.event for event in self.events()]


class MemorySink:
    """A sink that accepts everything at once, unless told otherwise."""

    def __init__(self, cursors: dict[str, str] | None = None) -> None:
        self.logs: dict[str, Log] = {}
        self.changed = Condition()
        self.answer: Callable[[str, Chunk | PreencodedBatch], Offer] = lambda _job, _chunk: Offer.TAKEN
        self.jobs_known: list[Job] = []
        self.preencoded = 0
        """Batches that the preencode process made."""
        self._cursors = cursors or {}

    def known_jobs(self) -> list[Job]:
        return self.jobs_known

    def job_appeared(self, job: Job) -> Position:
        with self.changed:
            log = self.logs.setdefault(job.id, Log(cursor=self._cursors.get(job.id)))
            log.jobs.append(job)
            self.changed.notify_all()
            return Position(log.epoch, log.cursor)

    def job_changed(self, job: Job) -> None:
        with self.changed:
            self.logs[job.id].jobs.append(job)
            self.changed.notify_all()

    def job_ended(self, job_id: str) -> None:
        with self.changed:
            self.logs[job_id].ended = True
            self.changed.notify_all()

    def job_problem(self, job_id: str, problem: str | None) -> None:
        with self.changed:
            if problem is not None:
                self.logs[job_id].problems.append(problem)

    def offer(self, job_id: str, epoch: int, chunk: Chunk | PreencodedBatch) -> Offer:
        with self.changed:
            log = self.logs[job_id]
            if epoch != log.epoch:
                return Offer.STALE
            answer = self.answer(job_id, chunk)
            if answer is not Offer.TAKEN:
                return answer
            if isinstance(chunk, PreencodedBatch):
                self.preencoded += 1
                chunk = chunk.decode()
            assert len(chunk.times) == len(chunk.streams) == len(chunk.texts) > 0
            log.times += chunk.times
            log.streams += chunk.streams
            log.texts += chunk.texts
            log.cursor = chunk.cursor_at(len(chunk.texts))
            self.changed.notify_all()
            return answer

    def position_lost(self, job_id: str, epoch: int) -> None:
        with self.changed:
            self.logs[job_id].misplaced += epoch == self.logs[job_id].epoch

    def wait_for_room(self, timeout_s: float) -> bool:
        time.sleep(min(timeout_s, 0.01))
        return True

    def until(self, condition: Callable[[], bool], what: str = "the condition", limit_s: float = WAIT_S) -> None:
        """Wait until a condition holds."""
        with self.changed:
            limit = time.monotonic() + limit_s
            while not condition():
                assert time.monotonic() < limit, f"{what} did not come true: {self._summary()}"
                self.changed.wait(0.05)

    def _summary(self) -> str:
        return ", ".join(
            f"{job[:6]}: {len(log.texts)} entries {log.names()} ended={log.ended} {log.problems[-1:]}"
            for job, log in self.logs.items()
        )
