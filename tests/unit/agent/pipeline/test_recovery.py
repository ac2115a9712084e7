"""Test `pipeline/recovery.py`: everything that a killed agent left on the disk is recovered."""

from __future__ import annotations

import itertools
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from random import Random
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.support.storing_cloud import AnsweringCloud

from logferry_agent.core.batching.batcher import FIRST_TARGET, Batcher
from logferry_agent.core.batching.cursor import split_cursor
from logferry_agent.core.batching.entries import Chunk, PreencodedBatch
from logferry_agent.core.batching.ports import Job, Offer, Position
from logferry_agent.core.batching.processing import ProcessingOptions, Processor
from logferry_agent.core.redaction.redaction import REDACTED
from logferry_agent.edge.cloud_socket import Connected, Frame
from logferry_agent.edge.metrics import Metrics
from logferry_agent.edge.spool import Spool, StoredJob
from logferry_agent.pipeline import Pipeline, PipelineSettings
from logferry_protocol.batch import decode_body
from logferry_protocol.job import Container, LifeCycle
from logferry_protocol.messages import (
    FROM_AGENT,
    Open,
    Opened,
    OpenedJob,
    OpenJob,
    Result,
    Watched,
    decode,
    encode,
)
from logferry_protocol.messages import Batch as WireBatch

JOB = Job("a" * 64, Container(name="web"), LifeCycle(state="running"))


def lines(begin: int, count: int) -> list[str]:
    """Return lines as logs are: they compress to an eighth, so an open batch grows far beyond a first batch's limit."""
    rng = Random(begin)
    return [f"{index:06d} GET /items/{rng.getrandbits(32):08x} 200 in 12 ms" for index in range(begin, begin + count)]


def chunk(texts: list[str], begin: int) -> Chunk:
    return Chunk([0] * len(texts), "o" * len(texts), texts, sum(map(len, texts)), lambda count: str(begin + count))


def preencoded(texts: list[str], begin: int) -> Iterator[PreencodedBatch]:
    """Return the same, closed by its reader."""
    batcher = Batcher()
    batcher.add(chunk(texts, begin))
    before = begin
    while (batch := batcher.close()) is not None:
        yield PreencodedBatch(batch, lambda before=before: str(before))  # type: ignore[misc]
        before += batch.count


def place_of(cursor: str | None) -> int:
    """Return the number of lines before a cursor; the pipeline's suffix follows a bar."""
    return int((cursor or "0").split("|")[0])


class OfflineHarness:
    """The pipeline without a cloud, run step by step."""

    def __init__(self, folder: Path, processing: ProcessingOptions | None = None) -> None:
        self.spool = Spool(folder, "engine")
        self.now = time.monotonic()  # as the pipeline itself sets it at its start
        limits = PipelineSettings(processing=processing or ProcessingOptions())
        self.pipeline = Pipeline(self.spool, "engine", limits, Metrics())
        self.place = place_of(self.pipeline.intake.job_appeared(JOB).cursor)

    def read(self, texts: list[str], begin: int) -> None:
        """Read lines, which are the log's from `begin` on."""
        while self.pipeline.intake.offer(JOB.id, 1, chunk(texts, begin)) is not Offer.TAKEN:
            self.pipeline.turn(self.now)

    def read_preencoded(self, texts: list[str], begin: int) -> None:
        """Read the same in batches closed by their reader."""
        for each in preencoded(texts, begin):
            while self.pipeline.intake.offer(JOB.id, 1, each) is not Offer.TAKEN:
                self.pipeline.turn(self.now)

    def turn(self, seconds: float = 0.25) -> None:
        self.pipeline.turn(self.now)
        while self.pipeline.intake.pending:
            self.pipeline.turn(self.now)
        self.now += seconds
        self.pipeline.turn(self.now)

    def finish(self) -> None:
        """End the container, which closes everything that is open."""
        self.pipeline.intake.job_ended(JOB.id)
        self.turn()

    @property
    def open_weight(self) -> int:
        """Return the size of what is not closed yet."""
        return self.pipeline.buffers[JOB.id].batcher.weight if self.pipeline.buffers else 0

    def on_disk(self) -> list[str]:
        """Return every text that would survive a kill now, in order."""
        closed = [self.spool.load(stored.id) for stored in self.spool.queue()]
        texts = [text for stored in closed if stored for text in decode_body(stored.batch.body).texts]
        places = [job.cursor for job in self.spool.jobs()]
        for _, piece in self.spool.pieces():
            assert piece is not None
            texts += piece.texts
            places.append(piece.cursor)
        last = [held for _, place, held in self.spool.held() if [place] == places[-1:]]
        return texts + [text for held in last if held is not None for text in held.texts]

    def kill(self) -> None:
        """Kill the agent: what was not written is lost."""
        self.spool.close()


