"""Test `edge/file_source.py`: every line, through rotation, compression, truncation, removal and agent restarts."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.support.docker_log import START, DockerLogWriter, JsonFile, LogFragment, record

from logferry_agent.core.batching.cursor import Cursor, decode
from logferry_agent.core.batching.entries import Chunk
from logferry_agent.core.batching.entry_sequencer import EntrySequencer
from logferry_agent.core.batching.lifecycle import RunState
from logferry_agent.edge.file_source import FileSource
from logferry_agent.edge.inotify import CREATED, MOVED_TO, Watcher
from logferry_protocol.events import Gap, decode_event

NAME = "c-json.log"


@pytest.fixture(name="path")
def _path(tmp_path: Path) -> Path:
    return tmp_path / "c" / NAME


class Reader:
    """A source, its entries, and the cursor after each entry."""

    def __init__(self, path: Path, cursor: str | None = None, *, since: int = 0, max_size: int = 0) -> None:
        sequencer = EntrySequencer(decode(cursor) if cursor else Cursor())
        self.source = FileSource(path, sequencer, since=since, max_size=max_size)
        self.streams: list[str] = []
        self.texts: list[str] = []
        self.cursors: list[str] = []

    def read(self, limit: int = 1 << 20) -> Reader:
        """Read everything that is there now."""
        while chunk := self.source.read(limit):
            assert isinstance(chunk, Chunk)
            self.streams += chunk.streams
            self.texts += chunk.texts
            self.cursors += [chunk.cursor_at(number) for number in range(1, len(chunk.texts) + 1)]
        return self

    def lines(self) -> list[str]:
        """Return the lines, without system entries."""
        return [text for letter, text in zip(self.streams, self.texts, strict=True) if letter != "s"]

    def gaps(self) -> list[Gap]:
        """Return the gap entries."""
        events = [decode_event(text) for letter, text in zip(self.streams, self.texts, strict=True) if letter == "s"]
        return [event for event in events if isinstance(event, Gap)]


def numbered(copier: DockerLogWriter, start: int, stop: int) -> list:  # type: ignore[type-arg]
    return [piece for number in range(start, stop) for piece in copier.write("o", b"line %d\n" % number)]


def names(start: int, stop: int) -> list[str]:
    return [f"line {number}" for number in range(start, stop)]


def test_log_is_read_as_it_grows(path: Path) -> None:
    """Also a record that is only half written yet."""
    copier = DockerLogWriter()
    log = JsonFile(path)
    reader = Reader(path)
    assert reader.read().lines() == []
    log.write(numbered(copier, 0, 3))
    half = record(numbered(copier, 3, 4)[0])
    with path.open("ab") as file:
        file.write(half[:30])
        file.flush()
        assert reader.read().lines() == names(0, 3)
        file.write(half[30:])
    assert reader.read().lines() == names(0, 4)


@pytest.mark.parametrize("compress", [False, True])
def test_lines_continue_through_rotations(path: Path, compress: bool) -> None:
    """Any number of them between two reads, as long as the files still exist."""
    copier = DockerLogWriter()
    log = JsonFile(path, max_size=200, max_file=8, compress=compress)
    reader = Reader(path)
    for start in range(0, 90, 9):
        log.write(numbered(copier, start, start + 9))
        reader.read()
    assert reader.lines() == names(0, 90)
    assert reader.gaps() == []


@given(
    steps=st.lists(st.sampled_from(["write", "read", "rotate", "restart", "small"]), min_size=1, max_size=25),
    max_file=st.integers(2, 5),
    compress=st.booleans(),
)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_nothing_is_silently_lost_or_repeated(
    tmp_path_factory: pytest.TempPathFactory, steps: list[str], max_file: int, compress: bool
) -> None:
    """Any order of writing, rotating, reading and restarting: each line once, in order, or in a gap."""
    path = tmp_path_factory.mktemp("log") / NAME
    copier = DockerLogWriter()
    log = JsonFile(path, max_file=max_file, compress=compress)
    reader = Reader(path)
    written = 0
    lines: list[str] = []
    gaps: list[Gap] = []
    cursor: str | None = None

    def take() -> None:
        lines.extend(reader.lines())
        gaps.extend(reader.gaps())

    for step in [*steps, "read"]:
        if step == "write":
            log.write(numbered(copier, written, written + 4))
            written += 4
        elif step == "rotate":
            # The engine rotates a full file, and never an empty one.
            if path.stat().st_size:
                log.rotate()
        elif step == "read":
            reader.read()
        elif step == "small":
            reader.read(limit=150)
        else:
            take()
            cursor = reader.cursors[-1] if reader.cursors else cursor
            reader.source.close()
            reader = Reader(path, cursor)
    take()
    assert lines == sorted(set(lines), key=lines.index)
    numbers = [int(line.split()[1]) for line in lines]
    assert numbers == sorted(numbers)
    if not gaps:
        assert not numbers or numbers == list(range(numbers[0], written))


@given(
    writes=st.lists(
        st.tuples(st.sampled_from("oe"), st.sampled_from([3, 16_384, 20_000, 33_000])), min_size=1, max_size=6
    )
)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_reading_resumes_after_every_entry(
    tmp_path_factory: pytest.TempPathFactory, writes: list[tuple[str, int]]
) -> None:
    """Each cursor leads to exactly the following entries, by the file and by the marks only."""
    path = tmp_path_factory.mktemp("log") / NAME
    copier = DockerLogWriter()
    log = JsonFile(path)
    for number, (stream, size) in enumerate(writes):
        log.write(copier.write(stream, bytes([65 + number]) * size + b"\n"))
    whole = Reader(path).read()
    for count, cursor in enumerate(whole.cursors, 1):
        rest = Reader(path, cursor).read()
        assert (rest.streams, rest.texts) == (whole.streams[count:], whole.texts[count:])
        without_place = "|".join(part for part in cursor.split("|") if not part.startswith("f="))
        rest = Reader(path, without_place).read()
        assert (rest.streams, rest.texts) == (whole.streams[count:], whole.texts[count:])


def test_removed_log_is_read_to_its_end(path: Path) -> None:
    """The open descriptors keep every file of it."""
    copier = DockerLogWriter()
    log = JsonFile(path, max_size=100, max_file=9)
    reader = Reader(path)
    log.write(numbered(copier, 0, 1))
    reader.source.open()
    log.write(numbered(copier, 1, 12))
    reader.source.open()
    log.remove()
    reader.source.gone = True
    assert reader.read().lines() == names(0, 12)
    assert reader.source.ended


def counting(watcher: Watcher, path: Path) -> FileSource:
    """Return a source that is told of every new file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    assert watcher.watch(str(path.parent), CREATED | MOVED_TO) is not None
    seen = 0

    def count() -> int:
        nonlocal seen
        seen += sum(change.name == path.name for change in watcher.wait(0))
        return seen

    source = FileSource(path, EntrySequencer(Cursor()))
    source.count_files = count
    return source


