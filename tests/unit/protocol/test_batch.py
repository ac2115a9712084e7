"""Test the batch codec: it is lossless and safe against hostile input."""

import contextlib
import json
import random
import tracemalloc

import pytest
from backports import zstd
from hypothesis import given
from hypothesis import strategies as st

from logferry_protocol import batch
from logferry_protocol.errors import BatchError, BodyTooLargeError
from logferry_protocol.limits import MAX_BATCH_ENTRIES, MAX_BODY_BYTES, MAX_DECODED_BYTES, MAX_ENTRY_BYTES, MAX_TIME_US

ENTRIES = st.lists(
    st.tuples(
        st.integers(0, MAX_TIME_US),
        st.sampled_from(sorted(batch.STREAM_OF)),
        st.text(st.characters(exclude_categories=["Cs"]), max_size=200),
    ),
    min_size=1,
    max_size=60,
)


@given(ENTRIES)
def test_encoded_batch_decodes_to_itself(entries: list[tuple[int, str, str]]) -> None:
    times, streams, texts = (list(column) for column in zip(*entries, strict=True))
    columns = batch.decode_body(batch.encode_body(times, "".join(streams), texts))
    assert list(columns.rows(first=7)) == [(7 + i, *entry) for i, entry in enumerate(entries)]


@given(st.binary(max_size=2000))
def test_any_bytes_raise_only_a_batch_error(body: bytes) -> None:
    for candidate in (body, zstd.compress(body)):
        with contextlib.suppress(BatchError):
            batch.decode_body(candidate)


def test_decompression_bomb_is_refused_without_being_unpacked() -> None:
    """One MiB is the limit: 200 MB of zeros may not be held even for a moment."""
    bomb = zstd.ZstdCompressor(options={zstd.CompressionParameter.window_log: 20})
    parts = [bomb.compress(b"0" * 1_000_000) for _ in range(200)]
    body = b"".join([*parts, bomb.flush()])
    assert len(body) < MAX_BODY_BYTES
    tracemalloc.start()
    with pytest.raises(BatchError) as caught:
        batch.decode_body(body)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert caught.value.code == "too_large"
    assert peak < 4 * MAX_DECODED_BYTES


def test_frame_with_a_huge_window_is_refused() -> None:
    body = zstd.compress(b"0" * 30_000_000)
    with pytest.raises(BatchError):
        batch.decode_body(body)


def test_too_many_entries_are_refused_by_the_encoder() -> None:
    many = MAX_BATCH_ENTRIES + 1
    with pytest.raises(BodyTooLargeError) as caught:
        batch.encode_body([1] * many, "o" * many, [""] * many)
    assert caught.value.what == "entries"


def test_incompressible_text_is_refused_by_the_encoder() -> None:
    noise = random.Random(1)
    texts = ["".join(chr(noise.randrange(0x4E00, 0x9FA5)) for _ in range(5000)) for _ in range(4)]
    with pytest.raises(BodyTooLargeError) as caught:
        batch.encode_body([1] * 4, "o" * 4, texts)
    assert caught.value.what == "compressed bytes"


def test_entry_of_exactly_the_limit_passes_and_one_byte_more_does_not() -> None:
    assert len(batch.decode_body(batch.encode_body([1], "o", ["é" * (MAX_ENTRY_BYTES // 2)]))) == 1
    with pytest.raises(BatchError):
        batch.decode_body(batch.encode_body([1], "o", ["é" * (MAX_ENTRY_BYTES // 2) + "x"]))


def test_body_with_an_unknown_column_is_refused() -> None:
    document = {"t": 1, "d": [0], "s": "o", "l": ["a"], "x": []}
    with pytest.raises(BatchError):
        batch.decode_body(zstd.compress(json.dumps(document).encode()))
