"""Test `pipeline/job_isolation.py` and set-aside batches: one job's failure does not affect the others."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.support.storing_cloud import StoringCloud

from logferry_agent.core.batching.entries import Chunk
from logferry_agent.core.batching.ports import Job, Position
from logferry_agent.edge.cloud_socket import Connected, Frame
from logferry_agent.edge.metrics import Metrics
from logferry_agent.edge.spool import Spool
from logferry_agent.pipeline import Pipeline, PipelineSettings
from logferry_protocol.job import Container, LifeCycle

GOOD, BAD = "a" * 64, "b" * 64
RUNNING = LifeCycle(state="running")


class JobsHarness:
    """A pipeline on a spool, run step by step; the test is its reader."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.cloud, self.now = folder, StoringCloud(), 0.0
        self.rereads: list[tuple[str, Position]] = []
        self.begin()

    def begin(self) -> None:
        self.spool = Spool(self.folder, "engine")
        self.pipeline = Pipeline(self.spool, "engine", PipelineSettings(flush_interval=0.0), Metrics())
        self.now = time.monotonic()
        self.pipeline.attach(self.cloud, self)
        self.pipeline.post(Connected(1))

    def start(self, sink: object) -> None: ...
    def stop(self) -> None: ...

    def reread(self, job_id: str, position: Position) -> None:
        self.rereads.append((job_id, position))

    def appear(self, job: str) -> Position:
        return self.pipeline.intake.job_appeared(Job(job, Container(name=job[:4]), RUNNING))

    def offer(
        self, job: str, texts: list[str], *, at: int = 5, cursor: Callable[[int], str] = str, epoch: int = 1
    ) -> None:
        chunk = Chunk([at] * len(texts), "o" * len(texts), texts, 10, cursor)
        self.pipeline.intake.offer(job, epoch, chunk)

    def turns(self, count: int = 12, pass_s: float = 0.0) -> None:
        self.now += pass_s
        for _ in range(count):
            self.pipeline.turn(self.now)
            for answer in self.cloud.answers():
                self.pipeline.post(Frame(1, answer))

    @property
    def dead_letters(self) -> list[Path]:
        return sorted((self.folder / "rejected").glob("*.json"))


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[JobsHarness]:
    made = JobsHarness(tmp_path)
    yield made
    made.spool.close()


def fails(count: int) -> str:
    raise ValueError("an error of ours")


@pytest.mark.parametrize("what", ["time", "cursor"])
def test_batch_refused_by_the_wire_is_set_aside_with_a_gap_in_its_sequence(rig: JobsHarness, what: str) -> None:
    """Later batches continue."""
    for job in (BAD, GOOD):
        rig.appear(job)
    rig.turns()
    rig.offer(
        BAD, ["one", "two"], at=-499_194 if what == "time" else 5, cursor=lambda _: "c\n" if what == "cursor" else "c"
    )
    rig.offer(GOOD, ["good"])
    rig.turns()
    rig.offer(BAD, ["three"])
    rig.turns()
    (gap,) = map(json.loads, rig.cloud.events(BAD))
    assert (gap["event"], gap["reason"], gap["count"]) == ("gap", "rejected", 2)
    assert rig.cloud.lines(BAD) == ["three"]
    assert rig.cloud.lines(GOOD) == ["good"]
    (kept,) = rig.dead_letters
    assert json.loads(kept.read_text())["count"] == 2


def test_start_with_a_refused_batch_in_the_spool_works(rig: JobsHarness) -> None:
    """Version 0.1.0 crashed on it, with its sequence assigned, and crashed again at every start."""
    for job in (BAD, GOOD):
        rig.appear(job)
    rig.pipeline.turn(rig.now)
    for job in (BAD, GOOD):
        rig.offer(job, ["one", "two"])
        rig.pipeline.intake.job_ended(job)
    rig.pipeline.turn(rig.now)
    rig.spool.close()
    spool = sqlite3.connect(rig.spool.path)
    spool.execute('UPDATE batch SET first = 1, start = -499194, "end" = -499194 WHERE job = ?', (BAD,))
    assert spool.execute("SELECT count(*) FROM batch").fetchone() == (2,)
    spool.commit()
    spool.close()
    rig.begin()
    rig.turns()
    assert rig.cloud.lines(GOOD) == ["one", "two"]
    (gap,) = map(json.loads, rig.cloud.events(BAD))
    assert (gap["reason"], gap["count"], gap["start"]) == ("rejected", 2, 0)
    assert [path.name for path in rig.dead_letters] == [f"{BAD}-1.json"]
    assert list(rig.spool.queue()) == []