def test_missing_file_is_known_for_certain(path: Path, watcher: Watcher) -> None:
    """Counted rotations tell whether the oldest file left is the next one."""
    reader = Reader(path)
    reader.source = counting(watcher, path)
    copier = DockerLogWriter()
    log = JsonFile(path, max_file=3)
    log.write(numbered(copier, 0, 2))
    reader.read()
    for start in (2, 4, 6):
        log.rotate()
        log.write(numbered(copier, start, start + 2))
    assert reader.read().lines() == names(0, 8), "three new files, three are there: nothing is missing"
    assert reader.gaps() == []
    for start in (8, 10, 12, 14, 16):
        log.rotate()
        log.write(numbered(copier, start, start + 2))
    assert reader.read().lines() == names(0, 8) + names(12, 18)
    (gap,) = reader.gaps()
    assert (gap.reason, gap.detail) == ("rotated", "2 log file(s) came and went before they could be opened")
    assert gap.start is not None
    assert gap.end is not None
    assert gap.start < gap.end


def test_file_truncated_by_another_program_is_a_gap_and_is_read_on(path: Path) -> None:
    """Docker case 17: copytruncate."""
    copier = DockerLogWriter()
    log = JsonFile(path)
    reader = Reader(path)
    log.write(numbered(copier, 0, 5))
    reader.read()
    with path.open("r+b") as file:
        file.truncate(0)
    log.write(numbered(copier, 5, 7))
    assert reader.read().lines() == names(0, 7)
    assert [gap.reason for gap in reader.gaps()] == ["truncated"]


