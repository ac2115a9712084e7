"""Test that after any crash the spool holds what its last transaction left, or an earlier one after a power cut.

Any operations in any order, with the process or the power ending anywhere; the spool never holds anything else.
"""

from __future__ import annotations

import copy
import shutil
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from logferry_agent.core.batching.entries import Batch, SavedEntries
from logferry_agent.edge.spool import Progress, Spool, StoredJob

MEMORY = Path("/dev/shm")
JOBS = ["a" * 64, "b" * 64]

STEP = st.one_of(
    st.tuples(st.just("describe"), st.integers(0, 1), st.integers(0, 9)),
    st.tuples(st.just("append"), st.integers(0, 1), st.sampled_from([1, 100, 9_000])),
    st.tuples(st.just("assign"), st.integers(0, 1), st.integers(1, 99)),
    st.tuples(st.just("acknowledge"), st.integers(0, 1), st.integers(1, 99)),
    st.tuples(st.just("become gap"), st.integers(0, 1), st.integers(0, 5)),
    st.tuples(st.just("save"), st.integers(0, 1), st.integers(1, 5)),
    st.tuples(st.just("hold"), st.integers(0, 1), st.integers(1, 5)),
    st.tuples(st.just("let go"), st.integers(0, 1), st.just(0)),
    st.tuples(st.just("close"), st.integers(0, 1), st.sampled_from([1, 100])),
    st.tuples(st.just("clear"), st.integers(0, 1), st.just(0)),
    st.tuples(st.just("forget"), st.integers(0, 1), st.just(0)),
)
TURN = st.tuples(
    st.lists(STEP, min_size=1, max_size=6), st.sampled_from(["commit", "commit", "commit", "fail", "kill"])
)


@dataclass
class Model:
    """What the spool should hold."""

    jobs: dict[str, StoredJob] = field(default_factory=dict)
    queue: list[tuple[int, str, int | None, bool, Batch]] = field(default_factory=list)
    pieces: list[tuple[str, SavedEntries]] = field(default_factory=list)
    held: dict[str, tuple[str, str | None, SavedEntries]] = field(default_factory=dict)
    next_id: int = 1

    def head(self, job: str) -> int | None:
        return next((index for index, entry in enumerate(self.queue) if entry[1] == job), None)


def batch(serial: int, size: int) -> Batch:
    body = (f"{serial} ".encode() * size)[:size]
    return Batch(2, serial, serial + 1, 9, 0, f"cursor {serial}", f"{serial:064x}", body)


def held(spool: Spool) -> tuple[Any, Any, Any, Any]:
    """Return all of its content."""
    queue = []
    for entry in spool.queue():
        loaded = spool.load(entry.id)
        assert loaded is not None
        queue.append((entry.id, entry.job, entry.first, entry.gap, loaded.batch))
    return {job.id: job for job in spool.jobs()}, queue, list(spool.pieces()), {row[0]: row for row in spool.held()}


def content(model: Model) -> tuple[Any, Any, Any, Any]:
    return model.jobs, model.queue, model.pieces, model.held


