"""Test `edge/file_source.py` with preencoding: the same entries as without, whatever happens to the file."""

from __future__ import annotations

import os
import select
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.support.docker_log import START, DockerLogWriter, JsonFile, LogFragment, record
from tests.support.preencoding import file_of, has_worker, plain_records, take_all, worker_of

from logferry_agent.core.batching.cursor import Cursor, LifecycleCheckpoint, decode, split_cursor
from logferry_agent.core.batching.entries import Chunk, PreencodedBatch
from logferry_agent.core.batching.entry_sequencer import EntrySequencer
from logferry_agent.core.batching.lifecycle import RunState
from logferry_agent.core.batching.preencode import PreencodeRequest
from logferry_agent.core.parsing.fragments import StreamPositions
from logferry_agent.core.redaction.redaction import NO_REDACTION, Redaction
from logferry_agent.edge.file_source import FileSource
from logferry_agent.edge.preencode_pool import PreencodePool
from logferry_protocol.events import Gap, decode_event

NAME = "c-json.log"
SLICE = 256 * 1024
MANY = 20_000
"""Records: about 4 MB, some 40 batches. A range of it is not encoded completely before it is read."""
S = 1_000_000_000

Entry = tuple[int, str, str]


class ObservedPool(PreencodePool):
    """Reports when a range with available batches was requested."""

    def __init__(self) -> None:
        # A test must not depend on how soon a busy machine runs another process.
        super().__init__(patience_s=60)
        self.on_ready: Callable[[], None] = lambda: None

    def submit(self, owner: object, fd: int, request: PreencodeRequest) -> bool:
        begun = super().submit(owner, fd, request)
        if begun:
            assert self._line is not None
            select.select([self._line], [], [], 30)
            on_ready, self.on_ready = self.on_ready, lambda: None
            on_ready()
        return begun


def wait_until_idle(pool: PreencodePool) -> None:
    """Wait until its process is running and idle."""
    data = plain_records(8_000, START)
    with file_of(data) as fd:
        limit = time.monotonic() + 30
        while not pool.submit(pool, fd, PreencodeRequest(0, len(data), StreamPositions())):
            assert time.monotonic() < limit, "it is never there"
        take_all(pool, pool)


@pytest.fixture(name="shared", scope="module")
def _shared() -> Iterator[ObservedPool]:
    pool = ObservedPool()
    yield pool
    pool.stop()
    assert not has_worker(pool)


@pytest.fixture(name="pool")
def _pool(shared: ObservedPool) -> ObservedPool:
    wait_until_idle(shared)
    return shared


@pytest.fixture(name="path")
def _path(tmp_path: Path) -> Path:
    (tmp_path / "c").mkdir()
    return tmp_path / "c" / NAME


@contextmanager
def hidden_from_pool(pool: PreencodePool) -> Iterator[None]:
    """Hide changes from the preencode process until they are complete."""
    pid = worker_of(pool)
    os.kill(pid, signal.SIGSTOP)
    os.waitid(os.P_PID, pid, os.WSTOPPED | os.WNOWAIT)
    yield
    os.kill(pid, signal.SIGCONT)


