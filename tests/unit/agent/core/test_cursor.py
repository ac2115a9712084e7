"""core/cursor.py: what is written is read back, and fits the wire."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from logferry_agent.core.cursor import Cursor, LifeMark, Place, UnknownCursorError, decode, encode
from logferry_agent.core.lines import Mark, Marks
from logferry_protocol.limits import MAX_CURSOR_BYTES

numbers = st.integers(0, 2**63)
digests = st.text("0123456789abcdef", min_size=8, max_size=8)
marks = st.one_of(
    st.just(Mark()), st.builds(Mark, st.integers(1, 2**63), st.integers(1, 2**31), digests, st.booleans())
)
lives = st.one_of(st.just(LifeMark()), st.builds(LifeMark, st.sampled_from("sx"), numbers, numbers, numbers))
cursors = st.builds(
    Cursor,
    st.builds(Marks, marks, marks, st.sampled_from(["", "o", "e"])),
    st.one_of(st.none(), st.builds(Place, numbers, numbers, digests)),
    lives,
    st.integers(0, 2**31),
)


@given(cursors)
def test_a_cursor_is_read_as_it_was_written(cursor: Cursor) -> None:
    """All of it, in few characters that need no escape in JSON."""
    text = encode(cursor)
    assert decode(text) == cursor
    assert len(text) <= MAX_CURSOR_BYTES
    assert re.fullmatch(r"[!#-\[\]-}]+", text), "printable, without quote, backslash and the tilde that the spool uses"


def test_parts_of_a_later_version_are_ignored() -> None:
    """An agent that was downgraded reads on."""
    assert decode("1|z=9|k=2") == Cursor(pieces=2)


@pytest.mark.parametrize("text", ["", "2|o=1.1.x.0", "1|o=1", "1|f=a.b.c", "1|l=s"])
def test_anything_else_is_refused(text: str) -> None:
    """Clearly."""
    with pytest.raises(UnknownCursorError, match="not a cursor"):
        decode(text)
