"""Test `core/parsing/fragments.py`: any fragmentation of any bytes gives the written lines."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import cycle

from hypothesis import example, given, settings
from hypothesis import strategies as st
from tests.support.docker_log import DockerLogWriter, LogFragment, chunked, frame, record

from logferry_agent.core.parsing import jsonfile
from logferry_agent.core.parsing.fragments import (
    EntryColumns,
    Fragments,
    StreamPositions,
    assemble,
    positions_after,
    split,
)
from logferry_agent.core.parsing.log_stream import LogStreamParser
from logferry_protocol.limits import MAX_ENTRY_BYTES, MIN_CONTINUED_BYTES

LENGTHS = [0, 1, 2, 100, 4_095, 4_096, 16_382, 16_383, 16_384, 16_385, 32_767, 32_768, 32_769, 40_000]


def joined(columns: EntryColumns, stream: str) -> list[str]:
    """Return the lines of one stream, as a reader joins them."""
    found: list[str] = []
    for letter, text in zip(columns.streams, columns.texts, strict=True):
        if letter == stream:
            found.append(text)
        elif letter == stream.upper():
            found[-1] += text
    return found


def reference(written: bytes) -> list[bytes]:
    """Return the reference: text between newlines, and the rest at the end."""
    lines = written.split(b"\n")
    return lines if lines[-1] else lines[:-1]


def fragments_of(pieces: list[LogFragment]) -> Fragments:
    """Parse through the json-file's parser at once."""
    (segment,) = jsonfile.parse(b"".join(record(piece) for piece in pieces))
    assert isinstance(segment, jsonfile.Records)
    return segment.fragments


