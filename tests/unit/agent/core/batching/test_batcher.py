"""Test `core/batching/batcher.py`."""

import random
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from logferry_agent.core.batching.batcher import Batcher
from logferry_agent.core.batching.cursor import skip_cursor, split_cursor
from logferry_agent.core.batching.entries import Batch, Chunk, SavedEntries
from logferry_protocol.batch import decode_body
from logferry_protocol.encoding import digest_of
from logferry_protocol.limits import MAX_BATCH_ENTRIES, MAX_BODY_BYTES, MAX_ENTRY_BYTES


def chunk(texts: list[str], first: int = 0, streams: str | None = None) -> Chunk:
    """Return a chunk whose cursors are the number of entries before."""
    times = [1_000_000 + 10 * (first + index) for index in range(len(texts))]
    return Chunk(times, streams or "o" * len(texts), texts, sum(map(len, texts)), lambda count: str(first + count))


def drained(batcher: Batcher) -> list[Batch]:
    """Close everything that is open, and return the batches."""
    batches = []
    while (batch := batcher.close()) is not None:
        batches.append(batch)
    return batches


def closed(batcher: Batcher) -> list[Batch]:
    """Close one batch; there must be one."""
    batch = batcher.close()
    assert batch is not None
    return [batch]


def texts_of(batches: list[Batch]) -> list[str]:
    return [text for batch in batches for text in decode_body(batch.body).texts]


texts = st.lists(st.text(max_size=300) | st.text("ab\x00\x1b", max_size=4000), min_size=1, max_size=60)


@given(st.lists(texts, min_size=1, max_size=6))
@settings(max_examples=60, deadline=None)
def test_batches_hold_every_entry_once_and_in_order(parts: list[list[str]]) -> None:
    """However the chunks were cut, and whatever they contain."""
    batcher, batches, first = Batcher(), list[Batch](), 0
    for part in parts:
        batcher.add(chunk(part, first))
        first += len(part)
        while batcher.full:
            batches += closed(batcher)
    batches += drained(batcher)
    assert texts_of(batches) == [text for part in parts for text in part]
    ends = [sum(batch.count for batch in batches[: index + 1]) for index in range(len(batches))]
    assert [batch.cursor for batch in batches] == [str(end) for end in ends]


def test_batch_describes_its_content() -> None:
    """Fields beside the body: count, times, UTF-8 bytes, gaps, digest."""
    batcher = Batcher()
    gap = '{"event":"gap","reason":"rotated"}'
    batcher.add(chunk(["é", gap, '"event":"gap"'], streams="oso"))
    (batch,) = drained(batcher)
    assert (batch.count, batch.start, batch.end, batch.gaps) == (3, 1_000_000, 1_000_020, 1)
    assert batch.raw == 2 + len(gap) + 13
    assert batch.digest == digest_of(batch.body)


def test_batches_of_even_text_fill_their_frames_without_recompression() -> None:
    """The learnt target aims at 94 % of a body."""
    rng = random.Random(1)
    calls = 0

    def counted(times: Sequence[int], streams: str, texts: Sequence[str]) -> bytes:
        nonlocal calls
        calls += 1
        return encode(times, streams, texts)

    from logferry_protocol.batch import encode_body as encode  # noqa: PLC0415

    batcher, batches = Batcher(counted), list[Batch]()
    for first in range(0, 60_000, 500):
        lines = [f"{rng.randrange(10**9)} GET /items/{rng.randrange(10**6)} 200" for _ in range(500)]
        batcher.add(chunk(lines, first))
        while batcher.full:
            batches += closed(batcher)
    sizes = [len(batch.body) for batch in batches[3:]]
    assert min(sizes) > MAX_BODY_BYTES * 0.85
    assert calls <= len(batches) + 3


def test_sudden_incompressible_text_still_fits() -> None:
    """A wrong estimate is cut in proportion."""
    rng = random.Random(2)
    batcher = Batcher()
    batcher.add(chunk(["the same line over and over"] * 20_000))
    batches: list[Batch] = []
    while batcher.full:
        batches += closed(batcher)
    noise = ["".join(chr(rng.randrange(0x4E00, 0x9FFF)) for _ in range(4_000)) for _ in range(40)]
    batcher.add(chunk(noise, 20_000))
    batches += drained(batcher)
    assert max(len(batch.body) for batch in batches) <= MAX_BODY_BYTES
    assert max(batch.count for batch in batches) <= MAX_BATCH_ENTRIES
    assert texts_of(batches)[20_000:] == noise


@pytest.mark.parametrize(
    "alphabet",
    [
        "".join(map(chr, range(32))),
        "".join(map(chr, range(128))),
        "".join(map(chr, range(0x4E00, 0x9FFF))),
        '\\"\x00é😀',
    ],
    ids=["control", "ascii", "chinese", "mixed"],
)
def test_no_single_entry_exceeds_a_body(alphabet: str) -> None:
    """The longest, most random entry always fits: nothing can block the batcher."""
    rng = random.Random(3)
    text = ""
    while len(text.encode()) < MAX_ENTRY_BYTES - 4:
        text += "".join(rng.choices(alphabet, k=(MAX_ENTRY_BYTES - len(text.encode())) // 4))
    batcher = Batcher()
    batcher.add(chunk([text]))
    (batch,) = drained(batcher)
    assert len(batch.body) <= MAX_BODY_BYTES


def test_open_batch_is_saved_in_parts_and_restored_whole() -> None:
    """A crash between two closings loses nothing that was read."""
    batcher = Batcher()
    pieces: list[SavedEntries] = []
    for first, lines in ((0, ["a", "b"]), (2, ["c"]), (3, ["d", "e", "f"])):
        batcher.add(chunk(lines, first))
        piece = batcher.unsaved()
        assert piece is not None
        pieces.append(piece)
        batcher.mark_saved()
    assert batcher.unsaved() is None
    again, before = Batcher(), None
    for piece in pieces:
        again.add(piece.to_chunk(before))
        before = piece.cursor
    (batch,) = drained(again)
    assert list(decode_body(batch.body).texts) == list("abcdef")
    assert batch.cursor == "6"


def test_cursor_inside_a_restored_part_skips_from_the_one_before() -> None:
    """Only its end has a cursor of the source's own."""
    piece = SavedEntries([1, 2, 3], "ooo", ["a", "b", "c"], "after")
    restored = piece.to_chunk("before")
    assert [restored.cursor_at(count) for count in (1, 2, 3)] == ["before~1", "before~2", "after"]
    assert piece.to_chunk("before~4").cursor_at(1) == "before~5"
    assert piece.to_chunk(None).cursor_at(2) == "~2"


@given(st.none() | st.text("abc:~/0123", min_size=1).filter(lambda text: "~" not in text), st.integers(0, 9_999))
def test_skip_is_read_back_as_written(cursor: str | None, skip: int) -> None:
    """`skip_cursor` and `split_cursor` are inverses."""
    assert split_cursor(skip_cursor(cursor, skip)) == (cursor, skip)


def test_closing_less_than_was_saved_leaves_the_rest_unsaved() -> None:
    """The caller drops all parts of the job, so what stays open has to be written again."""
    rng = random.Random(5)
    batcher = Batcher()
    batcher.add(chunk(["".join(chr(rng.randrange(0x4E00, 0x9FFF)) for _ in range(4_000)) for _ in range(5)]))
    batcher.mark_saved()
    batch = batcher.close()
    assert batch is not None
    assert batch.count < 5
    assert batcher.saved == 0
    assert batcher.unsaved() is not None
