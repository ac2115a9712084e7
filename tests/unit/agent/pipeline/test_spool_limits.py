"""Test `pipeline/spool_limits.py` over a real spool."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from logferry_agent.core.batching.entries import Chunk
from logferry_agent.core.batching.ports import Job, Offer
from logferry_agent.edge.metrics import Metrics
from logferry_agent.edge.spool import Spool
from logferry_agent.pipeline import Pipeline, PipelineSettings
from logferry_protocol.job import Container, LifeCycle

ID = "a" * 64
LINES = 40


@contextmanager
def within(seconds: int) -> Iterator[None]:
    """Fail when the body takes longer, which an endless loop would."""

    def fail(_signal: int, _frame: FrameType | None) -> None:
        raise AssertionError("it does not end")

    before = signal.signal(signal.SIGALRM, fail)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def noise(number: int) -> str:
    """Return a text that does not compress."""
    return "".join(chr(33 + (number * 7919 + at * at * 31 + at * 17) % 94) for at in range(1_000))


def test_oldest_batch_that_the_spool_does_not_hold_is_passed_over(tmp_path: Path) -> None:
    """It cannot be dropped; those after it are."""
    spool, now = Spool(tmp_path, "engine"), 10.0
    settings = PipelineSettings(spool_limit=100_000, spool_policy="drop-oldest", flush_interval=1_000.0)
    pipeline = Pipeline(spool, "engine", settings, Metrics())
    pipeline.intake.job_appeared(Job(ID, Container(name="web"), LifeCycle(state="running")))
    pipeline.turn(now)
    read = 0
    lost: int | None = None
    with within(20):
        while not any(stored.gap for stored in spool.queue()):
            texts = [noise(read + index) for index in range(LINES)]
            end = read + LINES

            def cursor_at(count: int, begin: int = read) -> str:
                return str(begin + count)

            chunk = Chunk([*range(read, end)], "o" * LINES, texts, LINES * 1_000, cursor_at)
            assert pipeline.intake.offer(ID, 1, chunk) is Offer.TAKEN
            read, now = end, now + 1.0
            pipeline.turn(now)
            queued = [stored.id for stored in spool.queue()]
            if lost is None and queued:
                lost = queued[0]
                with spool.transaction():
                    spool.remove(lost)
            assert read < 100 * LINES
    held = {stored.id: stored for stored in spool.queue()}
    spool.close()
    assert lost is not None
    assert lost not in held
    gaps = [stored for stored in held.values() if stored.gap]
    assert gaps
    assert gaps[0].id == min(held)