def test_oversized_open_batch_is_recovered_whole(tmp_path: Path) -> None:
    """A batcher learns its batch size, and a new one has not: it closes some, and keeps the rest."""
    before, texts = OfflineHarness(tmp_path), list[str]()
    while before.open_weight < FIRST_TARGET + 20_000:
        assert len(texts) < 50_000
        more = lines(len(texts), 400)
        before.read(more, len(texts))
        texts += more
        before.turn()
    assert before.on_disk() == texts
    before.spool.close()  # as a kill leaves it

    again = OfflineHarness(tmp_path)
    assert again.place == len(texts), "readers go on behind all of it"
    again.pipeline.turn(again.now)
    assert again.on_disk() == texts, "at no moment is less there than before"
    again.read(["one more"], again.place)
    again.turn()
    assert again.on_disk() == [*texts, "one more"]
    again.spool.close()
    third = OfflineHarness(tmp_path)
    third.turn()
    assert third.on_disk() == [*texts, "one more"]
    third.spool.close()


KINDS = ["like logs", "hardly compressed", "all the same", "long"]


def some(kind: str, begin: int, count: int) -> list[str]:
    """Generate lines that compress well or badly; every fifth begins an entry when lines are merged."""
    rng = Random(f"{kind} {begin}")
    fillings: dict[str, Callable[[], str]] = {
        "like logs": lambda: f"GET /items/{rng.getrandbits(32):08x} 200",
        "hardly compressed": lambda: rng.randbytes(200).hex(),
        "all the same": lambda: "the same over and over again",
        "long": lambda: "x" * 5_000 + str(rng.random()),
    }
    filling = fillings[kind]
    return [("" if index % 5 == 0 else " ") + f"{index} {filling()}" for index in range(begin, begin + count)]


def test_batch_cut_from_a_recovered_open_batch_of_merged_lines_knows_its_line_count(
    tmp_path: Path,
) -> None:
    """Otherwise reading from its cursor after losing the spool would repeat lines: an entry is several lines."""
    merging = ProcessingOptions(merge_start=r"^\S")
    before, count = OfflineHarness(tmp_path, merging), 0
    while before.open_weight < FIRST_TARGET + 10_000:
        assert count < 50_000
        more = [text if text[5] in "05" else f" {text}" for text in lines(count, 400)]
        before.read(more, count)
        count += 400
        before.turn()
    closed = len(list(before.spool.queue()))
    before.spool.close()
    again = OfflineHarness(tmp_path, merging)
    again.pipeline.turn(again.now)
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


@given(
    st.lists(STEP, min_size=1, max_size=14),
    st.sampled_from(["nothing", "nothing", "merge", "redact"]),
    st.lists(st.booleans(), min_size=1, max_size=5),
)
@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow], database=None)
def test_every_line_is_in_the_spool_once_and_in_order_after_any_kill(
    steps: list[tuple[str, Any, int]], processing: str, encoded_before: list[bool]
) -> None:
    """Lines are read again from the spool's position; without a cloud, only the spool knows anything.

    Any of them may come in batches closed by their reader.
    """
    choices = itertools.cycle(encoded_before)
    done = {"merge": ProcessingOptions(merge_start=r"^\S"), "redact": ProcessingOptions(redact=("all",))}.get(
        processing
    )
    with tempfile.TemporaryDirectory(
        prefix="lf-restore-", dir="/dev/shm" if Path("/dev/shm").is_dir() else None
    ) as made:
        written: list[str] = []
        rig = OfflineHarness(Path(made), done)
        read = 0

        def go_on() -> None:
            (rig.read_preencoded if next(choices) else rig.read)(written[read:], read)

        for what, value, count in steps:
            if what == "read":
                written += some(value, len(written), count)
                go_on()
                read = len(written)
            elif what == "turn":
                rig.turn(value)
            else:
                rig.spool.close()
                rig = OfflineHarness(Path(made), done)
                read = rig.place
                if read < len(written):
                    go_on()
                read = len(written)
        rig.turn()
        rig.finish()
        on_disk = rig.on_disk()
        rig.spool.close()
    assert "\n".join(on_disk).split("\n") == (written or [""])


