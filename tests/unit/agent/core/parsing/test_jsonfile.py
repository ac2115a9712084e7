"""Test `core/parsing/jsonfile.py`: valid records are parsed and everything else is counted."""

from __future__ import annotations

import json

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.docker_log import DockerLogWriter, record

from logferry_agent.core.batching.cursor import Cursor, decode, encode
from logferry_agent.core.parsing.fragments import StreamPositions, positions_after
from logferry_agent.core.parsing.jsonfile import (
    CorruptBytes,
    Records,
    find_end_until,
    find_position,
    find_start_from,
    parse,
)
from logferry_agent.core.parsing.timestamps import nanoseconds
from logferry_protocol.limits import MAX_TIME_US, MIN_TIME_US

GOOD = [
    record(piece)
    for piece in DockerLogWriter().write("o", b"one\ntwo\nthree\n") + DockerLogWriter().write("e", b"four\n")
]


def texts(data: bytes) -> list[str]:
    return [text for part in parse(data) if isinstance(part, Records) for text in part.fragments.texts]


def size(data: bytes) -> int:
    return sum(part.size for part in parse(data))


def test_records_become_columns() -> None:
    """The ordinary case."""
    (part,) = parse(b"".join(GOOD))
    assert isinstance(part, Records)
    assert part.fragments.texts == ["one", "two", "three", "four"]
    assert part.fragments.streams == "oooe"
    assert part.fragments.times == [nanoseconds(stamp) // 1_000 for stamp in part.fragments.stamps]


@given(st.lists(st.one_of(st.sampled_from(GOOD), st.binary(max_size=40).map(lambda data: data + b"\n")), max_size=12))
@settings(max_examples=100, deadline=None)
def test_any_bytes_are_counted_without_raising(parts: list[bytes]) -> None:
    """Fuzz: garbage between records, and every byte is in some part."""
    data = b"".join(parts)
    assert size(data) == len(data)


@given(st.binary(max_size=200), st.integers(0, 3))
@settings(max_examples=100, deadline=None)
def test_damaged_byte_costs_at_most_its_own_record(noise: bytes, where: int) -> None:
    """Records before and behind the damage are read."""
    damaged = list(GOOD)
    damaged[where] = noise.replace(b"\n", b"") + b"\n"
    found = texts(b"".join(damaged))
    expected = [text for number, text in enumerate(["one", "two", "three", "four"]) if number != where]
    assert [text for text in found if text in expected] == expected


def test_reading_continues_after_nuls() -> None:
    """Docker case 16: a crash leaves NULs in front of the next record."""
    parts = parse(GOOD[0] + b"\0" * 500 + GOOD[1] + GOOD[2])
    assert [type(part) for part in parts] == [Records, CorruptBytes, Records]
    assert parts[1] == CorruptBytes(500)
    assert texts(GOOD[0] + b"\0" * 500 + GOOD[1] + GOOD[2]) == ["one", "two", "three"]


def test_partial_record_before_a_whole_one_is_omitted() -> None:
    """The disk was full, then it was not."""
    assert texts(GOOD[0][:20] + GOOD[1]) == ["two"]


def test_attributes_and_unusual_texts_are_read_unchanged() -> None:
    """Labels in the record, a text like the record's own fields, a backslash and n without newline."""
    stamp = "2026-11-23T10:00:00.1Z"
    wanted = ['","stream":"stderr"\n', "back\\n", "\\n\n", 'tail\\n","stream":"std']
    lines = [{"log": text, "stream": "stdout", "attrs": {"a": '\n","stream":"std'}, "time": stamp} for text in wanted]
    data = b"".join(json.dumps(line, separators=(",", ":")).encode() + b"\n" for line in lines)
    (part,) = parse(data)
    assert isinstance(part, Records)
    assert part.fragments.texts == [text.removesuffix("\n") for text in wanted]
    assert part.fragments.ends == "ntnt"


@given(
    st.lists(
        st.tuples(st.sampled_from("oe"), st.sampled_from([b"same\n", b"x\n", b"y" * 17_000 + b"\n"])),
        min_size=1,
        max_size=20,
    )
)
@settings(max_examples=20, deadline=None)
def test_mark_is_found_where_it_was_made(writes: list[tuple[str, bytes]]) -> None:
    """By timestamp, ordinal and text, also among equal fragments."""
    copier = DockerLogWriter()
    pieces = [piece for stream, data in writes for piece in copier.write(stream, data)]
    data = b"".join(map(record, pieces))
    (segment,) = parse(data)
    assert isinstance(segment, Records)
    for index in range(len(pieces)):
        stream = segment.fragments.streams[index]
        mark = positions_after(segment.fragments, StreamPositions(), index).of(stream)
        assert find_position(data, stream, mark) == segment.bytes_through(index)


def test_first_record_of_a_time_is_found() -> None:
    """For start_at."""
    copier = DockerLogWriter()
    pieces = copier.write("o", b"a\nb\nc\n")
    data = b"".join(map(record, pieces))
    assert find_start_from(data, pieces[1].stamp) == len(record(pieces[0]))
    assert find_start_from(data, pieces[2].stamp + 10**9) is None


def test_time_is_found_from_the_end() -> None:
    """Wherever it is among damage and among times that went back."""
    pieces = DockerLogWriter().write("o", b"a\nb\nc\n")
    first, second, third = map(record, pieces)
    assert find_end_until(first + second + third, pieces[1].stamp) == len(first + second)
    assert find_end_until(third + b"\0\n" + first + second, pieces[0].stamp) == len(third + b"\0\n" + first)
    assert find_end_until(second + third + b"{\n", pieces[0].stamp) is None


@given(
    at=st.integers(0, 10**6),
    length=st.sampled_from([1, 2, 8, 60, 200]),
    middle=st.sampled_from(
        [b"", b"\0" * 300, b"\n", b'"', b"\\", b"\xff", b"{", b'{"log":"', b'"}\n', b"\\u0000", b"e99"]
    ),
)
@settings(max_examples=300, deadline=None)
def test_damage_costs_only_the_records_that_it_touches(at: int, length: int, middle: bytes) -> None:
    """Fuzz: a slice is removed or overwritten; nothing raises, every byte is counted, its surroundings are read."""
    whole = [record(piece) for piece in DockerLogWriter().write("o", b"".join(b"line %d\n" % n for n in range(12)))]
    data = b"".join(whole)
    at %= len(data)
    stop = min(len(data), at + length)
    broken = data[:at] + middle + data[stop:]
    broken = broken[: broken.rfind(b"\n") + 1]
    assert size(broken) == len(broken)
    ends = [sum(map(len, whole[: number + 1])) for number in range(12)]
    before = [f"line {number}" for number, end in enumerate(ends) if end <= at]
    after = [f"line {number}" for number, end in enumerate(ends) if end - len(whole[number]) >= stop + 1]
    found = texts(broken)
    assert found[: len(before)] == before
    assert not after or found[-len(after) :] == after


AGES = [
    f'{{"log":"{n}\\n","stream":"stdout","time":"{stamp}"}}\n'.encode()
    for n, stamp in enumerate(
        [
            "2026-11-23T10:00:00.5Z",
            "1969-12-31T23:59:59.500806665Z",
            "1970-01-01T00:00:00Z",
            "0001-01-01T00:00:00Z",
            "0000-01-01T00:00:00Z",
            "9999-12-31T23:59:59.999999999-23:59",
            "2026-11-23T11:00:01.250+01:00",
            "2026-11-23T09:00:01.25-01:00",
        ]
    )
]


def test_records_of_any_age_and_zone_are_lines() -> None:
    """At a time that fits the wire, each with its own mark, by which it is found again."""
    data = b"".join(AGES)
    (segment,) = parse(data)
    assert isinstance(segment, Records)
    assert segment.fragments.texts == [str(number) for number in range(len(AGES))]
    assert (min(segment.fragments.times), max(segment.fragments.times)) == (MIN_TIME_US, MAX_TIME_US)
    for index in range(len(AGES)):
        before = positions_after(segment.fragments, StreamPositions(), index - 1) if index else StreamPositions()
        mark = positions_after(segment.fragments, before, index).out
        assert decode(encode(Cursor(StreamPositions(mark)))).stream_positions.out == mark
        assert find_position(data, "o", mark) == segment.bytes_through(index)
