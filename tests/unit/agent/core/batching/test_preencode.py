"""Test `core/batching/preencode.py`: its batches equal ordinary reading, or it gives none."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from itertools import accumulate
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.docker_log import START, LogFragment, record
from tests.support.preencoding import file_of

from logferry_agent.core.batching.preencode import (
    FIRST_SLICE_BYTES,
    LARGEST_SLICE_BYTES,
    PreencodedSlice,
    Preencoder,
    PreencodeRequest,
)
from logferry_agent.core.parsing.fragments import EntryColumns, Fragments, StreamPositions, assemble, positions_after
from logferry_agent.core.parsing.jsonfile import Records, parse
from logferry_agent.core.parsing.timestamps import nanoseconds, normalise
from logferry_agent.edge.preencode_worker import encode_stretch
from logferry_protocol.batch import decode_body, decompress
from logferry_protocol.encoding import digest_of
from logferry_protocol.limits import MAX_BATCH_ENTRIES, MAX_BODY_BYTES, MAX_DECODED_BYTES, MAX_ENTRY_BYTES

FILLINGS: dict[str, Callable[[Random], str]] = {
    "like logs": lambda rng: f"GET /items/{rng.getrandbits(32):08x} 200 in {rng.randrange(99)} ms",
    "hardly compressed": lambda rng: rng.randbytes(120).hex(),
    "all the same": lambda _: "the same over and over again",
    "nothing": lambda _: "",
    "escapes": lambda rng: '\\n "quoted" \t\b\f\r\x00\x01\x1b[31m\x7f </b>&' + str(rng.random()),
    "emoji": lambda rng: "🦀 Grüße \u2028 水 " + chr(rng.choice([0xE9, 0x4E00, 0x1F600, 0x10FFFF])) * rng.randrange(9),
    "controls": lambda rng: "\x01\x02\x1f" * rng.randrange(200),
    "long": lambda rng: rng.randbytes(1_300).hex() + "水" * rng.randrange(2_800),
}
STEPS = [0, 1, 1_000, 333_000_000, 1_000_000_000, -5_000_000]
"""Nanoseconds from one record to the next: equal, close, over second boundaries, whole seconds, and backwards."""

BLOCK = st.tuples(
    st.sampled_from(sorted(FILLINGS)) | st.text(max_size=40),
    st.sampled_from([1, 2, 30, 400]),
    st.sampled_from(STEPS),
    st.sampled_from(["o", "e", "oe", "ooe"]),
)


def records(blocks: list[tuple[str, int, int, str]], seed: int) -> list[bytes]:
    """Write records as the engine does; or with every possible character escaped, as another engine may."""
    rng, now, made = Random(seed), START, list[bytes]()
    for kind, count, step, streams in blocks:
        filling = FILLINGS.get(kind)
        plainly = rng.random() < 0.5
        for index in range(count):
            now += step
            text = (kind if filling is None else filling(rng)).encode("utf-8", "replace") + b"\n"
            raw = record(LogFragment(streams[index % len(streams)], now, text))
            made.append(raw if plainly else json.dumps(json.loads(raw)).encode() + b"\n")
    return made


@dataclass
class OrdinaryReading:
    """The result of ordinary reading of a log up to the first byte that is no record."""

    fragments: Fragments
    entries: EntryColumns
    ends: list[int]

    @classmethod
    def of(cls, data: bytes) -> OrdinaryReading:
        found = parse(data[: data.rfind(b"\n") + 1])
        if not found or not isinstance(found[0], Records):
            return cls(Fragments([], [], "", []), EntryColumns([], "", []), [])
        fragments = found[0].fragments
        return cls(fragments, assemble(fragments, StreamPositions()), list(found[0].ends))


def preencoded(data: bytes, *, behind: int = 0, first: int = FIRST_SLICE_BYTES) -> tuple[list[PreencodedSlice], bool]:
    """Encode the range behind this many plain records; check each batch against ordinary reading."""
    told = OrdinaryReading.of(data)
    offset = told.ends[behind - 1] if behind else 0
    stream_positions = positions_after(told.fragments, StreamPositions(), behind - 1)
    with file_of(data) as fd:
        *batches, plain = encode_stretch(fd, PreencodeRequest(offset, len(data), stream_positions, first))
    at = behind
    for batch in batches:
        assert isinstance(batch, PreencodedSlice)
        assert 0 < batch.count <= MAX_BATCH_ENTRIES
        assert len(batch.body) <= MAX_BODY_BYTES
        assert len(decompress(batch.body)) <= MAX_DECODED_BYTES
        stop = at + batch.count
        columns = decode_body(batch.body)
        assert list(columns.times) == told.entries.times[at:stop]
        assert columns.streams == told.entries.streams[at:stop]
        assert list(columns.texts) == told.entries.texts[at:stop]
        assert [told.entries.origin(index) for index in (at, stop - 1)] == [at, stop - 1], "an entry is a record"
        offset += batch.size
        assert offset == told.ends[stop - 1], "behind its last record"
        assert (batch.start, batch.end, batch.last) == (min(columns.times), max(columns.times), columns.times[-1])
        assert batch.raw == sum(len(text.encode()) for text in columns.texts)
        assert data[:offset].endswith(batch.tag)
        assert len(batch.tag) > 60, "with the time of its last record"
        assert batch.digest == digest_of(batch.body)
        assert batch.stream_positions == positions_after(told.fragments, StreamPositions(), stop - 1)
        at = stop
    assert isinstance(plain, bool)
    return [batch for batch in batches if isinstance(batch, PreencodedSlice)], plain


@given(
    st.lists(BLOCK, min_size=1, max_size=6),
    st.integers(0, 2**32),
    st.integers(0, 40),
    st.sampled_from([400, 5_000, FIRST_SLICE_BYTES, LARGEST_SLICE_BYTES]),
)
@settings(max_examples=100)
def test_batches_of_a_range_equal_ordinary_reading(
    blocks: list[tuple[str, int, int, str]], seed: int, behind: int, first: int
) -> None:
    """Any text, streams and times; from any record on, with any compression estimate."""
    made = records(blocks, seed)
    batches, plain = preencoded(b"".join(made), behind=min(behind, len(made)), first=first)
    if first > max(map(len, made)):
        assert plain or max(map(len, made)) > MAX_BODY_BYTES
        assert batches or sum(map(len, made[behind:])) < first


LINE = LogFragment("o", START, b"plain\n")
NOT_PLAIN = {
    "a line without its end": record(LogFragment("e", START, b"unfinished")),
    "a piece of a line": record(LogFragment("o", START, b"x" * 16_384)),
    "a line that may be too long": record(LogFragment("o", START, b"x" * (MAX_ENTRY_BYTES // 3 + 1) + b"\n")),
    "a record without a text": b'{"stream":"stdout","time":"2026-11-23T10:00:00Z"}\n',
    "a stream that is not known": record(LINE).replace(b"stdout", b"stdlog"),
    "a time that is none": record(LINE).replace(b"Z", b"X"),
    "a day that is none": b'{"log":"plain\\n","stream":"stdout","time":"2026-13-23T10:00:00.123456789Z"}\n',
    "more than a timestamp": b'{"log":"plain\\n","stream":"stdout","time":"2026-11-23T10:00:00.123456xxxZ"}\n',
    "half a surrogate pair": record(LINE).replace(b"plain", b"\\ud83d"),
    "not UTF-8": record(LINE).replace(b"plain", b"\xff\xfe"),
    "damage": b"\x93garbage\n",
    "NULs": b"\0" * 512,
    "a blank line": b"\n",
    "half a record": record(LINE)[:30],
    "two records on a line": record(LINE)[:-1] + record(LINE),
    "another object": b'{"a":1}\n',
}


@pytest.mark.parametrize("what", sorted(NOT_PLAIN))
@given(st.integers(0, 900), st.integers(0, 2**32), st.sampled_from([5_000, FIRST_SLICE_BYTES]))
@settings(max_examples=5)
def test_range_ends_before_anything_unusual(what: str, where: int, seed: int, first: int) -> None:
    """Wherever it is: ordinary reading has to handle it."""
    made = records([("like logs", 500, 1_000, "ooe"), ("all the same", 400, 0, "o")], seed)
    place = sum(map(len, made[:where]))
    data = b"".join([*made[:where], NOT_PLAIN[what], *made[where:]])
    plainly, _ = preencoded(b"".join(made), first=first)
    batches, plain = preencoded(data, first=first)
    assert sum(batch.size for batch in batches) <= place
    assert not plain or sum(batch.size for batch in plainly) <= place, "it lies behind all that is worth pressing"


def test_partial_record_at_the_end_is_left_until_complete() -> None:
    """The engine may be writing it."""
    made = records([("like logs", 3_000, 1_000, "oe")], 1)
    batches, plain = preencoded(b"".join(made) + made[0][:20])
    assert plain
    assert 0 < sum(batch.size for batch in batches) < sum(map(len, made))


def test_nothing_is_preencoded_while_a_line_is_open() -> None:
    """What follows may belong to it."""
    made = records([("like logs", 900, 1_000, "o")], 1)
    preencoder = Preencoder(PreencodeRequest(0, 10**6, StreamPositions()))
    assert preencoder.encode_next(b"".join(made)) is not None
    open_line = positions_after(Fragments(["2026-11-23T10:00:00Z"], [0], "e", ["x"], "c"), StreamPositions(), 0)
    assert Preencoder(PreencodeRequest(0, 10**6, open_line)).encode_next(b"".join(made)) is None


def test_body_that_does_not_fit_is_cut_without_loss() -> None:
    """The text suddenly compresses badly, and then well again."""
    kinds = ["all the same", "hardly compressed", "all the same"]
    made = records([(kind, 9_000, 1_000, "oe") for kind in kinds], 3)
    batches, plain = preencoded(b"".join(made))
    assert plain
    sizes = [batch.size for batch in batches]
    assert max(sizes) > 8 * min(sizes), "it was cut far below what it had learnt"
    assert sum(sizes) > sum(map(len, made)) - LARGEST_SLICE_BYTES
    filled = [len(batch.body) for batch in batches if len(set(decode_body(batch.body).texts)) == batch.count]
    assert sum(filled) / len(filled) > MAX_BODY_BYTES * 0.8, "yet what compresses badly fills its bodies"


def test_too_many_entries_for_a_batch_are_cut() -> None:
    """Tiny lines compress so well that a body would hold more."""
    batches, plain = preencoded(b"".join(records([("nothing", 25_000, 0, "o")], 0)))
    assert plain
    assert max(batch.count for batch in batches) > MAX_BATCH_ENTRIES * 0.8


def test_oversized_document_is_cut() -> None:
    """Long equal lines: few entries, a small body, and more than readers decompress."""
    made = [record(LogFragment("o", START + number, b"x" * 2_000 + b"\n")) for number in range(1_500)]
    batches, plain = preencoded(b"".join(made), first=2 * MAX_DECODED_BYTES)
    assert plain
    assert batches[0].size > MAX_DECODED_BYTES // 2


def test_truncated_file_ends_the_range() -> None:
    """It was longer when the range was requested."""
    data = b"".join(records([("like logs", 4_000, 1_000, "o")], 5))
    with file_of(data) as fd:
        *batches, plain = encode_stretch(fd, PreencodeRequest(0, len(data) + 10**6, StreamPositions()))
        assert batches
        assert plain is False
        (plain,) = encode_stretch(fd, PreencodeRequest(len(data), len(data) + 10**6, StreamPositions()))
        assert plain is False


def test_unreadable_file_ends_the_range() -> None:
    """Ordinary reading meets the error too, and reports it."""
    reading, writing = os.pipe()
    try:
        assert list(encode_stretch(reading, PreencodeRequest(0, 10**6, StreamPositions()))) == [False]
    finally:
        os.close(reading)
        os.close(writing)


def test_marks_count_records_of_one_time_over_several_batches() -> None:
    """With them, reading continues when the file has another name."""
    made = records([("hardly compressed", 2_000, 0, "oe")], 7)
    batches, _ = preencoded(b"".join(made))
    assert len(batches) > 5
    counts = list(accumulate(batch.count for batch in batches))
    assert [batch.stream_positions.out.ordinal + batch.stream_positions.err.ordinal for batch in batches] == counts
    stamp = parse(made[0])[0]
    assert isinstance(stamp, Records)
    assert {batch.stream_positions.out.stamp for batch in batches} == {nanoseconds(stamp.fragments.stamps[0])}
    assert {batch.last for batch in batches} == set(normalise(stamp.fragments.stamps)[1])
