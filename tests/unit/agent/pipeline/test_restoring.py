"""Tests of `pipeline/restoring.py`: what a killed agent left on the disk is taken up again, all of it."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from random import Random
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from logferry_agent.core.batcher import FIRST_TARGET
from logferry_agent.core.chunk import Chunk, Job, Offer
from logferry_agent.core.processing import Processing
from logferry_agent.edge.disk import Spool
from logferry_agent.edge.metrics import Metrics
from logferry_agent.pipeline import Limits, Shipper
from logferry_protocol.batch import decode_body
from logferry_protocol.job import Container, LifeCycle

JOB = Job("a" * 64, Container(name="web"), LifeCycle(state="running"))


def lines(begin: int, count: int) -> list[str]:
    """As logs are: they come to an eighth, so an open batch grows far beyond what a first batch is cut at."""
    rng = Random(begin)
    return [f"{index:06d} GET /items/{rng.getrandbits(32):08x} 200 in 12 ms" for index in range(begin, begin + count)]


def chunk(texts: list[str], begin: int) -> Chunk:
    return Chunk([0] * len(texts), "o" * len(texts), texts, sum(map(len, texts)), lambda count: str(begin + count))


class Pipeline:
    """The pipeline without a cloud, turned by hand."""

    def __init__(self, folder: Path, processing: Processing | None = None) -> None:
        self.spool = Spool(folder, "engine")
        self.now = time.monotonic()  # as the pipeline itself takes it when it begins
        limits = Limits(processing=processing or Processing())
        self.shipper = Shipper(self.spool, "engine", limits, Metrics())
        self.place = int(self.shipper.intake.job_appeared(JOB).cursor or 0)

    def read(self, texts: list[str], begin: int) -> None:
        """Read lines, which are the log's from `begin` on."""
        while self.shipper.intake.offer(JOB.id, 1, chunk(texts, begin)) is not Offer.TAKEN:
            self.shipper.turn(self.now)

    def turn(self, seconds: float = 0.25) -> None:
        self.shipper.turn(self.now)
        self.now += seconds
        self.shipper.turn(self.now)

    def finish(self) -> None:
        """The container is gone: all that is open is closed."""
        self.shipper.intake.job_ended(JOB.id)
        self.turn()

    @property
    def open_weight(self) -> int:
        """Of what is not closed yet."""
        return self.shipper.lanes[JOB.id].batcher.weight if self.shipper.lanes else 0

    def on_disk(self) -> list[str]:
        """Every text that would survive a kill now, in order."""
        closed = [self.spool.load(stored.id) for stored in self.spool.queue()]
        texts = [text for stored in closed if stored for text in decode_body(stored.batch.body).texts]
        return texts + [text for _, piece in self.spool.pieces() for text in piece.texts]


def test_an_open_batch_larger_than_a_new_agent_would_let_it_grow_comes_back_whole(tmp_path: Path) -> None:
    """A batcher learns how large a batch may be, and a new one knows nothing: it closes some, and keeps the rest."""
    before, texts = Pipeline(tmp_path), list[str]()
    while before.open_weight < FIRST_TARGET + 20_000:
        assert len(texts) < 50_000
        more = lines(len(texts), 400)
        before.read(more, len(texts))
        texts += more
        before.turn()
    assert before.on_disk() == texts
    before.spool.close()  # as a kill leaves it

    again = Pipeline(tmp_path)
    assert again.place == len(texts), "readers go on behind all of it"
    again.shipper.turn(again.now)
    assert again.on_disk() == texts, "at no moment is less there than before"
    again.read(["one more"], again.place)
    again.turn()
    assert again.on_disk() == [*texts, "one more"]
    again.spool.close()
    third = Pipeline(tmp_path)
    third.turn()
    assert third.on_disk() == [*texts, "one more"]
    third.spool.close()


KINDS = ["like logs", "hardly compressed", "all the same", "long"]


def some(kind: str, begin: int, count: int) -> list[str]:
    """Lines that compress well or badly, every fifth of which begins an entry when lines are merged."""
    rng = Random(f"{kind} {begin}")
    filling = {
        "like logs": lambda: f"GET /items/{rng.getrandbits(32):08x} 200",
        "hardly compressed": lambda: rng.randbytes(200).hex(),
        "all the same": lambda: "the same over and over again",
        "long": lambda: "x" * 5_000 + str(rng.random()),
    }[kind]
    return [("" if index % 5 == 0 else " ") + f"{index} {filling()}" for index in range(begin, begin + count)]


def test_a_batch_cut_from_a_restored_open_batch_of_merged_lines_knows_how_many_lines_it_ends_after(
    tmp_path: Path,
) -> None:
    """Or reading from its cursor, when the spool is lost, would repeat some: an entry is several lines there."""
    merging = Processing(merge_start=r"^\S")
    before, count = Pipeline(tmp_path, merging), 0
    while before.open_weight < FIRST_TARGET + 10_000:
        assert count < 50_000
        more = [text if text[5] in "05" else f" {text}" for text in lines(count, 400)]
        before.read(more, count)
        count += 400
        before.turn()
    closed = len(list(before.spool.queue()))
    before.spool.close()
    again = Pipeline(tmp_path, merging)
    again.shipper.turn(again.now)
    queue = [again.spool.load(stored.id) for stored in again.spool.queue()]
    again.spool.close()
    assert len(queue) > closed
    ends, total = [], 0
    for stored in queue:
        assert stored is not None
        total += len("\n".join(decode_body(stored.batch.body).texts).split("\n"))
        ends.append(str(total))
    assert [stored.batch.cursor for stored in queue if stored] == ends


STEP = st.one_of(
    st.tuples(st.just("read"), st.sampled_from(KINDS), st.sampled_from([1, 7, 150, 700])),
    st.tuples(st.just("turn"), st.sampled_from([0.01, 0.25, 1.5]), st.just(0)),
    st.tuples(st.just("kill"), st.just(0), st.just(0)),
)


@given(st.lists(STEP, min_size=1, max_size=14), st.sampled_from(["nothing", "merge", "redact"]))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow], database=None)
def test_every_line_is_in_the_spool_once_and_in_order_whenever_the_agent_is_killed(
    steps: list[tuple[str, Any, int]], processing: str
) -> None:
    """Read again from where the spool says; without a cloud, so that nothing but the spool knows anything."""
    done = {"merge": Processing(merge_start=r"^\S"), "redact": Processing(redact=("all",))}.get(processing)
    with tempfile.TemporaryDirectory(
        prefix="lf-restore-", dir="/dev/shm" if Path("/dev/shm").is_dir() else None
    ) as made:
        written: list[str] = []
        pipeline = Pipeline(Path(made), done)
        read = 0
        for what, value, count in steps:
            if what == "read":
                written += some(value, len(written), count)
                pipeline.read(written[read:], read)
                read = len(written)
            elif what == "turn":
                pipeline.turn(value)
            else:
                pipeline.spool.close()
                pipeline = Pipeline(Path(made), done)
                read = pipeline.place
                if read < len(written):
                    pipeline.read(written[read:], read)
                read = len(written)
        pipeline.turn()
        pipeline.finish()
        on_disk = pipeline.on_disk()
        pipeline.spool.close()
    assert "\n".join(on_disk).split("\n") == (written or [""])