def test_file_truncated_and_regrown_between_two_reads_is_noticed(path: Path) -> None:
    """Its head differs, although it is longer than what was read."""
    copier = DockerLogWriter()
    log = JsonFile(path)
    reader = Reader(path)
    log.write(numbered(copier, 0, 5))
    reader.read()
    with path.open("r+b") as file:
        file.truncate(0)
    log.write(numbered(copier, 5, 50))
    assert reader.read().lines() == names(0, 50)
    assert [gap.reason for gap in reader.gaps()] == ["truncated"]


def test_full_file_truncated_by_the_engine_costs_a_current_reader_nothing(path: Path) -> None:
    """Engines before 23.0 with max-file=1: the file is truncated only once full, with no write in between."""
    copier = DockerLogWriter()
    log = JsonFile(path, max_size=300, cuts=True)
    reader = Reader(path, max_size=300)
    for number in range(40):
        log.write(numbered(copier, number, number + 1))
        reader.read()
    assert reader.lines() == names(0, 40)
    assert reader.gaps() == []


def test_invalid_bytes_are_a_gap_with_their_count(path: Path) -> None:
    """NULs after a crash are reported, and reading continues."""
    copier = DockerLogWriter()
    log = JsonFile(path)
    log.write(numbered(copier, 0, 2))
    with path.open("ab") as file:
        file.write(b"\0" * 700)
    log.write(numbered(copier, 2, 4))
    reader = Reader(path).read()
    assert reader.lines() == names(0, 4)
    assert [(gap.reason, gap.bytes) for gap in reader.gaps()] == [("corrupt", 700)]


def test_deleted_files_waiting_to_be_read_are_bounded(path: Path) -> None:
    """The oldest is given up, and a gap says how much that was."""
    copier = DockerLogWriter()
    log = JsonFile(path, max_file=2)
    reader = Reader(path)
    log.write(numbered(copier, 0, 2))
    reader.read()
    for start in (2, 4, 6, 8):
        log.rotate()
        log.write(numbered(copier, start, start + 2))
        reader.source.open()
    assert reader.source.kept_alive > 0
    while reader.source.drop_oldest():
        pass
    assert reader.source.kept_alive == 0
    assert reader.read().lines() == names(0, 2) + names(6, 10)
    (gap,) = reader.gaps()
    assert gap.bytes == 4 * len(record(numbered(DockerLogWriter(), 2, 3)[0]))


def test_reading_starts_at_a_time(path: Path) -> None:
    """For start_at; across rotated and compressed files."""
    copier = DockerLogWriter()
    log = JsonFile(path, max_size=300, max_file=9, compress=True)
    pieces = numbered(copier, 0, 30)
    log.write(pieces)
    for number in (0, 7, 29):
        assert Reader(path, since=pieces[number].stamp).read().lines() == names(number, 30)
    assert Reader(path, since=pieces[29].stamp + 10**9).read().lines() == []


def test_position_in_a_file_compressed_meanwhile_is_found(path: Path) -> None:
    """By its first record; the agent was away."""
    copier = DockerLogWriter()
    log = JsonFile(path, max_file=5, compress=True)
    log.write(numbered(copier, 0, 6))
    cursor = Reader(path).read().cursors[2]
    log.rotate()
    log.write(numbered(copier, 6, 8))
    reader = Reader(path, cursor).read()
    assert reader.lines() == names(3, 8)
    assert reader.gaps() == []