MERGING = ProcessingOptions(merge_start=r"^\S")


def test_held_back_entry_is_on_the_disk_and_lines_still_join_it(tmp_path: Path) -> None:
    """A stack trace, killed in its middle: it continues, and stays behind what it follows."""
    before = OfflineHarness(tmp_path, MERGING)
    before.read(["first", "Traceback:", "  File a"], 0)
    before.turn()
    assert before.on_disk() == ["first", "Traceback:", "  File a"]
    before.kill()

    again = OfflineHarness(tmp_path, MERGING)
    assert again.place == 3, "nothing is read again"
    again.turn()
    again.read(["  File b", "next"], 3)
    again.turn()
    again.finish()
    assert again.on_disk() == ["first", "Traceback:\n  File a\n  File b", "next"]
    again.kill()


def test_held_back_entry_is_shipped_if_nothing_follows(tmp_path: Path) -> None:
    """Its container was removed while no agent ran, or wrote nothing more."""
    for end in (True, False):
        before = OfflineHarness(tmp_path / str(end), MERGING)
        before.read(["Traceback:", "  File a"], 0)
        before.turn()
        before.kill()
        again = OfflineHarness(tmp_path / str(end), MERGING)
        if end:
            again.finish()
        again.turn(1.5)
        again.turn()
        assert again.on_disk() == ["Traceback:\n  File a"]
        assert list(again.spool.held()) == [], "nor is it there a second time"
        again.kill()


def test_held_back_entry_is_split_if_lines_are_no_longer_merged(tmp_path: Path) -> None:
    """The settings changed in between: its lines count as if read now."""
    before = OfflineHarness(tmp_path, MERGING)
    before.read(["Traceback:", "  File a"], 0)
    before.turn()
    before.kill()
    again = OfflineHarness(tmp_path)
    again.turn()
    assert again.on_disk() == ["Traceback:", "  File a"]
    assert list(again.spool.held()) == []
    again.kill()


def test_held_back_entry_left_by_an_older_agent_is_not_repeated(tmp_path: Path) -> None:
    """An earlier version read the entry again, and left the row in place."""
    before = OfflineHarness(tmp_path, MERGING)
    before.read(["Traceback:", "  File a"], 0)
    before.turn()
    ((job, place, piece),) = before.spool.held()
    assert piece is not None
    before.finish()
    with before.spool.transaction():
        before.spool.save_held(job, place, piece)
    before.kill()
    again = OfflineHarness(tmp_path, MERGING)
    again.turn()
    assert again.on_disk() == ["Traceback:\n  File a"]
    assert list(again.spool.held()) == []
    again.kill()


HELD_STEP = st.one_of(
    st.tuples(st.just("read"), st.sampled_from([1, 2, 7, 150])),
    st.tuples(st.just("turn"), st.sampled_from([0.01, 0.1, 0.25, 1.5])),
    st.tuples(st.just("kill"), st.just(0)),
)


