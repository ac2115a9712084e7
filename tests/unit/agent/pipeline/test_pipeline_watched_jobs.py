"""Test when lines are sent: at once and coalesced while somebody watches, in fuller batches otherwise."""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from logferry_agent.core.batching.entries import Chunk
from logferry_agent.core.batching.ports import Job, Offer
from logferry_agent.edge.cloud_socket import Connected, Frame
from logferry_agent.edge.metrics import Metrics
from logferry_agent.edge.spool import Spool
from logferry_agent.pipeline import Pipeline, PipelineSettings
from logferry_protocol.job import Container, LifeCycle
from logferry_protocol.messages import (
    FROM_AGENT,
    Ingest,
    Ingested,
    Open,
    Opened,
    OpenedJob,
    Result,
    Watch,
    Watched,
    decode,
    encode,
)

JOB = Job("a" * 64, Container(name="web"), LifeCycle(state="running"))
FLUSH_S = 30.0


def cursor_after(begin: int, index: int) -> str:
    return str(begin + index)


class Conversation:
    """The pipeline and the other end of its one connection, with time controlled by the test."""

    def __init__(self, folder: Path, watched: Watched | None) -> None:
        self.spool = Spool(folder, "engine")
        self.now = time.monotonic()  # as the pipeline itself sets it at its start
        self.pipeline = Pipeline(
            self.spool, "engine", PipelineSettings(flush_interval=FLUSH_S, answer_timeout=1e6), Metrics()
        )
        self.sent: list[Any] = []
        self.pipeline.attach(self, self)  # type: ignore[arg-type]
        self.pipeline.intake.job_appeared(JOB)
        self.pipeline.post(Connected(1))
        self.turn()
        (opening,) = [message for message in self.take() if isinstance(message, Open)]
        self.say(Opened(id=opening.id, jobs=[OpenedJob(job=JOB.id, watched=watched)]))
        self.read = 0

    # --- the pipeline's links and reader
    def send(self, _link: int, text: str) -> None:
        self.sent.append(decode(text, FROM_AGENT))

    def close(self, _link: int) -> None: ...

    def reread(self, *_: object) -> None: ...

    # --- the test's side
    def turn(self, seconds: float = 0.0) -> None:
        self.now += seconds
        self.pipeline.turn(self.now)

    def take(self) -> list[Any]:
        sent, self.sent = self.sent, []
        return sent

    def say(self, message: Any) -> None:
        self.pipeline.post(Frame(1, encode(message)))
        self.turn()

    def lines(self, count: int) -> None:
        """Add this many lines, one after the other."""
        for _ in range(count):
            begin = self.read
            chunk = Chunk([begin], "o", [f"line {begin}"], 6, partial(cursor_after, begin))
            assert self.pipeline.intake.offer(JOB.id, 1, chunk) is Offer.TAKEN
            self.read += 1
            self.turn(0.001)

    def envelopes(self) -> list[Ingest]:
        return [message for message in self.take() if isinstance(message, Ingest)]

    def batch(self) -> tuple[int, int, str]:
        """Return first sequence and count of the one batch that was sent, and its envelope's id."""
        (envelope,) = self.envelopes()
        (batch,) = envelope.batches
        return batch.first, batch.count, envelope.id

    def stored(self, first: int, envelope: str) -> None:
        self.say(Ingested(id=envelope, results=[Result(job=JOB.id, first=first, outcome="stored")]))


@pytest.fixture
def start_conversation(tmp_path: Path) -> Iterator[Any]:
    made: list[Conversation] = []

    def begin(watched: Watched | None = None) -> Conversation:
        made.append(Conversation(tmp_path, watched))
        return made[-1]

    yield begin
    for one in made:
        one.spool.close()


def test_first_line_goes_at_once_and_later_lines_form_the_next_batch(start_conversation: Any) -> None:
    """Latency is one round trip, and the size of a batch adapts by itself."""
    cloud = start_conversation(Watched(ttl=60_000, interval=0))
    cloud.lines(1)
    first, count, envelope = cloud.batch()
    assert (first, count) == (1, 1)
    cloud.lines(25)
    assert cloud.envelopes() == []
    cloud.stored(first, envelope)
    first, count, envelope = cloud.batch()
    assert (first, count) == (2, 25)
    cloud.stored(first, envelope)
    assert cloud.envelopes() == []


def test_minimum_interval_is_kept_for_many_viewers(start_conversation: Any) -> None:
    """Each of them multiplies what is sent."""
    cloud = start_conversation(Watched(ttl=60_000, interval=500))
    cloud.lines(1)
    first, _, envelope = cloud.batch()
    cloud.stored(first, envelope)
    cloud.lines(10)
    cloud.turn(0.4)
    assert cloud.envelopes() == []
    cloud.turn(0.2)
    assert cloud.batch()[:2] == (2, 10)


def test_unwatched_job_fills_a_batch_until_the_interval_is_over(start_conversation: Any) -> None:
    """It costs the same with one line or a thousand."""
    cloud = start_conversation()
    cloud.lines(40)
    cloud.turn(FLUSH_S - 1)
    assert cloud.envelopes() == []
    cloud.turn(1)
    assert cloud.batch()[:2] == (1, 40)


def test_new_viewer_is_sent_waiting_lines(start_conversation: Any) -> None:
    """`watch`; once it is over, batches fill again."""
    cloud = start_conversation()
    cloud.lines(3)
    cloud.say(Watch(job=JOB.id, ttl=5_000, interval=0))
    first, count, envelope = cloud.batch()
    assert (first, count) == (1, 3)
    cloud.stored(first, envelope)
    cloud.turn(5.1)
    cloud.lines(2)
    assert cloud.envelopes() == []


def test_exit_sends_the_open_batch_at_once(start_conversation: Any) -> None:
    """Nobody waits for a container's last lines."""
    cloud = start_conversation()
    cloud.lines(2)
    cloud.pipeline.intake.job_changed(Job(JOB.id, JOB.container, LifeCycle(state="exited", exit_code=0)))
    cloud.turn()
    assert cloud.batch()[:2] == (1, 2)