def test_vanished_position_is_a_gap(path: Path) -> None:
    """The agent was away for too long."""
    copier = DockerLogWriter()
    log = JsonFile(path, max_file=2)
    log.write(numbered(copier, 0, 6))
    cursor = Reader(path).read().cursors[2]
    for start in (6, 8, 10):
        log.rotate()
        log.write(numbered(copier, start, start + 2))
    reader = Reader(path, cursor).read()
    assert reader.lines() == names(8, 12)
    assert [gap.reason for gap in reader.gaps()] == ["rotated"]


def told(reader: Reader) -> list[str]:
    """Return the kinds of system entries of a log that was read to its end, with what is due there."""
    reader.read()
    while chunk := reader.source.at_end():
        assert isinstance(chunk, Chunk)
        reader.streams += chunk.streams
        reader.texts += chunk.texts
    return [
        decode_event(text).event for letter, text in zip(reader.streams, reader.texts, strict=True) if letter == "s"
    ]


def live(reader: Reader) -> None:
    """Return a run of a second."""
    reader.source.sequencer.learn(RunState(running=True, started=START), fresh=True)
    reader.source.sequencer.learn(RunState(started=START, ended=START + 10**9, exit_code=0))


@pytest.mark.parametrize("removal", ["heard of with the end", "heard of later"])
def test_log_gone_before_it_could_be_opened_is_a_gap(path: Path, removal: str) -> None:
    """The engine makes the file when the container starts; an unseen file may have held anything."""
    reader = Reader(path)
    live(reader)
    assert reader.read().lines() == []
    if removal == "heard of later":
        assert told(reader) == ["started", "gap", "exited"]
    reader.source.gone = True
    assert told(reader) == ["started", "gap", "exited"]
    assert [(gap.reason, gap.detail) for gap in reader.gaps()] == [
        ("removed", "the container was removed before its log could be opened")
    ]
    assert reader.source.ended


def test_log_without_lines_is_no_gap(path: Path) -> None:
    """It was open."""
    JsonFile(path)
    reader = Reader(path)
    live(reader)
    reader.read()
    reader.source.gone = True
    assert told(reader) == ["started", "exited"]


@pytest.mark.parametrize("damage", [b"\0" * 700, b"\0" * 700 + b"\n"], ids=["half a record", "a whole line"])
def test_damage_at_the_very_end_is_reported_before_the_exit(path: Path, damage: bytes) -> None:
    """Nothing follows that could give its end time."""
    copier = DockerLogWriter()
    log = JsonFile(path)
    log.write(numbered(copier, 0, 2))
    with path.open("ab") as file:
        file.write(damage)
    reader = Reader(path)
    live(reader)
    reader.source.open()
    log.remove()
    reader.source.gone = True
    assert told(reader) == ["started", "gap", "exited"]
    assert reader.lines() == names(0, 2)
    assert [(gap.reason, gap.bytes) for gap in reader.gaps()] == [("corrupt", len(damage))]


@pytest.mark.parametrize("later", [0, 1, 40])
def test_read_lines_are_not_read_again_after_the_host_lost_the_files_end(path: Path, later: int) -> None:
    """A power cut: the file is shorter than what was read of it, and may have grown past that again."""
    copier = DockerLogWriter()
    log = JsonFile(path)
    pieces = numbered(copier, 0, 10)
    log.write(pieces)
    cursor = Reader(path).read().cursors[7]
    log.close()
    with path.open("r+b") as file:
        file.truncate(len(b"".join(map(record, pieces[:5]))))
    after = JsonFile(path)
    after.write(numbered(copier, 10, 10 + later))
    reader = Reader(path, cursor).read()
    assert reader.lines() == names(10, 10 + later)
    assert [gap.reason for gap in reader.gaps()] == (["truncated"] if later else [])
    after.write(numbered(copier, 50, 51))
    assert reader.read().lines()[-1] == "line 50"
    assert [gap.reason for gap in reader.gaps()] == ["truncated"]