class Reader:
    """A source and its entries."""

    def __init__(
        self,
        path: Path,
        pool: PreencodePool | None = None,
        cursor: str | None = None,
        sequencer: EntrySequencer | None = None,
        redaction: Redaction | None = NO_REDACTION,
    ) -> None:
        self.base, self.skip = split_cursor(cursor)
        sequencer = sequencer or EntrySequencer(decode(self.base) if self.base else Cursor())
        self.source = FileSource(path, sequencer, pool=pool, redaction=redaction)
        self.entries: list[Entry] = []
        self.preencoded: list[tuple[int, PreencodedBatch]] = []
        """The number of entries before it."""
        self.cursor = cursor

    def step(self) -> Chunk | PreencodedBatch | None:
        """Read one chunk."""
        found = self.source.read(SLICE)
        chunk = found
        if isinstance(found, PreencodedBatch):
            self.preencoded.append((len(self.entries), found))
            chunk = found.decode()
            assert chunk.count == found.count
        if isinstance(chunk, Chunk):
            self.entries += zip(chunk.times, chunk.streams, chunk.texts, strict=True)
            self.cursor = chunk.end
        return found

    def until_pressed(self, times: int = 1) -> Reader:
        """Read up to the first preencoded batches; most of the range is still to come."""
        while len(self.preencoded) < times:
            assert self.step() is not None, "nothing was preencoded"
        return self

    def read(self) -> Reader:
        """Read everything that is there now."""
        while self.step() is not None:
            pass
        while (chunk := self.source.at_end()) is not None:
            assert isinstance(chunk, Chunk)
            self.entries += zip(chunk.times, chunk.streams, chunk.texts, strict=True)
        return self

    def close(self) -> Reader:
        self.source.close()
        return self

    @property
    def numbers(self) -> list[int]:
        """Return the numbers of the lines."""
        return [int(text.split()[1]) for _, letter, text in self.entries if letter != "s"]

    @property
    def names(self) -> list[str]:
        """Return the first words of the lines, which tell contents of the file apart."""
        return [text.split()[0] for _, letter, text in self.entries if letter != "s"]

    @property
    def gaps(self) -> list[Gap]:
        events = [decode_event(text) for _, letter, text in self.entries if letter == "s"]
        return [event for event in events if isinstance(event, Gap)]


def ordinary_reading(path: Path, cursor: str | None = None, sequencer: EntrySequencer | None = None) -> list[Entry]:
    """Return the result of ordinary reading."""
    reader = Reader(path, None, cursor, sequencer).read().close()
    assert not reader.preencoded
    return reader.entries[reader.skip :]


# --- changes of a log -----------------------------------------------------------------------------------------------


def pieces(number: int) -> bytes:
    """Write a line in fragments, between lines of the other stream."""
    copier = DockerLogWriter(START + number * 1_000)
    long, short = copier.write("o", b"long %d " % number + b"x" * 40_000 + b"\n"), copier.write("e", b"short 1\n" * 3)
    return b"".join(record(piece) for piece in [*long[:1], *short, *long[1:]])


STEP = st.one_of(
    st.tuples(st.just("write"), st.sampled_from([1, 2_000, 8_000])),
    st.tuples(st.just("write"), st.sampled_from([8_000, 12_000])),
    st.tuples(st.just("read"), st.sampled_from([1, 3, 9, 1_000])),
    st.tuples(st.sampled_from(["rotate", "restart", "kill", "pieces", "tail", "damage", "nuls", "again"]), st.just(0)),
)


@given(steps=st.lists(STEP, min_size=4, max_size=12))
@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_preencoded_reading_equals_ordinary_reading(
    tmp_path_factory: pytest.TempPathFactory, shared: ObservedPool, steps: list[tuple[str, int]]
) -> None:
    """Written, rotated, damaged and read in any order, with replaced readers and a killed process."""
    wait_until_idle(shared)
    path = tmp_path_factory.mktemp("log") / NAME
    log = JsonFile(path, max_file=99)
    reader, entries, written = Reader(path, shared), list[Entry](), 0

    def write(data: bytes) -> None:
        with path.open("ab") as file:
            file.write(data)

    for what, count in [*steps, ("read", 9_999)]:
        if what == "write":
            write(plain_records(count, START, first=written))
            written += count
        elif what == "rotate" and path.stat().st_size:
            log.rotate()
        elif what == "read":
            for _ in range(count):
                if reader.step() is None:
                    break
        elif what == "restart":
            entries += reader.close().entries[reader.skip :]
            reader = Reader(path, shared, reader.cursor)
        elif what == "kill" and has_worker(shared):
            os.kill(worker_of(shared), signal.SIGKILL)
        elif what == "again":
            shared.reap()
            wait_until_idle(shared) if shared.owner is None else None
        elif what in {"pieces", "tail", "damage", "nuls"}:
            written += 1
            write(
                {
                    "pieces": pieces(written),
                    "tail": record(LogFragment("e", START + written * 1_000, b"tail 1")),
                    "damage": b'{"log":"half\n',
                    "nuls": b"\0" * 700,
                }[what]
            )
    entries += reader.close().entries[reader.skip :]
    expected = ordinary_reading(path)
    log.close()
    assert [entry for entry in entries if entry[1] != "s"] == [entry for entry in expected if entry[1] != "s"]

    def gaps(found: list[Entry]) -> list[tuple[int, str, int | None]]:
        """Behind how many lines, why and how large."""
        told = [(at, decode_event(text)) for at, (_, letter, text) in enumerate(found) if letter == "s"]
        return [(at, event.reason, event.bytes) for at, event in told if isinstance(event, Gap)]

    assert gaps(entries) == gaps(expected)


