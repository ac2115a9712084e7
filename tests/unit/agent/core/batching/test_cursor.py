"""Test `core/batching/cursor.py`: cursors are read back as written, and fit the wire."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from logferry_agent.core.batching.cursor import (
    Cursor,
    FilePosition,
    LifecycleCheckpoint,
    UnknownCursorError,
    decode,
    decode_damaged,
    encode,
    processing_state_of,
    with_processing_state,
)
from logferry_agent.core.parsing.fragments import StreamPosition, StreamPositions
from logferry_protocol.limits import MAX_CURSOR_BYTES

numbers = st.integers(0, 2**63)
digests = st.text("0123456789abcdef", min_size=8, max_size=8)
stream_positions = st.one_of(
    st.just(StreamPosition()),
    st.builds(StreamPosition, st.integers(-(2**63), 2**63), st.integers(1, 2**31), digests, st.booleans()),
)
lives = st.one_of(
    st.just(LifecycleCheckpoint()), st.builds(LifecycleCheckpoint, st.sampled_from("sx"), numbers, numbers, numbers)
)
times = st.integers(10**18, 10**19 - 1)
unread = st.builds(
    Cursor,
    file_position=st.one_of(st.none(), st.builds(FilePosition, numbers, numbers, digests)),
    life=lives,
    after=st.one_of(st.just(0), times),
)
cursors = unread | st.builds(
    Cursor,
    st.builds(StreamPositions, stream_positions, stream_positions, st.sampled_from(["", "o", "e"])),
    st.one_of(st.none(), st.builds(FilePosition, numbers, numbers, digests)),
    lives,
    st.integers(0, 2**31),
)


@given(unread)
def test_last_line_needs_no_start_time(cursor: Cursor) -> None:
    """Its position is enough."""
    assert "t=" not in encode(
        Cursor(
            StreamPositions(StreamPosition(10**18, 1, "00000000")), cursor.file_position, cursor.life, 0, cursor.after
        )
    )


@given(st.lists(times, min_size=2, max_size=2), lives, st.sampled_from(["2", "17", "x", ""]), st.booleans())
def test_latest_time_and_run_are_read_from_another_versions_cursor(
    stamps: list[int], life: LifecycleCheckpoint, version: str, unread: bool
) -> None:
    """Whatever else it contains: every version writes these parts the same way."""
    life = LifecycleCheckpoint(life.kind, life.started % 10**19, life.ended % 10**19, life.restarts % 10**9)
    stream_positions = StreamPositions(
        StreamPosition(stamps[0], 1, "0123abcd"), StreamPosition(stamps[1], 12, "4567ef01")
    )
    written = encode(
        Cursor(life=life, after=max(stamps))
        if unread
        else Cursor(stream_positions, FilePosition(1, 2, "89abcdef"), life)
    )
    other = f"{version}|new=1.2.3{written[1:]}|z=9999999999999999999|q"
    with pytest.raises(UnknownCursorError):
        decode(other)
    assert decode_damaged(other) == Cursor(life=life, after=max(stamps))


@given(st.text())
def test_junk_gives_no_information_and_never_fails(text: str) -> None:
    """Rubbish."""
    assert decode_damaged(text) == Cursor()


@given(cursors, st.sampled_from(["", "o", "e", "eo", "O", "eoEO"]))
def test_pipelines_suffix_is_ignored_by_readers(cursor: Cursor, letters: str) -> None:
    """It comes back unchanged."""
    text = with_processing_state(encode(cursor), letters)
    assert decode(text) == cursor
    assert processing_state_of(text) == letters
    assert len(text) <= MAX_CURSOR_BYTES


@given(cursors)
def test_cursor_is_read_as_written(cursor: Cursor) -> None:
    """All of it, in few characters that need no escape in JSON."""
    text = encode(cursor)
    assert decode(text) == cursor
    assert len(text) <= MAX_CURSOR_BYTES
    assert re.fullmatch(r"[!#-\[\]-}]+", text), "printable, without quote, backslash and the tilde that the spool uses"


def test_fields_of_a_later_version_are_ignored() -> None:
    """A downgraded agent reads on."""
    assert decode("1|z=9|k=2") == Cursor(pieces=2)


@pytest.mark.parametrize("text", ["", "2|o=1.1.x.0", "1|o=1", "1|f=a.b.c", "1|l=s", "1|k=" + "9" * 30])
def test_anything_else_is_refused(text: str) -> None:
    """With a clear error."""
    with pytest.raises(UnknownCursorError, match="not a cursor"):
        decode(text)


@pytest.mark.parametrize("place", ["1.-5.ab", "-1.5.ab", f"1.{1 << 63}.ab", f"{1 << 64}.5.ab"])
def test_impossible_file_position_is_omitted(place: str) -> None:
    """Reading there would fail forever; the marks still find the position."""
    found = decode(f"1|o=1764000000123456789.1.9f86d081.0|f={place}")
    assert found.file_position is None
    assert found.stream_positions.out.stamp == 1764000000123456789