def test_start_with_an_open_batch_of_refused_times_ships_it_and_rereads_a_damaged_one(rig: JobsHarness) -> None:
    """The agent survives both, and credible content is not read twice."""
    for job in (BAD, GOOD):
        rig.appear(job)
    rig.pipeline.turn(rig.now)
    for job in (BAD, GOOD):
        rig.offer(job, ["one", "two"], at=-5)
    rig.pipeline.turn(rig.now)
    rig.pipeline.turn(rig.now + 1.0)
    rig.spool.close()
    spool = sqlite3.connect(rig.spool.path)
    spool.execute("UPDATE piece SET columns = x'00' WHERE job = ?", (BAD,))
    spool.commit()
    spool.close()
    rig.begin()
    assert [rig.appear(job).cursor for job in (BAD, GOOD)] == [None, "2"]
    rig.turns()
    assert (rig.cloud.lines(BAD), rig.cloud.lines(GOOD)) == ([], ["one", "two"])
    assert list(rig.spool.pieces()) == []


@pytest.mark.parametrize(
    "life", ['{"state":"running","exit_code":"x","restarts":-5}', '{"state":"of a later version"}', "[]", "{", "null"]
)
def test_start_with_refused_metadata_works(rig: JobsHarness, life: str) -> None:
    """Fields that the wire's models refuse are omitted."""
    rig.appear(BAD)
    rig.pipeline.turn(rig.now)
    rig.offer(BAD, ["one"])
    rig.pipeline.intake.job_ended(BAD)
    rig.pipeline.turn(rig.now)
    rig.spool.close()
    spool = sqlite3.connect(rig.spool.path)
    spool.execute("UPDATE job SET life = ?, container = ?", (life, '{"name":"web","host":7}'))
    spool.commit()
    spool.close()
    rig.begin()
    assert rig.pipeline.buffers[BAD].container.name == "web"
    rig.turns()
    assert rig.cloud.lines(BAD) == ["one"]


def test_repeatedly_failing_job_is_parked_and_the_others_continue(rig: JobsHarness) -> None:
    """Status and health report it. Its lines are read again; once that succeeds, the report ends."""
    for job in (BAD, GOOD):
        rig.appear(job)
    rig.turns()
    epoch = 1
    for wait_s in (1.0, 10.0, 60.0, 60.0):
        rig.offer(BAD, ["one"], cursor=fails, epoch=epoch)
        rig.offer(GOOD, ["good"])
        rig.turns()
        assert "cannot be processed" in (rig.cloud.lives[BAD].problem or "")
        assert [said.partition(":")[0] for said in rig.pipeline.parked()] == [BAD[:4]]
        assert rig.cloud.lives[GOOD].problem is None
        before = len(rig.rereads)
        rig.turns(pass_s=wait_s * 0.9)
        assert len(rig.rereads) == before, "it is left alone"
        rig.turns(pass_s=wait_s * 0.2)
        (job, position) = rig.rereads[-1]
        assert (job, position.cursor) == (BAD, None)
        epoch = position.epoch
    rig.offer(BAD, ["one", "two"], epoch=epoch)
    rig.turns()
    assert rig.cloud.lines(BAD) == ["one", "two"]
    assert rig.cloud.lines(GOOD) == ["good"] * 4
    assert (rig.cloud.lives[BAD].problem, rig.pipeline.parked()) == (None, [])


def test_failed_job_that_is_gone_ends_with_a_gap(rig: JobsHarness) -> None:
    """Its lines cannot be read again, and are not silently missing."""
    rig.appear(BAD)
    rig.turns()
    rig.offer(BAD, ["one"], cursor=fails)
    rig.turns()
    rig.pipeline.intake.job_ended(BAD)
    rig.turns()
    (gap,) = map(json.loads, rig.cloud.events(BAD))
    assert (gap["event"], gap["reason"]) == ("gap", "corrupt")
    assert rig.pipeline.buffers == {}


def test_container_with_refused_metadata_is_shipped(rig: JobsHarness) -> None:
    """Whoever set it unchecked; one without a container id is omitted."""
    life = RUNNING.model_copy(update={"exit_code": 2**70, "problem": "half of a pair: \ud800", "started": -5})
    container = Container(name="web").model_copy(update={"image": "x" * 9_999, "labels": {"a": "\udfff"}})
    rig.pipeline.intake.job_appeared(Job(BAD, container, life))
    rig.pipeline.intake.job_appeared(Job("not an id", Container(), RUNNING))
    rig.turns()
    rig.offer(BAD, ["one"])
    rig.turns()
    assert rig.cloud.lines(BAD) == ["one"]
    assert rig.pipeline.buffers.keys() == {BAD}
    assert (rig.pipeline.buffers[BAD].container.name, rig.cloud.lives[BAD].state) == ("web", "running")