def test_log_that_grows_and_rotates_during_a_range_is_read_to_its_end(path: Path, pool: ObservedPool) -> None:
    """Every file of it is preencoded."""
    log = JsonFile(path, max_file=9)
    path.write_bytes(plain_records(MANY, START))
    reader = Reader(path, pool).until_pressed()
    with path.open("ab") as file:
        file.write(plain_records(3, START, first=MANY))
    log.rotate()
    path.write_bytes(plain_records(MANY, START, first=MANY + 3))
    reader.read().close()
    assert reader.numbers == list(range(2 * MANY + 3))
    assert not reader.gaps
    preencoded = [number for at, batch in reader.preencoded for number in (at, at + batch.count)]
    assert any(number < MANY for number in preencoded)
    assert any(number > MANY + MANY // 2 for number in preencoded)
    assert sum(batch.count for _, batch in reader.preencoded) > MANY


# --- truncated logs -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rewritten", [0, 1, 7_000, 2 * MANY])
@pytest.mark.parametrize("given_before", [1, 25])
def test_file_truncated_during_a_range_is_read_anew(
    path: Path, pool: ObservedPool, rewritten: int, given_before: int
) -> None:
    """Batches given before were there; then a gap, then everything written since, whatever its size."""
    path.write_bytes(plain_records(MANY, START, "old"))
    reader = Reader(path, pool).until_pressed(given_before)
    assert pool.owner is not None
    with hidden_from_pool(pool):
        os.truncate(path, 0)  # the inode stays
        with path.open("ab") as file:
            file.write(plain_records(rewritten, START + S, "new"))
    reader.read()
    with path.open("ab") as file:
        file.write(plain_records(5, START + 2 * S, "new", first=rewritten))
    reader.read().close()
    old = len(reader.numbers) - rewritten - 5
    assert reader.names == ["old"] * old + ["new"] * (rewritten + 5)
    assert reader.numbers == [*range(old), *range(rewritten + 5)]
    assert 0 < old < MANY
    assert [(gap.reason, gap.start) for gap in reader.gaps] == [("truncated", reader.entries[old - 1][0])]
    assert ordinary_reading(path, reader.cursor) == []


def test_file_replaced_as_soon_as_it_is_opened_is_noticed(path: Path, pool: ObservedPool) -> None:
    """Nothing of it was read yet that could identify it."""
    log = JsonFile(path, max_file=9)
    path.write_bytes(plain_records(3, START, "first"))
    reader = Reader(path, pool)
    reader.step()
    log.rotate()
    with path.open("ab") as file:
        file.write(plain_records(MANY, START, "old"))

    def replaced() -> None:
        with hidden_from_pool(pool):
            os.truncate(path, 0)
            with path.open("ab") as file:
                file.write(plain_records(MANY, START + S, "new"))

    pool.on_ready = replaced
    reader.read().close()
    old = reader.names.count("old")
    assert reader.names == ["first"] * 3 + ["old"] * old + ["new"] * MANY
    assert reader.numbers == [*range(3), *range(old), *range(MANY)]
    assert [gap.reason for gap in reader.gaps] == ["truncated"]


@pytest.mark.parametrize("written", [0, 2 * MANY])
def test_file_truncated_only_at_its_end_is_read(path: Path, pool: ObservedPool, written: int) -> None:
    """Even if more than the rest was preencoded; also if as much was written since."""
    path.write_bytes(plain_records(MANY, START, "old"))
    left = MANY // 9

    def cut() -> None:
        with hidden_from_pool(pool), path.open("r+b") as file:
            file.truncate(len(plain_records(left, START, "old")))
            file.seek(0, os.SEEK_END)
            file.write(plain_records(written, START + S, "new", first=left))

    pool.on_ready = cut
    reader = Reader(path, pool).read().close()
    assert reader.names == ["old"] * left + ["new"] * written
    assert reader.numbers == list(range(left + written))
    assert not reader.gaps


# --- unusual records ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "what", [b'{"log":"half\n', b"\0" * 900, pieces(7), record(LogFragment("o", START, b"tail 1"))]
)
def test_preencoding_continues_behind_unusual_records(path: Path, pool: ObservedPool, what: bytes) -> None:
    """They are read ordinarily, and so is a little of what follows."""
    path.write_bytes(plain_records(MANY, START) + what + plain_records(MANY, START, first=MANY))
    reader = Reader(path, pool).read().close()
    assert reader.entries == ordinary_reading(path)
    where = [at for at, _ in reader.preencoded]
    assert min(where) < MANY < max(where)