def apply_step(spool: Spool, model: Model, step: tuple[str, int, int]) -> None:
    """Apply one operation to the spool and to the model."""
    what, number, value = step
    job = JOBS[number]
    head = model.head(job)
    match what:
        case "describe":
            model.jobs[job] = StoredJob(
                job, "{}", f'{{"n":{value}}}', bool(value % 2), value, None, "c", value, 0, None
            )
            spool.put_job(model.jobs[job])
        case "append" | "close":
            if what == "close":
                spool.drop_pieces(job)
                model.pieces = [(other, piece) for other, piece in model.pieces if other != job]
            made = batch(model.next_id, value)
            spool.append(model.next_id, job, made)
            model.queue.append((model.next_id, job, None, False, made))
            model.next_id += 1
        case "assign" if head is not None:
            entry = model.queue[head]
            spool.assign(entry[0], value)
            model.queue[head] = (entry[0], job, value, *entry[3:])
        case "acknowledge" if head is not None:
            spool.remove(model.queue.pop(head)[0])
            if job in model.jobs:
                model.jobs[job] = replace(model.jobs[job], tip=value)
                known = model.jobs[job]
                spool.advance(job, Progress(known.tip, known.digest, known.bytes, known.gaps, known.last))
        case "become gap" if head is not None:
            entry = model.queue[head]
            gap = batch(entry[0], value)
            spool.replace(entry[0], gap)
            model.queue[head] = (*entry[:3], True, gap)
        case "save":
            each = [f"c{n}" for n in range(value)] if value % 2 else None
            piece = SavedEntries(
                list(range(value)), "o" * value, [f"text {n}" for n in range(value)], f"p{value}", each
            )
            spool.save_piece(job, piece)
            model.pieces.append((job, piece))
        case "hold":
            piece = SavedEntries(list(range(value)), "o" * value, [f"held {n}" * 99 for n in range(value)], f"h{value}")
            model.held[job] = (job, f"p{value}" if value % 2 else None, piece)
            spool.save_held(*model.held[job])
        case "let go":
            spool.drop_held(job)
            model.held.pop(job, None)
        case "clear" | "forget":
            spool.clear(job)
            model.held.pop(job, None)
            model.queue = [entry for entry in model.queue if entry[1] != job]
            model.pieces = [(other, piece) for other, piece in model.pieces if other != job]
            if what == "forget":
                spool.forget(job)
                model.jobs.pop(job, None)


@contextmanager
def folder() -> Any:
    with tempfile.TemporaryDirectory(prefix="lf-disk-", dir=MEMORY if MEMORY.is_dir() else None) as made:
        yield Path(made)


def after_crash(spool: Spool, target: Path, log_bytes: int | None = None, torn: bytes = b"") -> Spool:
    """Return the spool that the next start finds: this many bytes of the write-ahead log, and then junk."""
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir()
    shutil.copy(spool.path, target)
    log = spool.path.with_name(spool.path.name + "-wal")
    if log.exists():
        written = log.read_bytes()
        kept = written if log_bytes is None else written[:log_bytes] + torn
        (target / log.name).write_bytes(kept)
    return Spool(target, "engine")


class FailingError(Exception):
    """Something fails inside a transaction."""


@given(st.lists(TURN, min_size=1, max_size=15))
@settings(max_examples=60, deadline=None)
def test_spool_holds_what_was_committed_after_any_failure_or_kill(turns: list[tuple[Any, str]]) -> None:
    """Batch, cursor and sequence together, or none of them; its byte count is correct."""
    with folder() as place:
        spool, model, number = Spool(place / "0", "engine"), Model(), 0
        for steps, end in turns:
            before = copy.deepcopy(model)
            try:
                with spool.transaction():
                    for step in steps:
                        apply_step(spool, model, step)
                    if end == "fail":
                        raise FailingError
            except FailingError:
                model = before
            if end == "kill":
                number += 1
                again = after_crash(spool, place / str(number))
                spool.close()
                spool = again
                assert spool.set_aside is None
            assert held(spool) == content(model)
            counted = spool.bytes
            again = after_crash(spool, place / "counted")
            assert again.bytes == counted
            again.close()
        spool.close()


@given(
    st.lists(st.lists(STEP, min_size=1, max_size=6), min_size=1, max_size=8), st.floats(0, 1), st.binary(max_size=64)
)
@settings(max_examples=60, deadline=None)
def test_power_cut_leaves_an_earlier_state(turns: list[Any], share: float, torn: bytes) -> None:
    """The write-ahead log ends anywhere, with junk behind it: the spool is as after one of the transactions.

    With `sync = full` that is the last one: each is on the disk before anything is sent.
    """
    with folder() as place:
        spool, model = Spool(place / "spool", "engine"), Model()
        states = [copy.deepcopy(content(model))]
        for steps in turns:
            with spool.transaction():
                for step in steps:
                    apply_step(spool, model, step)
            states.append(copy.deepcopy(content(model)))
        log = spool.path.with_name(spool.path.name + "-wal")
        size = log.stat().st_size
        assert size > 0, "the transactions are in the log"
        again = after_crash(spool, place / "after", int(size * share), torn)
        assert again.set_aside is None
        assert held(again) in states
        assert share < 1 or held(again) == states[-1]
        again.close()
        spool.close()
