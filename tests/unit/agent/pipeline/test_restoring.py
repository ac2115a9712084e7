"""Tests of `pipeline/restoring.py`: what a killed agent left on the disk is taken up again, all of it."""

from __future__ import annotations

from pathlib import Path
from random import Random

from logferry_agent.core.batcher import FIRST_TARGET
from logferry_agent.core.chunk import Chunk, Job, Offer
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

    def __init__(self, folder: Path) -> None:
        self.spool = Spool(folder, "engine")
        self.shipper = Shipper(self.spool, "engine", Limits(), Metrics())
        self.now = 1e9
        self.place = int(self.shipper.intake.job_appeared(JOB).cursor or 0)

    def read(self, texts: list[str], begin: int) -> None:
        assert self.shipper.intake.offer(JOB.id, 1, chunk(texts, begin)) is Offer.TAKEN

    def turn(self, seconds: float = 0.25) -> None:
        self.shipper.turn(self.now)
        self.now += seconds
        self.shipper.turn(self.now)

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
    again.turn()
    assert again.on_disk() == texts
    again.read(["one more"], again.place)
    again.turn()
    assert again.on_disk() == [*texts, "one more"]
    again.spool.close()
    third = Pipeline(tmp_path)
    third.turn()
    assert third.on_disk() == [*texts, "one more"]
    third.spool.close()