@pytest.mark.parametrize("at", [1, MANY // 3, MANY - 1])
def test_run_begins_at_its_first_line(path: Path, pool: ObservedPool, at: int) -> None:
    """Also in the middle of preencoded batches."""
    path.write_bytes(plain_records(MANY, START))
    began = START + at * 1_000
    run_state = RunState(running=True, started=began, ended=began - 2 * 1_000)

    def sequencer() -> EntrySequencer:
        made = EntrySequencer(Cursor(life=LifecycleCheckpoint("s", START - 60 * S, 0, 0)))
        made.learn(run_state)
        return made

    reader = Reader(path, pool, sequencer=sequencer()).read().close()
    assert reader.entries == ordinary_reading(path, sequencer=sequencer())
    events = [index for index, (_, letter, _) in enumerate(reader.entries) if letter == "s"]
    assert events == [at - 1, at], "exit and start, together, before the lines from half way between them on"
    assert reader.preencoded


def test_preencoded_batches_carry_their_run(path: Path, pool: ObservedPool) -> None:
    """Otherwise a later reader would report a start again."""
    path.write_bytes(plain_records(MANY, START))
    sequencer = EntrySequencer(Cursor())
    sequencer.learn(RunState(running=True, started=START - S), fresh=True)
    reader = Reader(path, pool, sequencer=sequencer).until_pressed().close()
    assert reader.entries[0][1] == "s"
    for cursor in (reader.preencoded[-1][1].end, reader.preencoded[-1][1].before()):
        assert decode(cursor).life == LifecycleCheckpoint("s", START - S, 0, 0)


def test_reading_with_redaction_is_preencoded_except_for_multi_line_keys(path: Path, pool: ObservedPool) -> None:
    """Each batch can give its original lines; around a key, reading is ordinary."""
    secret = record(LogFragment("o", START, b"id=AKIAIOSFODNN7EXAMPLE\n"))
    key = record(LogFragment("o", START, b"-----BEGIN PRIVATE KEY-----\n"))
    first, second = plain_records(MANY, START), plain_records(MANY, START, first=MANY)
    path.write_bytes(first + secret + first + key + second)
    reader = Reader(path, pool, redaction=Redaction(("all",))).read().close()
    assert reader.entries == ordinary_reading(path)
    assert sum(batch.hidden.get("aws", 0) for _, batch in reader.preencoded) == 1
    where = [at for at, _ in reader.preencoded]
    assert min(where) < MANY
    assert max(where) > 2 * MANY
    key_at = 2 * MANY + 1
    assert not any(at <= key_at < at + batch.count for at, batch in reader.preencoded)


def test_log_with_line_by_line_processing_is_not_preencoded(path: Path, pool: ObservedPool) -> None:
    path.write_bytes(plain_records(MANY, START))
    reader = Reader(path, pool, redaction=None).read().close()
    assert reader.entries == ordinary_reading(path)
    assert not reader.preencoded


# --- abandoning -----------------------------------------------------------------------------------------------------


def test_file_given_up_during_a_range_is_a_gap(path: Path, pool: ObservedPool) -> None:
    """It was deleted, and too much is waiting in such files."""
    path.write_bytes(plain_records(MANY, START, "old"))
    reader = Reader(path, pool).until_pressed()
    path.unlink()
    path.write_bytes(plain_records(MANY, START + S, "new"))
    reader.source.open()
    assert reader.source.drop_oldest() > 0
    assert pool.owner is None
    wait_until_idle(pool)
    reader.read().close()
    old = len(reader.numbers) - MANY
    assert reader.numbers == [*range(old), *range(MANY)]
    assert reader.names == ["old"] * old + ["new"] * MANY
    assert [gap.reason for gap in reader.gaps] == ["rotated"]


def test_closed_source_releases_the_pool(path: Path, pool: ObservedPool) -> None:
    """Another reader continues from its position."""
    path.write_bytes(plain_records(MANY, START))
    first = Reader(path, pool).until_pressed()
    assert pool.owner is not None
    first.close()
    assert pool.owner is None
    wait_until_idle(pool)
    second = Reader(path, pool, first.cursor).until_pressed().read().close()
    assert first.entries + second.entries == ordinary_reading(path)


def test_closing_without_a_range_disturbs_nobody(path: Path, pool: ObservedPool) -> None:
    """The pool is busy with another log."""
    path.write_bytes(plain_records(MANY, START))
    idle = Reader(path, pool)
    idle.step()
    busy = Reader(path, pool).until_pressed()
    pid = worker_of(pool)
    idle.close()
    busy.read().close()
    assert busy.numbers == list(range(MANY))
    assert worker_of(pool) == pid


def test_unreadable_file_abandons_its_range(path: Path, pool: ObservedPool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise the pool would wait for it forever."""
    path.write_bytes(plain_records(MANY, START))
    reader = Reader(path, pool).until_pressed()
    honest = os.pread

    def fails(fd: int, size: int, offset: int) -> bytes:
        if os.fstat(fd).st_ino == path.stat().st_ino:
            raise OSError(5, "Input/output error")
        return honest(fd, size, offset)

    monkeypatch.setattr(os, "pread", fails)
    reader.read()
    assert pool.owner is None
    reader.close()


# --- several logs ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("killed", [False, True])
def test_two_logs_share_a_pool(path: Path, pool: ObservedPool, killed: bool) -> None:
    """Each gets its own lines. One may be idle while the process exits, and the other has the next one."""
    other = path.with_name("other")
    path.write_bytes(plain_records(MANY, START, "a"))
    other.write_bytes(plain_records(MANY, START, "b"))
    first, second = Reader(path, pool).until_pressed(), Reader(other, pool)
    if killed:
        pid = worker_of(pool)
        with os.fdopen(os.pidfd_open(pid)) as ended:
            os.kill(pid, signal.SIGKILL)
            select.select([ended], [], [], 30)
        pool.reap()
        wait_until_idle(pool)
        second.until_pressed()
        assert pool.owner is not None
    while any([first.step(), second.step()]):
        pass
    assert (set(first.names), set(second.names)) == ({"a"}, {"b"})
    assert first.numbers == second.numbers == list(range(MANY))
    first.close()
    second.close()


# --- resuming -------------------------------------------------------------------------------------------------------


def test_reading_resumes_after_each_entry_of_a_batch(path: Path, pool: ObservedPool) -> None:
    """By the file position, and by the marks only; with a skip count, or from its end."""
    path.write_bytes(plain_records(12_000, START))
    reader = Reader(path, pool).read().close()
    whole = ordinary_reading(path)
    assert reader.entries == whole
    assert len(reader.preencoded) > 5
    for at, batch in (reader.preencoded[0], reader.preencoded[len(reader.preencoded) // 2], reader.preencoded[-1]):
        opened = batch.decode()
        for count in (1, batch.count // 2, batch.count - 1, batch.count):
            cursor = opened.cursor_at(count)
            assert ordinary_reading(path, cursor) == whole[at + count :]
            assert (split_cursor(cursor)[1] == 0) == (count == batch.count)
            without_place = "|".join(part for part in cursor.split("~")[0].split("|") if not part.startswith("f="))
            assert ordinary_reading(path, f"{without_place}~{split_cursor(cursor)[1]}") == whole[at + count :]
