"""core/parsing/deduplication.py: what was read before is known again, whatever the clock did."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from logferry_agent.core.parsing.deduplication import Memory, Seeker
from logferry_agent.core.parsing.fragments import Fragments, Mark, Marks, digest, marks_after
from logferry_agent.core.parsing.timestamps import text_of

S = 10**9


def log(*entries: tuple[float, str, str]) -> Fragments:
    return Fragments(
        [text_of(int(second * S)) for second, _, _ in entries],
        [int(second * 10**6) for second, _, _ in entries],
        "".join(stream for _, stream, _ in entries),
        [text for _, _, text in entries],
    )


def test_repeats_are_dropped_and_a_clock_set_back_is_not_taken_for_one() -> None:
    """Docker cases 2 and 25."""
    memory = Memory()
    memory.add(memory.keys(log((10, "o", "a"), (11, "o", "b"), (12, "e", "a"))))
    memory.rewind()
    again = log((10, "o", "a"), (11, "o", "b"), (5, "o", "b"), (12, "e", "a"), (12, "o", "a"))
    assert memory.unknown(memory.keys(again)) == [2, 4]


def test_pieces_that_are_all_alike_are_not_repeats_of_each_other() -> None:
    """A long line of one character; its next piece has the same stamp, stream and text."""
    memory = Memory()
    pieces = replace(log((10, "o", "x"), (10, "o", "x")), ends="cc")
    memory.add(memory.keys(pieces))
    more = memory.keys(log((10, "o", "x"), (11, "o", "y")))
    assert list(memory.unknown(more)) == [0, 1]
    memory.rewind()
    again = replace(log((10, "o", "x"), (10, "o", "x"), (10, "o", "x"), (11, "o", "y")), ends="cccn")
    assert memory.unknown(memory.keys(again)) == [2, 3]


def test_a_whole_line_that_comes_again_at_once_is_a_repeat() -> None:
    """A line that ended is not continued; no two lines of one stream carry one nanosecond."""
    memory = Memory()
    memory.add(memory.keys(log((10, "o", "x"))))
    assert memory.unknown(memory.keys(log((10, "o", "x"), (11, "o", "x")))) == [1]


@given(
    st.lists(st.tuples(st.sampled_from("oe"), st.sampled_from("ab"), st.integers(1, 40)), min_size=1, max_size=20),
    st.data(),
)
@settings(deadline=None, max_examples=200)
def test_the_place_of_a_cursor_is_found_in_any_tail_that_holds_it(
    entries: list[tuple[str, str, int]], data: st.DataObject
) -> None:
    """Streams interleave, one of them may have been quiet for longer than the tail reaches back, and the clock steps
    forth and back, but never to the same nanosecond (case 25)."""
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
    seeker = Seeker(marks_after(whole, Marks(), place))
    tail = whole.slice(first, len(whole))
    middle = data.draw(st.integers(0, len(tail)))
    found = seeker.unread(tail.slice(0, middle))
    found += [middle + index for index in seeker.unread(tail.slice(middle, len(tail)))]
    assert seeker.found
    assert found == list(range(place - first + 1, len(tail)))


def test_the_cursor_of_an_agent_of_before_is_found_by_its_later_mark() -> None:
    """It does not say which stream came last."""
    whole = log((10, "o", "a"), (11, "e", "b"), (12, "o", "c"), (13, "e", "d"))
    marks = replace(marks_after(whole, Marks(), 2), last="")
    assert Seeker(marks).unread(whole) == [3]


def test_a_place_that_is_not_in_the_log_is_not_found() -> None:
    """That something is missing is known; whoever asks reads all of it."""
    seeker = Seeker(marks_after(log((10, "o", "a")), Marks(), 0))
    assert seeker.unread(log((11, "o", "b"), (12, "o", "c"))) == []
    assert not seeker.found


def test_what_is_later_than_all_before_passes() -> None:
    """Else it may have been read: then its keys tell."""
    memory = Memory()
    assert memory.passes(log((10, "o", "a")))
    memory.saw(log((10, "o", "a"), (12, "o", "b"), (11, "o", "c")))
    assert not memory.passes(log((13, "o", "d"), (12, "o", "e")))
    assert memory.passes(log((13, "o", "d"), (14, "o", "e")))
    assert not memory.passes(replace(log((13, "o", "d"), (14, "o", "e")), ends="nc"))


def test_while_a_line_goes_on_nothing_passes() -> None:
    """What comes may be its next piece."""
    memory = Memory()
    memory.keys(replace(log((10, "o", "x")), ends="c"))
    assert not memory.passes(log((11, "o", "y")))
    memory.rewind()
    assert memory.passes(log((11, "o", "y")))


def test_the_last_of_what_passed_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    """At least so many as are asked for, however they came; of a backlog not all."""
    monkeypatch.setattr("logferry_agent.core.parsing.deduplication._SOON", 5)
    memory = Memory()
    parts = [log(*((number, "o", "a") for number in range(start, start + 3))) for start in range(1, 31, 3)]
    for part in parts:
        memory.add_passing(part)
    assert memory
    everything = [key for part in parts for key in memory.keys(part)]
    assert list(memory.unknown(everything)) == list(range(24))
    assert not memory.passes(parts[-1])


def test_what_passed_after_keys_were_worked_out_is_known_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    """As many of the last as ever, not so many fewer as were worked out before."""
    monkeypatch.setattr("logferry_agent.core.parsing.deduplication._SOON", 5)
    memory = Memory()
    memory.add_passing(log(*((number, "o", "a") for number in range(1, 5))))
    assert memory.passing
    memory.unknown([])
    assert not memory.passing
    parts = [log((number, "o", "a")) for number in range(5, 10)]
    for part in parts:
        memory.add_passing(part)
    assert not memory.unknown([key for part in parts for key in memory.keys(part)])


def test_the_place_that_version_0_1_0_left_within_a_terminals_line_is_found() -> None:
    """It took a prompt and the first line of the next run, timestamp included, for one."""
    parts = replace(log((10, "o", "$ "), (11, "o", "$ "), (12, "o", "one\r"), (13, "o", "two\r")), ends="ttnn")
    glued = f"$ {text_of(11 * S)} $ {text_of(12 * S)} one\r"
    seeker = Seeker(Marks(Mark(10 * S, 1, digest(glued)), last="o"))
    assert seeker.unread(parts) == [3]
    assert seeker.found