def line(length: int, seed: int) -> bytes:
    return (b'abcdefgh\\"\t\x1b\x00/<>&'[seed:] * (length // 8 + 1))[:length] + b"\n"


outputs = st.lists(
    st.tuples(st.sampled_from("oe"), st.sampled_from(LENGTHS), st.integers(0, 3), st.booleans()), min_size=1, max_size=8
)


def pieces_of(output: list[tuple[str, int, int, bool]], cut: int) -> tuple[list[LogFragment], dict[str, bytes]]:
    """Generate what the engine stores of output whose writes are split anywhere and interleave."""
    copier = DockerLogWriter()
    pieces: list[LogFragment] = []
    written = {"o": b"", "e": b""}
    for stream, length, seed, ended in output:
        data = line(length, seed)
        if not ended:
            data = data[:-1]
        written[stream] += data
        middle = min(cut, len(data))
        pieces += copier.write(stream, data[:middle])
        pieces += copier.write(stream, data[middle:])
    return pieces + copier.end(), written


@given(output=outputs, cut=st.integers(0, 50_000))
@settings(max_examples=25, deadline=None)
def test_lines_from_a_json_file_equal_the_written_lines(output, cut) -> None:  # type: ignore[no-untyped-def]
    """For any lengths, interleaving and end."""
    pieces, written = pieces_of(output, cut)
    if not pieces:
        return
    columns = assemble(fragments_of(pieces), StreamPositions())
    for stream in "oe":
        assert joined(columns, stream) == [text.decode() for text in reference(written[stream])]


@given(output=outputs, cut=st.integers(0, 50_000), read=st.integers(500, 70_000))
@settings(max_examples=25, deadline=None)
def test_lines_from_the_api_equal_the_written_lines(output, cut, read) -> None:  # type: ignore[no-untyped-def]
    """However the stream is cut into reads."""
    pieces, written = pieces_of(output, cut)
    body = chunked(frame(piece) for piece in pieces)
    stream = LogStreamParser(tty=False, chunked=True)
    stream_positions, texts, streams = StreamPositions(), [], ""
    for start in range(0, len(body), read):
        fragments = stream.feed(body[start : start + read]).fragments
        columns = assemble(fragments, stream_positions)
        stream_positions = positions_after(fragments, stream_positions, len(fragments) - 1)
        texts += columns.texts
        streams += columns.streams
    assert stream.done
    for letter in "oe":
        found = joined(EntryColumns([0] * len(texts), streams, texts), letter)
        assert found == [text.decode() for text in reference(written[letter])]


@given(output=outputs, cut=st.integers(0, 50_000), data=st.data())
@settings(max_examples=25, deadline=None)
def test_assembly_resumes_from_the_marks_anywhere(output, cut, data) -> None:  # type: ignore[no-untyped-def]
    """Two runs with only the marks between them make the same entries as one."""
    pieces, _ = pieces_of(output, cut)
    if not pieces:
        return
    fragments = fragments_of(pieces)
    whole = assemble(fragments, StreamPositions())
    middle = data.draw(st.integers(0, len(fragments)))
    first, second = fragments.slice(0, middle), fragments.slice(middle, len(fragments))
    one = assemble(first, StreamPositions())
    other = assemble(second, positions_after(first, StreamPositions(), len(first) - 1))
    assert (one.texts + other.texts, one.streams + other.streams) == (whole.texts, whole.streams)


@given(output=outputs, cut=st.integers(0, 50_000))
@settings(max_examples=20, deadline=None)
def test_every_entry_fits_and_a_short_one_is_never_continued(output, cut) -> None:  # type: ignore[no-untyped-def]
    """The wire's two promises about entries."""
    pieces, _ = pieces_of(output, cut)
    if not pieces:
        return
    columns = assemble(fragments_of(pieces), StreamPositions())
    last = {"o": "", "e": ""}
    for letter, text in zip(columns.streams, columns.texts, strict=True):
        assert len(text.encode()) <= MAX_ENTRY_BYTES
        if letter.isupper():
            assert len(last[letter.lower()].encode()) >= MIN_CONTINUED_BYTES
        last[letter.lower()] = text


def test_line_of_exactly_one_fragment_is_one_entry() -> None:
    """Docker case 8: a frame of 16,384 bytes without a newline, then a bare newline with the same timestamp."""
    copier = DockerLogWriter()
    pieces = copier.write("o", b"x" * 16_384 + b"\n") + copier.write("o", b"next\n")
    assert [len(piece.data) for piece in pieces] == [16_384, 1, 5]
    columns = assemble(fragments_of(pieces), StreamPositions())
    assert (columns.streams, columns.texts) == ("oo", ["x" * 16_384, "next"])


def test_fragments_of_both_streams_interleave_without_mixing() -> None:
    """Docker case 7: one buffer per stream."""
    copier = DockerLogWriter()
    pieces = copier.write("o", b"o" * 20_000) + copier.write("e", b"e" * 20_000)
    pieces += copier.write("o", b"\n") + copier.write("e", b"!\n")
    columns = assemble(fragments_of(pieces), StreamPositions())
    assert columns.streams == "oeOE"
    assert joined(columns, "o") == ["o" * 20_000]
    assert joined(columns, "e") == ["e" * 20_000 + "!"]


def test_line_cut_off_by_the_exit_is_not_joined_to_the_next_run() -> None:
    """An open line whose timestamp does not come again was cut off."""
    first, second = DockerLogWriter(), DockerLogWriter(start=DockerLogWriter().now + 10**9)
    pieces = first.write("o", b"a" * 16_384) + first.end() + second.write("o", b"b" * 16_390 + b"\n")
    columns = assemble(fragments_of(pieces), StreamPositions())
    assert joined(columns, "o") == ["a" * 16_384, "b" * 16_390]


def test_line_of_20_mib_arrives_whole() -> None:
    """1,280 fragments, all equal except for the last."""
    copier = DockerLogWriter()
    data = b"x" * (20 << 20) + b"\n"
    columns = assemble(fragments_of(copier.write("o", data)), StreamPositions())
    assert columns.streams == "o" + "O" * 1_279
    assert sum(map(len, columns.texts)) == 20 << 20


def test_growing_characters_are_split_into_about_equal_fragments() -> None:
    """Replaced bytes treble a fragment; no fragment is short, none is cut inside a character."""
    text = "\ufffd" * 16_384
    pieces = split(text)
    assert "".join(pieces) == text
    assert [len(piece.encode()) for piece in pieces] == [12_288] * 4


UNUSUAL = [b"\n", b"\r\n", b"\r", b"\0", b"\xff", b"\xf0\x9f", "🙂".encode(), "é".encode(), b"\x1b[31m", b'"\\n', b"\\"]
writes_of_any_bytes = st.lists(
    st.tuples(
        st.sampled_from("oe"),
        st.one_of(st.binary(max_size=30), st.lists(st.sampled_from(UNUSUAL), max_size=6).map(b"".join)),
        st.sampled_from([1, 1, 1, 2, 700, 5_461, 16_384]),
    ),
    min_size=1,
    max_size=7,
)
"""A container's output, in the writes that made it; long ones by repetition."""


def written_by(writes: list[tuple[str, bytes, int]]) -> tuple[list[LogFragment], dict[str, bytes]]:
    """Return what the engine stores of it, and the total input of each stream."""
    copier = DockerLogWriter()
    pieces: list[LogFragment] = []
    given = {"o": b"", "e": b""}
    for stream, text, times in writes:
        data = (text * times)[:70_000]
        given[stream] += data
        pieces += copier.write(stream, data)
    return pieces + copier.end(), given


@given(writes=writes_of_any_bytes)
@settings(max_examples=60, deadline=None)
def test_any_bytes_arrive_from_a_json_file_as_the_engine_stored_them(writes) -> None:  # type: ignore[no-untyped-def]
    """The engine replaces invalid UTF-8 fragment by fragment; otherwise every line is as written."""
    pieces, given = written_by(writes)
    if not pieces:
        return
    columns = assemble(fragments_of(pieces), StreamPositions())
    for stream in "oe":
        lines = reference(given[stream])
        assert joined(columns, stream) == [
            "".join(line[at : at + 16_384].decode("utf-8", "replace") for at in range(0, len(line), 16_384))
            for line in lines
        ]


def cut(body: bytes, sizes: list[int]) -> Iterator[bytes]:
    """Cut the body into reads of these sizes, repeatedly."""
    start = 0
    for size in cycle(sizes):
        if start >= len(body):
            return
        yield body[start : start + size]
        start += size


@given(writes=writes_of_any_bytes, reads=st.lists(st.integers(300, 40_000), min_size=1, max_size=5))
@example(writes=[("o", b"\xc0", 16_384)], reads=[300])
@example(writes=[("o", b"\xf0\x9f", 16_384), ("e", b"\xc3", 16_384)], reads=[40_000])
@settings(max_examples=60, deadline=None)
def test_any_bytes_arrive_from_the_api_as_written(writes, reads) -> None:  # type: ignore[no-untyped-def]
    """However the stream is cut into reads; invalid UTF-8 stays readable, also across fragments."""
    pieces, given = written_by(writes)
    body = chunked(frame(piece) for piece in pieces)
    stream = LogStreamParser(tty=False, chunked=True)
    stream_positions, texts, streams = StreamPositions(), [], ""
    for data in (*cut(body, reads), None):
        fragments = (stream.feed(data) if data is not None else stream.end(over=True)).fragments
        columns = assemble(fragments, stream_positions)
        stream_positions = positions_after(fragments, stream_positions, len(fragments) - 1)
        texts += columns.texts
        streams += columns.streams
    for letter in "oe":
        found = joined(EntryColumns([0] * len(texts), streams, texts), letter)
        assert found == [line.decode("utf-8", "backslashreplace") for line in reference(given[letter])]
