"""Test `core/parsing/deduplication.py`: lines read before are recognised, whatever the clock did."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from logferry_agent.core.parsing.deduplication import CursorSeeker, Deduplicator
from logferry_agent.core.parsing.fragments import Fragments, StreamPosition, StreamPositions, digest, positions_after
from logferry_agent.core.parsing.timestamps import format_stamp

S = 10**9


def log(*entries: tuple[float, str, str]) -> Fragments:
    return Fragments(
        [format_stamp(int(second * S)) for second, _, _ in entries],
        [int(second * 10**6) for second, _, _ in entries],
        "".join(stream for _, stream, _ in entries),
        [text for _, _, text in entries],
    )


def test_repeats_are_dropped_and_a_clock_set_back_is_no_repeat() -> None:
    """Docker cases 2 and 25."""
    deduplicator = Deduplicator()
    deduplicator.add(deduplicator.keys(log((10, "o", "a"), (11, "o", "b"), (12, "e", "a"))))
    deduplicator.restart()
    again = log((10, "o", "a"), (11, "o", "b"), (5, "o", "b"), (12, "e", "a"), (12, "o", "a"))
    assert deduplicator.find_new(deduplicator.keys(again)) == [2, 4]


def test_equal_fragments_are_not_repeats_of_each_other() -> None:
    """A long line of one character: its next fragment has the same timestamp, stream and text."""
    deduplicator = Deduplicator()
    pieces = replace(log((10, "o", "x"), (10, "o", "x")), ends="cc")
    deduplicator.add(deduplicator.keys(pieces))
    more = deduplicator.keys(log((10, "o", "x"), (11, "o", "y")))
    assert list(deduplicator.find_new(more)) == [0, 1]
    deduplicator.restart()
    again = replace(log((10, "o", "x"), (10, "o", "x"), (10, "o", "x"), (11, "o", "y")), ends="cccn")
    assert deduplicator.find_new(deduplicator.keys(again)) == [2, 3]


def test_whole_line_repeated_at_once_is_a_repeat() -> None:
    """A terminated line is not continued; no two lines of a stream share one nanosecond."""
    deduplicator = Deduplicator()
    deduplicator.add(deduplicator.keys(log((10, "o", "x"))))
    assert deduplicator.find_new(deduplicator.keys(log((10, "o", "x"), (11, "o", "x")))) == [1]


@given(
    st.lists(st.tuples(st.sampled_from("oe"), st.sampled_from("ab"), st.integers(1, 40)), min_size=1, max_size=20),
    st.data(),
)
@settings(deadline=None, max_examples=200)
def test_cursor_position_is_found_in_any_tail_that_holds_it(
    entries: list[tuple[str, str, int]], data: st.DataObject
) -> None:
    """Streams interleave, and the clock steps forward and back, but never to the same nanosecond (case 25).

    One stream may have been quiet for longer than the tail reaches back.
    """
    taken: set[int] = set()
    stamped = []
    for stream, text, second in entries:
        moment = second
        while moment in taken:
            moment += 1
        taken.add(moment)
        stamped.append((moment, stream, text))
    whole = log(*stamped)
    place = data.draw(st.integers(0, len(entries) - 1))
    first = data.draw(st.integers(0, place))
    seeker = CursorSeeker(positions_after(whole, StreamPositions(), place))
    tail = whole.slice(first, len(whole))
    middle = data.draw(st.integers(0, len(tail)))
    found = seeker.unread(tail.slice(0, middle))
    found += [middle + index for index in seeker.unread(tail.slice(middle, len(tail)))]
    assert seeker.found
    assert found == list(range(place - first + 1, len(tail)))


def test_cursor_of_an_older_agent_is_found_by_its_later_mark() -> None:
    """It does not say which stream came last."""
    whole = log((10, "o", "a"), (11, "e", "b"), (12, "o", "c"), (13, "e", "d"))
    stream_positions = replace(positions_after(whole, StreamPositions(), 2), last="")
    assert CursorSeeker(stream_positions).unread(whole) == [3]


def test_position_missing_from_the_log_is_not_found() -> None:
    """The caller then knows that lines are missing, and reads everything."""
    seeker = CursorSeeker(positions_after(log((10, "o", "a")), StreamPositions(), 0))
    assert seeker.unread(log((11, "o", "b"), (12, "o", "c"))) == []
    assert not seeker.found


def test_line_later_than_all_before_passes() -> None:
    """Otherwise it may have been read: then its keys decide."""
    deduplicator = Deduplicator()
    assert deduplicator.are_newer(log((10, "o", "a")))
    deduplicator.note_newest(log((10, "o", "a"), (12, "o", "b"), (11, "o", "c")))
    assert not deduplicator.are_newer(log((13, "o", "d"), (12, "o", "e")))
    assert deduplicator.are_newer(log((13, "o", "d"), (14, "o", "e")))
    assert not deduplicator.are_newer(replace(log((13, "o", "d"), (14, "o", "e")), ends="nc"))


def test_nothing_passes_unchecked_while_a_line_is_open() -> None:
    """It may be the line's next fragment."""
    deduplicator = Deduplicator()
    deduplicator.keys(replace(log((10, "o", "x")), ends="c"))
    assert not deduplicator.are_newer(log((11, "o", "y")))
    deduplicator.restart()
    assert deduplicator.are_newer(log((11, "o", "y")))


def test_last_passed_lines_are_known(monkeypatch: pytest.MonkeyPatch) -> None:
    """At least as many as requested, however they came; of a backlog not all."""
    monkeypatch.setattr("logferry_agent.core.parsing.deduplication._SOON", 5)
    deduplicator = Deduplicator()
    parts = [log(*((number, "o", "a") for number in range(start, start + 3))) for start in range(1, 31, 3)]
    for part in parts:
        deduplicator.add_newer(part)
    assert deduplicator
    everything = [key for part in parts for key in deduplicator.keys(part)]
    assert list(deduplicator.find_new(everything)) == list(range(24))
    assert not deduplicator.are_newer(parts[-1])


def test_lines_passed_after_keys_were_computed_are_known_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    """As many of the last as ever, without deducting those computed before."""
    monkeypatch.setattr("logferry_agent.core.parsing.deduplication._SOON", 5)
    deduplicator = Deduplicator()
    deduplicator.add_newer(log(*((number, "o", "a") for number in range(1, 5))))
    assert deduplicator.has_pending_keys
    deduplicator.find_new([])
    assert not deduplicator.has_pending_keys
    parts = [log((number, "o", "a")) for number in range(5, 10)]
    for part in parts:
        deduplicator.add_newer(part)
    assert not deduplicator.find_new([key for part in parts for key in deduplicator.keys(part)])


def test_position_that_version_0_1_0_left_within_a_terminals_line_is_found() -> None:
    """It combined a prompt and the first line of the next run, timestamp included."""
    parts = replace(log((10, "o", "$ "), (11, "o", "$ "), (12, "o", "one\r"), (13, "o", "two\r")), ends="ttnn")
    glued = f"$ {format_stamp(11 * S)} $ {format_stamp(12 * S)} one\r"
    seeker = CursorSeeker(StreamPositions(StreamPosition(10 * S, 1, digest(glued)), last="o"))
    assert seeker.unread(parts) == [3]
    assert seeker.found