def test_answer_that_cannot_be_followed_closes_only_its_connection(
    rig: JobsHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next one starts anew, and nothing is lost or sent twice."""
    rig.appear(GOOD)
    rig.turns()
    rig.offer(GOOD, ["one"])
    with monkeypatch.context() as context:
        context.setattr(rig.pipeline.session._responses, "ingested", lambda *_: fails(0))
        rig.turns()
    assert not rig.pipeline.session.online
    rig.pipeline.post(Connected(2))
    rig.turns()
    rig.offer(GOOD, ["two"])
    rig.turns()
    assert rig.cloud.lines(GOOD) == ["one", "two"]


def test_job_with_failing_last_lines_ends_with_a_gap(rig: JobsHarness) -> None:
    """It does not run forever in the cloud."""
    rig.appear(BAD)
    rig.offer(BAD, ["one"], cursor=fails)
    rig.pipeline.intake.job_ended(BAD)
    rig.turns()
    (gap,) = map(json.loads, rig.cloud.events(BAD))
    assert (gap["event"], gap["reason"]) == ("gap", "corrupt")
    assert rig.pipeline.buffers == {}


def left_behind(rig: JobsHarness) -> None:
    """End the pipeline with two queued lines of each job, which were never sent."""
    for job in (BAD, GOOD):
        rig.appear(job)
        rig.offer(job, ["one", "two"])
        rig.pipeline.intake.job_ended(job)
    rig.pipeline.turn(rig.now)
    rig.spool.close()


def change(path: Path, sql: str, *values: object) -> None:
    with sqlite3.connect(path) as spool:
        spool.execute(sql, values)
    spool.close()


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("id", "web"),
        ("id", "b" * 63 + "B"),
        ("container", '{"name":7,"later":NaN}'),
        ("life", '{"state":1e999}'),
        ("tip", -1),
        ("bytes", 2**63 - 1),
        ("gaps", -(2**63)),
        ("last", 2**63 - 1),
    ],
)
def test_start_with_a_job_that_fits_no_message_affects_no_other_job(
    rig: JobsHarness, column: str, value: object
) -> None:
    left_behind(rig)
    change(rig.spool.path, f"UPDATE job SET {column} = ? WHERE id = ?", value, BAD)
    rig.begin()
    rig.turns()
    assert rig.cloud.lines(GOOD) == ["one", "two"]
    rig.turns(pass_s=60.0)
    assert rig.pipeline.buffers == {}


@pytest.mark.parametrize(
    ("table", "column", "value"),
    [
        ("job", "tip", "x"),
        ("job", "last", b"\xff"),
        ("job", "cursor", b"\xff"),
        ("batch", "end", "soon"),
        ("batch", "start", 1.5),
        ("batch", "body", 7),
        ("batch", "body", "text"),
        ("batch", "id", 2**63 - 1),
        ("meta", "value", "x"),
    ],
)
def test_spool_with_a_value_of_another_type_is_set_aside(
    rig: JobsHarness, table: str, column: str, value: object
) -> None:
    """It would crash the agent at every start; its jobs are read again from the cloud's cursor."""
    left_behind(rig)
    where = {"job": f"id = '{BAD}'", "batch": f"job = '{BAD}'", "meta": "key = 'made'"}[table]
    change(rig.spool.path, f'UPDATE {table} SET "{column}" = ? WHERE {where}', value)
    rig.begin()
    assert rig.spool.set_aside is not None
    rig.appear(GOOD)
    rig.offer(GOOD, ["one", "two"])
    rig.turns()
    assert rig.cloud.lines(GOOD) == ["one", "two"]


def test_batch_damaged_after_its_check_is_set_aside_with_a_gap(rig: JobsHarness) -> None:
    """The pipeline survives it, and the others in its envelope continue."""
    left_behind(rig)
    rig.begin()
    change(rig.spool.path, 'UPDATE batch SET "end" = start - 1 WHERE job = ?', BAD)
    rig.turns()
    assert rig.cloud.lines(GOOD) == ["one", "two"]
    for _ in range(3):
        rig.turns(pass_s=11.0)
    (gap,) = map(json.loads, rig.cloud.events(BAD))
    assert (gap["event"], gap["reason"], gap["count"]) == ("gap", "rejected", 2)
    assert rig.pipeline.buffers == {}


def test_unreadable_disk_usage_stops_nothing(rig: JobsHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails_to_tell() -> int:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(rig.spool, "capacity", fails_to_tell)
    rig.appear(GOOD)
    rig.offer(GOOD, ["one"])
    rig.turns()
    assert rig.cloud.lines(GOOD) == ["one"]