@given(st.lists(HELD_STEP, min_size=1, max_size=20), st.sampled_from(KINDS), st.integers(0, 3))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow], database=None)
def test_lines_read_250_ms_before_a_kill_no_longer_need_their_container(
    steps: list[tuple[str, Any]], kind: str, more: int
) -> None:
    """The agent is killed repeatedly while lines are merged, then once more, and the container is gone.

    No line that was read long enough before is missing, repeated, or out of order.
    """
    with tempfile.TemporaryDirectory(prefix="lf-held-", dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as made:
        rig, written, safe = OfflineHarness(Path(made), MERGING), list[str](), 0
        since = rig.now
        for what, value in [*steps, ("read", 1 + more), ("turn", 0.25)]:
            if what == "read":
                written += some(kind, len(written), value)
                rig.read(written[-value:], len(written) - value)
                since = rig.now
            elif what == "turn":
                rig.turn(value)
                if rig.now - since >= 0.25:
                    safe = len(written)
            else:
                rig.kill()
                rig = OfflineHarness(Path(made), MERGING)
                assert rig.place >= safe
                if rig.place < len(written):
                    rig.read(written[rig.place :], rig.place)
                since = rig.now
        assert safe == len(written)
        rig.read([" not yet on the disk"], len(written))
        rig.kill()
        again = OfflineHarness(Path(made), MERGING)
        assert again.place == len(written)
        again.finish()
        on_disk = again.on_disk()
        again.kill()
    assert "\n".join(on_disk).split("\n") == written


# --- inside a private key -------------------------------------------------------------------------------------------

HIDING = ProcessingOptions(redact=("private_key",))
KEY = ["-----BEGIN EC PRIVATE KEY-----", "SECRET1", "SECRET2", "SECRET3", "-----END EC PRIVATE KEY-----"]


def with_keys(seed: int, count: int) -> list[str]:
    """Generate lines, with private keys between them."""
    rng, found = Random(seed), list[str]()
    while len(found) < count:
        found += KEY if rng.random() < 0.3 else [f"line {len(found)} {rng.getrandbits(64):x}"]
    return found[:count]


def hidden(texts: list[str], cursor: str | None = None) -> list[str]:
    """Hide as a redactor that is never killed does; or one that begins behind a cursor."""
    processor = Processor(HIDING)
    processor.resume_after(cursor)
    out = processor.process(chunk(texts, 0), split_cursor(cursor)[1])
    return out.texts if out is not None else []


def test_private_key_is_hidden_to_its_end_by_an_agent_killed_within_it(tmp_path: Path) -> None:
    """The start of the key is not read again."""
    before = OfflineHarness(tmp_path, HIDING)
    before.read(["before", *KEY[:2]], 0)
    before.turn()
    before.kill()
    again = OfflineHarness(tmp_path, HIDING)
    again.read([*KEY[2:], "after"], again.place)
    again.turn()
    assert again.on_disk() == ["before", *[REDACTED] * 5, "after"]
    again.kill()


@given(
    st.integers(0, 2**32),
    st.lists(STEP, min_size=1, max_size=14),
    st.booleans(),
)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow], database=None)
def test_no_line_of_a_private_key_is_ever_shipped_after_any_kill(
    seed: int, steps: list[tuple[str, Any, int]], merge: bool
) -> None:
    """Nor when the spool is lost, and reading continues behind any of the cloud's batches."""
    done = ProcessingOptions(redact=("private_key",), merge_start=r"^(?:[^S]|SECRET[13])" if merge else None)
    source = with_keys(seed, 12_000)
    with tempfile.TemporaryDirectory(prefix="lf-keys-", dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as made:
        rig, read, written = OfflineHarness(Path(made), done), 0, 0
        for what, value, count in steps:
            if what == "read":
                written += count
                rig.read(source[read:written], read)
                read = written
            elif what == "turn":
                rig.turn(value)
            else:
                rig.kill()
                rig = OfflineHarness(Path(made), done)
                read = rig.place
                if read < written:
                    rig.read(source[read:written], read)
                read = written
        rig.turn()
        rig.finish()
        on_disk = rig.on_disk()
        cursors = [stored.batch.cursor for stored in rig.spool.queue()]
        rig.kill()
    assert "SECRET" not in "".join(on_disk)
    expected = hidden(source[:written])
    if merge:
        kept = [line for text in on_disk for line in text.split("\n") if line != REDACTED]
        assert kept == [text for text in expected if text != REDACTED]
    else:
        assert on_disk == expected
    for cursor in cursors:
        base, skip = split_cursor(cursor)
        begin = place_of(base)
        assert hidden(source[begin:written], cursor) == expected[begin + skip :]


def test_batch_cut_from_a_recovered_open_batch_knows_whether_it_ends_within_a_private_key(tmp_path: Path) -> None:
    """Its cursor says how many entries to skip behind a position: the skipped ones are still checked."""
    before, source = OfflineHarness(tmp_path, HIDING), list[str]()
    while before.open_weight < FIRST_TARGET + 10_000:
        assert len(source) < 50_000
        more = lines(len(source), 400)
        for at in range(0, 400, 8):
            more[at : at + 5] = KEY
        before.read(more, len(source))
        source += more
        before.turn()
    before.kill()
    again = OfflineHarness(tmp_path, HIDING)
    again.turn()
    cursors = [stored.batch.cursor for stored in again.spool.queue()]
    again.kill()
    assert any(split_cursor(cursor)[1] for cursor in cursors)
    expected = hidden(source)
    for cursor in cursors:
        base, skip = split_cursor(cursor)
        begin = place_of(base)
        for cut in range(skip, skip + 6):  # wherever it is cut, which is random
            assert hidden(source[begin:], f"{base or ''}~{cut}") == expected[begin + cut :]


def test_private_key_is_hidden_whatever_happens_to_merge_settings(tmp_path: Path) -> None:
    """Its first line is shipped, the next held back: if both were one entry before, the state is unknown."""
    for start in ("^-----BEGIN", "^SECRET1", "^SECRET1"):
        rig = OfflineHarness(tmp_path, ProcessingOptions(redact=("private_key",), merge_start=start))
        rig.read(KEY[rig.place : 2], rig.place)
        rig.turn()
        on_disk = rig.on_disk()
        rig.kill()
    last = OfflineHarness(tmp_path, HIDING)
    last.read(KEY[last.place :], last.place)
    last.turn()
    assert on_disk[0] == REDACTED
    assert last.on_disk() == [REDACTED] * 5
    last.kill()


def test_private_key_is_hidden_to_its_end_after_the_cloud_gives_the_cursor(tmp_path: Path) -> None:
    """The spool was lost with the key's beginning; the cloud's cursor says that reading is within it."""
    first = OfflineHarness(tmp_path / "lost", HIDING)
    first.read(["before", *KEY[:2]], 0)
    first.turn()
    first.finish()
    (stored,) = first.spool.queue()
    cursor = stored.batch.cursor
    first.kill()

    class Cloud:
        """Knows the job, and is told by the pipeline where it moves its reader."""

        def __init__(self) -> None:
            self.moved: list[Position] = []

        def send(self, link: int, text: str) -> None:
            if isinstance(message := decode(text, FROM_AGENT), Open):
                known = OpenedJob(job=JOB.id, tip=3, digest=stored.batch.digest, first=1, cursor=cursor)
                rig.pipeline.post(Frame(link, encode(Opened(id=message.id, jobs=[known]))))

        def close(self, link: int) -> None: ...

        def reread(self, job_id: str, position: Position) -> None:
            self.moved.append(position)

    rig, cloud = OfflineHarness(tmp_path / "new", HIDING), Cloud()
    rig.pipeline.attach(cloud, cloud)  # type: ignore[arg-type]
    rig.pipeline.post(Connected(1))
    rig.turn()
    rig.turn()
    (position,) = cloud.moved
    assert place_of(position.cursor) == 3
    rig.pipeline.intake.offer(JOB.id, position.epoch, chunk([*KEY[2:], "after"], 3))
    rig.turn()
    assert rig.on_disk() == [REDACTED, REDACTED, REDACTED, "after"]
    rig.kill()


def test_latest_time_on_the_disk_is_known_wherever_it_is(tmp_path: Path) -> None:
    """Acknowledged, queued, open or held back: a reader that cannot read the cursor continues after it."""
    for kind in ("queued", "open", "held"):
        before = OfflineHarness(tmp_path / kind, MERGING)
        at = {"queued": 0, "open": 1, "held": 2}[kind]
        texts = ["a", "b", "c"]
        timed = Chunk([77 if index == at else 5 for index in range(3)], "ooo", texts, 3, str)
        before.pipeline.intake.offer(JOB.id, 1, timed)
        before.turn()
        if kind == "queued":
            before.finish()
            with before.spool.transaction():  # what its end wrote, but that it is one
                (stored,) = before.spool.jobs()
                stored.ended = False
                before.spool.put_job(stored)
        before.kill()
        again = OfflineHarness(tmp_path / kind, MERGING)
        assert again.pipeline.intake.job_appeared(JOB).last == 77
        again.kill()
    with (spool := Spool(tmp_path / "acknowledged", "engine")).transaction():
        spool.put_job(
            StoredJob(JOB.id, JOB.container.model_dump_json(), JOB.life.model_dump_json(), last=77, cursor="3")
        )
    spool.close()
    again = OfflineHarness(tmp_path / "acknowledged", MERGING)
    assert again.pipeline.intake.job_appeared(JOB).last == 77
    again.kill()


class CloudHarness(AnsweringCloud):
    """A cloud that outlives the agents, with a viewer: each batch is closed as soon as it can be sent."""

    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []
        self.ends: list[WireBatch] = []
        self.moved: list[Position] = []
        self._link = 0

    def connect(self, rig: OfflineHarness) -> None:
        """Connect a new agent on a new connection; answers on the old one never come."""
        self._answers.clear()
        self._link += 1
        rig.pipeline.attach(self, self)  # type: ignore[arg-type]
        rig.pipeline.post(Connected(self._link))

    def answer(self, rig: OfflineHarness) -> None:
        for text in self.answers():
            rig.pipeline.post(Frame(self._link, text))

    def open_job(self, job: OpenJob) -> OpenedJob:
        end = self.ends[-1] if self.ends else None
        return OpenedJob(
            job=JOB.id,
            tip=len(self.texts),
            digest=end and end.digest,
            first=end and end.first,
            cursor=end and end.cursor,
            watched=Watched(ttl=7_200_000, interval=0),
        )

    def ingest(self, batches: Sequence[WireBatch]) -> list[Result]:
        (batch,) = batches
        stored = bool(self.ends) and batch.first == self.ends[-1].first
        assert not stored or batch.digest == self.ends[-1].digest
        if not stored:
            assert batch.first == len(self.texts) + 1
            self.texts += decode_body(batch.body).texts
            self.ends.append(batch)
        return [Result(job=JOB.id, first=batch.first, outcome="duplicate" if stored else "stored")]

    def reread(self, job_id: str, position: Position) -> None:
        self.moved.append(position)


SHIPPED_STEP = st.one_of(
    st.tuples(st.just("read"), st.sampled_from([1, 2, 7, 40])),
    st.tuples(st.just("turn"), st.sampled_from([0.01, 0.1, 0.25, 1.5])),
    st.tuples(st.just("answer"), st.just(0)),
    st.tuples(st.sampled_from(["kill", "kill", "lose"]), st.just(0)),
)


@given(
    st.lists(SHIPPED_STEP, min_size=3, max_size=25),
    st.integers(0, 2**32),
    st.sampled_from(["nothing", "merge", "redact"]),
    st.lists(st.booleans(), min_size=1, max_size=5),
)
@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow], database=None)
def test_cloud_has_every_line_once_and_no_private_key_after_any_kill(
    steps: list[tuple[str, Any]], seed: int, processing: str, encoded_before: list[bool]
) -> None:
    """Batches are closed, open, held back, in transit or answered, and the whole spool may be lost.

    Any of them may be closed by their reader.
    """
    merge, choices = processing == "merge", itertools.cycle(encoded_before)
    hides = ProcessingOptions(redact=("private_key",), merge_start=r"^(?:[^S]|SECRET[13])" if merge else None)
    done = ProcessingOptions() if processing == "nothing" else hides
    source, read, epoch = with_keys(seed, 1_500), 0, 1

    def reads(begin: int, end: int) -> int:
        """Lines are offered, if there are any; how far it was read."""
        end = min(end, len(source))
        if begin == end:
            return begin
        texts = source[begin:end]
        for offered in preencoded(texts, begin) if next(choices) else [chunk(texts, begin)]:
            if rig.pipeline.intake.offer(JOB.id, epoch, offered) is not Offer.TAKEN:
                break
            begin += offered.count
        return begin

    with tempfile.TemporaryDirectory(prefix="lf-ship-", dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as made:
        place, cloud = Path(made), CloudHarness()
        rig = OfflineHarness(place, done)
        cloud.connect(rig)
        for what, value in [*steps, *[("answer", 0), ("turn", 1.5)] * 30]:
            if what == "read":
                read = reads(read, read + value)
            elif what == "turn":
                rig.turn(value)
            elif what == "answer":
                cloud.answer(rig)
                rig.turn(0.0)
            else:
                rig.kill()
                place = place / "again" if what == "lose" else place
                rig, epoch = OfflineHarness(place, done), 1
                cloud.connect(rig)
                read = reads(rig.place, read)
            if cloud.moved:
                position = cloud.moved.pop()
                epoch = position.epoch
                read = reads(place_of(position.cursor), read)
        rig.kill()
    shown = [line for text in cloud.texts for line in text.split("\n")]
    expected = source[:read] if processing == "nothing" else hidden(source[:read])
    if merge:
        shown, expected = ([line for line in found if line != REDACTED] for found in (shown, expected))
    assert shown == expected
