"""Test that every entry is kept once and read once, in any order of events and wherever a step ends.

The events are puts, archive runs that crash anywhere or run concurrently, the time to live, reads, and finally a
deletion.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from random import Random
from typing import Any

import pytest
from aws_lambda_powertools import Logger, Metrics
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.batches import batch
from tests.support.bucket import MemoryBucket
from tests.support.tables import logferry_tables
from tests.support.zstd import zstd

import archive.core
import archive.service
import archive.store
import ingest.store
import query.store
from logferry_protocol.batch import decode_body
from query.archive_reader import ArchiveReader
from query.history import History
from registry import items
from registry.archive_index import Index

JOB = "web." + "c" * 64
START_MS = 1_764_000_000_000
HOUR_MS = 3_600_000


class CrashError(BaseException):
    """The function's process is gone."""


class Simulation:
    """One job, its stores, and the functions that write and read it."""

    def __init__(self, seed: int) -> None:
        self.rng = Random(seed)
        self.now_ms = START_MS
        self.tables, self.bucket = logferry_tables(), MemoryBucket()
        self.ingest = ingest.store.Store(self.tables, "log", "registry", 30)
        self.store = archive.store.Store(self.tables, self.bucket, "log", "registry", "archive")
        logger, metrics = Logger(service="tests", level="CRITICAL"), Metrics(namespace="Tests", service="tests")
        self.archive = archive.service.Service(self.store, 0, logger, metrics, lambda: self.now_ms)
        archived = ArchiveReader(Index(self.tables, "registry"), lambda: self.bucket, "archive", lambda: self.now_ms)
        archived._cache = _NoCache()  # reads must return the current content
        self.query = query.store.Store(self.tables, "log", "registry")
        self.history = History(self.query, archived, lambda: self.now_ms)
        self.tip = 0
        self.ingest.open_job(
            JOB, owner="team", principal="web", instance="E", container={"name": "web"}, life={}, now_ms=self.now_ms
        )
        self.ingest.list_unarchived(JOB, self.now_ms)

    # --- events

    def put(self, count: int) -> None:
        texts = tuple(f"{self.tip + index + 1}" for index in range(count))
        # Some batches span midnight, and some clocks step back.
        time = self.now_ms * 1000 + self.rng.choice((0, -3_600_000_000, 86_400_000_000 // 2))
        self.ingest.put_batch(JOB, batch(self.tip + 1, texts, time=time), self.now_ms)
        self.tip += count

    def run(self, why: archive.core.Trigger) -> None:
        self.archive.archive(JOB, why, lambda: False)

    def crash(self, why: archive.core.Trigger, operations: int) -> None:
        """Run until the process ends after this many requests, the last of which may or may not be carried out."""
        with suppress(CrashError):
            self.interrupted(lambda: self.run(why), operations, _raise_crash)

    def beside(self, why: archive.core.Trigger, operations: int) -> None:
        """Run, with another run beginning and ending in the middle."""
        self.interrupted(lambda: self.run(why), operations, lambda: self.run("daily"))

    def interrupted(self, work: Callable[[], None], operations: int, by: Callable[[], None]) -> None:
        left = operations

        def count(_operation: str, _place: str) -> None:
            nonlocal left
            left -= 1
            if left == 0:
                by()

        self.tables.before = self.tables.after = self.bucket.before = self.bucket.after = count
        try:
            work()
        finally:
            self.tables.before = self.tables.after = lambda _operation, _table: None
            self.bucket.before = self.bucket.after = lambda _operation, _key: None

    def forget(self) -> None:
        """Let archived batches expire; delete some at once, in any order, and keep some."""
        state = self.store.state(JOB)
        partition = self.tables.tables["log"].partitions.get(JOB, {})
        for first, item in list(partition.items()):
            if first + int(item["count"]["N"]) - 1 <= state.tip and self.rng.random() < 0.6:
                if self.rng.random() < 0.5:
                    del partition[first]
                else:
                    item["expires"] = {"N": str(self.now_ms // 1000)}

    # --- checks

    def check(self) -> None:
        """Check that a reader gets exactly 1..n, both ways and from anywhere."""
        tip = max(self.query.tip(JOB), self.query.archived_tip(JOB))
        assert tip == self.tip
        every = list(range(1, tip + 1))
        assert self.sequences(self.history.after(JOB, 0, tip)) == every
        assert self.sequences(reversed(list(self.history.before(JOB, 2**53 - 1, tip)))) == every
        if tip:
            place = self.rng.randint(1, tip)
            assert [one for one in self.sequences(self.history.after(JOB, place, tip)) if one > place] == every[place:]
            backwards = self.sequences(reversed(list(self.history.before(JOB, place, tip))))
            assert [one for one in backwards if one < place] == every[: place - 1]
            span = self.history.run_at(JOB, place)
            assert span is not None
            assert span.first <= place <= span.last

    def sequences(self, batches: Any) -> list[int]:
        found = []
        for one in batches:
            rows = list(decode_body(one["body"]).rows(one["first"]))
            assert [text for _, _, _, text in rows] == [str(sequence) for sequence, _, _, _ in rows]
            found += [sequence for sequence, _, _, _ in rows]
        return found

    def check_archive(self) -> None:
        """Check that everything is archived: each entry has one row, and no object is unreferenced."""
        rows: list[int] = []
        for key, content in self.bucket.objects.items():
            if key.startswith("logs/"):
                text = zstd.decompress(content).decode()
                lines = [json.loads(line) for line in text.splitlines()]
                assert all(f"/day={line['time'][:10]}/" in key for line in lines)
                rows += [line["sequence"] for line in lines]
        assert sorted(rows) == list(range(1, self.tip + 1))
        segments = list(self.store.index.from_sequence(JOB, 0))
        spoken_of = {key for one in segments for key in (one.key(JOB), *one.rows(JOB, "team"))}
        assert spoken_of == set(self.bucket.objects)


class _NoCache(dict[str, Any]):
    def __setitem__(self, key: str, value: Any) -> None:
        super().clear()
        super().__setitem__(key, value)

    def __contains__(self, key: object) -> bool:
        return False


def _raise_crash() -> None:
    raise CrashError


WHY = st.sampled_from(["ended", "hourly", "daily"])
STEP = st.one_of(
    st.tuples(st.just("put"), st.integers(1, 9)),
    st.tuples(st.just("put"), st.integers(1, 9)),
    st.tuples(st.just("run"), WHY),
    st.tuples(st.just("crash"), WHY, st.integers(1, 40)),
    st.tuples(st.just("beside"), WHY, st.integers(1, 40)),
    st.tuples(st.just("forget")),
    st.tuples(st.just("wait"), st.sampled_from([1, 4, 25])),
)


def play(seed: int, steps: list[tuple[Any, ...]]) -> None:
    """Play a job's life from its first line to its deletion."""
    world = Simulation(seed)
    for step in steps:
        match step:
            case ("wait", hours):
                world.now_ms += hours * HOUR_MS
            case (name, *given_):
                getattr(world, name)(*given_)
        world.check()
    world.run("daily")
    world.check()
    world.check_archive()
    delete(world)


def delete(world: Simulation) -> None:
    """Delete the job in the middle of a run and erase it, with a crash in between: nothing is left."""
    world.put(5)
    if world.rng.random() < 0.5:
        world.crash("daily", world.rng.randint(1, 25))

    def deleted_meanwhile() -> None:
        world.query.mark_deleted(JOB, "me", world.now_ms)
        world.query.put_tombstone(JOB, world.tip, world.now_ms)
        with suppress(CrashError):
            crash_after = world.rng.randint(1, 30)
            world.interrupted(lambda: world.run("daily"), crash_after, _raise_crash)
        world.run("daily")

    done = False

    def once() -> None:
        nonlocal done
        done = True
        deleted_meanwhile()

    world.interrupted(lambda: world.run("daily"), world.rng.randint(1, 20), once)
    if not done:
        deleted_meanwhile()
    assert world.bucket.objects == {}
    assert list(world.store.index.from_sequence(JOB, 0)) == []
    assert [item for item in world.tables.tables["log"].partitions[JOB].values() if "deleted" not in item] == []
    assert list(world.store.unarchived(items.shard_of(JOB))) == []


def _property(examples: int, *, derandomize: bool) -> Callable[..., None]:
    @settings(max_examples=examples, deadline=None, derandomize=derandomize, database=None)
    @given(seed=st.integers(0, 2**16), steps=st.lists(STEP, min_size=1, max_size=20))
    def run(seed: int, steps: list[tuple[Any, ...]]) -> None:
        play(seed, steps)

    return run


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make a few batches a segment, and a few of those a run."""
    monkeypatch.setattr("archive.core.SEGMENT_BATCHES", 2)
    monkeypatch.setattr("archive.core.RUN_BATCHES", 5)
    monkeypatch.setattr("archive.core.HOURLY_ENTRIES", 12)


@pytest.mark.usefixtures("small")
def test_every_entry_is_archived_once_and_read_once() -> None:
    """Invariants 1 and 6, across table and archive."""
    _property(150, derandomize=True)()


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.usefixtures("small")
def test_every_entry_is_archived_once_and_read_once_in_long_runs() -> None:
    """The long form: new runs each time."""
    _property(10_000, derandomize=False)()
