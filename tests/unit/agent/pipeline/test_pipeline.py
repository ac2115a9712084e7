"""Test `pipeline/pipeline.py` step by step over a real spool."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from tests.support.storing_cloud import AnsweringCloud

from logferry_agent.core.batching.entries import Chunk
from logferry_agent.core.batching.ports import Job, Offer, Position
from logferry_agent.edge.cloud_socket import Connected, Frame, Lost
from logferry_agent.edge.metrics import Metrics
from logferry_agent.edge.spool import Spool
from logferry_agent.pipeline import Pipeline, PipelineSettings
from logferry_agent.pipeline.open_batches import ENDED_WAIT_S
from logferry_agent.pipeline.pipeline import TURN_BYTES, WRITE_EVERY_S
from logferry_protocol.events import Exited, Started, encode_event
from logferry_protocol.job import Container, LifeCycle, State
from logferry_protocol.messages import Batch, Result

ID = "a" * 64
LINE = "x" * 1_000


class Cloud(AnsweringCloud):
    """A cloud that accepts everything, and records the batches' counts."""

    def __init__(self) -> None:
        super().__init__()
        self.batches: list[int] = []

    def ingest(self, batches: Sequence[Batch]) -> list[Result]:
        self.batches += [batch.count for batch in batches]
        return super().ingest(batches)

    def close(self, link: int) -> None:
        raise AssertionError("nothing here hangs")


class NoReader:
    def start(self, sink: object) -> None: ...
    def stop(self) -> None: ...
    def reread(self, job_id: str, position: Position) -> None: ...


class StepHarness:
    def __init__(self, folder: Path) -> None:
        self.spool = Spool(folder, "engine")
        self.cloud = Cloud()
        self.pipeline = Pipeline(self.spool, "engine", PipelineSettings(flush_interval=1_000.0), Metrics())
        self.pipeline.attach(self.cloud, NoReader())
        self._read = 0

    def appear(self, state: State, now: float, *, online: bool) -> None:
        """Add a job that is open in the cloud, or one while there is no cloud."""
        self.pipeline.intake.job_appeared(Job(ID, Container(name="web"), LifeCycle(state=state)))
        if online:
            self.pipeline.post(Connected(1))
        self.turn(now)
        self.acknowledge()
        self.turn(now)

    def acknowledge(self) -> None:
        """Deliver the cloud's answers."""
        for answer in self.cloud.answers():
            self.pipeline.post(Frame(1, answer))

    def offer(self, lines: int) -> None:
        begin, self._read = self._read, self._read + lines
        times = list(range(begin, begin + lines))
        chunk = Chunk(times, "o" * lines, [LINE] * lines, lines * len(LINE), lambda count: str(begin + count))
        assert self.pipeline.intake.offer(ID, 1, chunk) is Offer.TAKEN

    def turn(self, now: float) -> None:
        self.pipeline.turn(now)

    @property
    def queued(self) -> int:
        """Return batches on the disk."""
        return len(list(self.spool.queue()))


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[StepHarness]:
    made = StepHarness(tmp_path)
    yield made
    made.spool.close()


def test_read_lines_are_written_once_the_pipeline_is_idle(rig: StepHarness) -> None:
    """At the latest after a moment while it is busy."""
    turn = TURN_BYTES // len(LINE) + 1
    rig.appear("running", 10.0, online=False)
    for _ in range(12):
        rig.offer(turn)
    for _ in range(6):
        rig.turn(10.0)
    assert rig.queued == 0
    rig.turn(10.0 + WRITE_EVERY_S)
    assert (partly := rig.queued) > 0
    for _ in range(5):
        rig.turn(10.0 + WRITE_EVERY_S)
    assert rig.queued > partly
    assert not rig.pipeline.intake.pending


def test_remaining_lines_of_an_ended_container_go_in_few_batches(rig: StepHarness) -> None:
    """The first at once, then what arrived in an interval, independent of round trips."""
    rig.appear("exited", 10.0, online=True)
    rig.offer(3)
    rig.turn(10.0)
    assert rig.cloud.batches == [3]
    rig.acknowledge()
    rig.offer(4)
    rig.turn(10.0 + ENDED_WAIT_S / 2)
    rig.offer(5)
    rig.turn(10.0 + ENDED_WAIT_S * 0.9)
    assert rig.cloud.batches == [3]
    rig.turn(10.0 + ENDED_WAIT_S)
    assert rig.cloud.batches == [3, 9]


def test_batch_with_the_end_of_its_run_does_not_wait(rig: StepHarness) -> None:
    """Nothing more will follow it."""
    rig.appear("exited", 10.0, online=True)
    rig.offer(3)
    rig.turn(10.0)
    rig.acknowledge()
    rig.offer(4)
    rig.turn(10.0 + ENDED_WAIT_S / 4)
    assert rig.cloud.batches == [3]
    text = encode_event(Exited(exit_code=0))
    rig.pipeline.intake.offer(ID, 1, Chunk([99], "s", [text], len(text), lambda _: "99"))
    rig.turn(10.0 + ENDED_WAIT_S / 2)
    assert rig.cloud.batches == [3, 5]


def test_start_of_a_running_container_ships_with_its_lines(rig: StepHarness) -> None:
    """Only an end is an end."""
    rig.appear("running", 10.0, online=True)
    text = encode_event(Started())
    rig.pipeline.intake.offer(ID, 1, Chunk([99], "s", [text], len(text), lambda _: "99"))
    rig.turn(10.0)
    assert rig.cloud.batches == []


def test_ended_job_whose_reported_tip_the_cloud_went_back_to_gets_a_gap(rig: StepHarness) -> None:
    """It is not forgotten before its entry says so, although the cloud already confirmed that tip."""
    rig.appear("running", 10.0, online=True)
    rig.pipeline.intake.job_changed(Job(ID, Container(name="web"), LifeCycle(state="removed")))
    rig.turn(10.0)
    rig.acknowledge()
    rig.offer(3)
    for _ in range(3):
        rig.turn(10.1)
        rig.acknowledge()
    assert rig.cloud.batches == [3]
    rig.pipeline.post(Lost(1, 1006, ""))
    rig.pipeline.intake.job_ended(ID)
    rig.turn(10.2)
    rig.cloud.answers()
    rig.pipeline.post(Connected(2))  # every `open` is answered with tip 0
    for _ in range(6):
        rig.turn(10.3)
        for answer in rig.cloud.answers():
            rig.pipeline.post(Frame(2, answer))
    assert rig.cloud.batches == [3, 1]
    assert rig.pipeline.buffers == {}