def test_file_truncated_at_its_end_under_the_reader_is_not_read_again(path: Path) -> None:
    """What is left of it was read."""
    copier = DockerLogWriter()
    log = JsonFile(path)
    pieces = numbered(copier, 0, 10)
    log.write(pieces)
    reader = Reader(path).read()
    with path.open("r+b") as file:
        file.truncate(len(b"".join(map(record, pieces[:5]))))
    assert reader.read().lines() == names(0, 10)
    log.write(numbered(copier, 10, 12))
    assert reader.read().lines() == names(0, 12)
    assert [gap.reason for gap in reader.gaps()] == ["truncated"]


def test_damage_before_a_position_does_not_invalidate_it(path: Path) -> None:
    """The position behind invalid bytes is valid: they are reported once."""
    copier = DockerLogWriter()
    log = JsonFile(path)
    log.write(numbered(copier, 0, 2))
    with path.open("ab") as file:
        file.write(b"\0" * 70 + b"\n")
    log.write(numbered(copier, 2, 4))
    whole = Reader(path).read()
    at_gap = next(number for number, letter in enumerate(whole.streams) if letter == "s")
    rest = Reader(path, whole.cursors[at_gap]).read()
    assert (rest.lines(), rest.gaps()) == (names(2, 4), [])


def test_files_that_came_and_went_before_the_first_was_opened_are_known(path: Path, watcher: Watcher) -> None:
    """The folder was watched before it contained a log."""
    reader = Reader(path)
    reader.source = counting(watcher, path)
    reader.source.counted_from_birth = True
    copier = DockerLogWriter()
    log = JsonFile(path, max_file=2)
    for start in (0, 2, 4, 6, 8):
        log.write(numbered(copier, start, start + 2))
        log.rotate()
    log.write(numbered(copier, 10, 12))
    assert reader.read().lines() == names(8, 12)
    (gap,) = reader.gaps()
    assert gap.detail == "4 log file(s) came and went before they could be opened"


def test_position_within_a_very_long_line_is_found_by_its_marks(path: Path) -> None:
    """Its fragments have one timestamp, and span several reads of the file."""
    copier = DockerLogWriter()
    JsonFile(path).write(copier.write("o", b"x" * (3 << 20) + b"\n") + numbered(copier, 0, 1))
    whole = Reader(path).read()
    for count in (1, 100, 191, 192):
        without_place = "|".join(part for part in whole.cursors[count - 1].split("|") if not part.startswith("f="))
        rest = Reader(path, without_place).read()
        assert (rest.streams, len(rest.texts)) == (whole.streams[count:], len(whole.texts) - count)


@given(
    times=st.lists(st.integers(1, 40), min_size=1, max_size=40),
    read=st.integers(0, 40),
    max_file=st.integers(2, 5),
    compress=st.booleans(),
)
@settings(max_examples=60, deadline=None)
def test_no_read_line_is_read_again_if_only_its_latest_time_is_known(
    tmp_path_factory: pytest.TempPathFactory, times: list[int], read: int, max_file: int, compress: bool
) -> None:
    """Wherever clocks stepped, in any file of the chain; without a step, everything later is read."""
    read = min(read, len(times))
    path = tmp_path_factory.mktemp("log") / NAME
    log = JsonFile(path, max_size=400, max_file=max_file, compress=compress)
    log.write([LogFragment("o", START + time * 1_000, b"line %d\n" % number) for number, time in enumerate(times)])
    after = START + max(times[:read], default=0) * 1_000
    found = Reader(path, f"1|t={after}").read().lines()
    assert found == names(len(times) - len(found), len(times)), "what is read goes to the end"
    assert len(found) <= len(times) - read, "and holds nothing that was read"
    if times == sorted(times):
        there = Reader(path).read().lines()
        assert found == [line for line in there if times[int(line.split()[1])] * 1_000 + START > after]
