"""Test how entries are joined to lines."""

from hypothesis import given
from hypothesis import strategies as st

from logferry_cli.line_joiner import Line, LineJoiner
from logferry_protocol.batch import Columns

PIECE = "x" * 4096


def joined(joiner: LineJoiner, *entries: tuple[str, str], first: int = 1) -> list[tuple[str, str]]:
    columns = Columns([0] * len(entries), "".join(s for s, _ in entries), [text for _, text in entries])
    return [(line.stream, line.text) for line in joiner.lines(first, columns)]


def test_fragments_are_joined_to_their_streams_line() -> None:
    """Fragments of two streams interleave, and each goes to its own line."""
    entries = [("o", PIECE + "1"), ("e", PIECE + "2"), ("O", "a"), ("E", "b"), ("o", "next")]
    assert joined(LineJoiner(), *entries) == [("stdout", PIECE + "1a"), ("stderr", PIECE + "2b"), ("stdout", "next")]


def test_short_entry_is_a_whole_line_at_once() -> None:
    """A live reader waits only for lines that may continue."""
    joiner = LineJoiner()
    assert joined(joiner, ("o", "short")) == [("stdout", "short")]
    assert not joiner.holding


def test_long_line_without_continuation_comes_at_the_flush() -> None:
    """A job's last line may be one that could have continued."""
    joiner = LineJoiner()
    assert joined(joiner, ("e", PIECE), ("o", PIECE)) == []
    assert [line.text for line in joiner.flush()] == [PIECE, PIECE]
    assert list(joiner.flush()) == []


def test_text_after_a_flush_is_marked_as_continuation() -> None:
    """A line shown in two parts differs from two lines."""
    joiner = LineJoiner()
    joined(joiner, ("o", PIECE))
    list(joiner.flush())
    [line] = joiner.lines(2, Columns([7], "O", ["rest"]))
    assert line == Line(2, 7, "stdout", "rest", continued=True)


def test_endless_line_is_emitted_in_parts() -> None:
    """Memory stays bounded whatever a container writes."""
    joiner = LineJoiner(max_chars=10_000)
    columns = Columns([0] * 6, "oOOOOO", [PIECE] * 5 + ["end"])
    parts = list(joiner.lines(1, columns))
    assert [(len(part.text), part.continued) for part in parts] == [(12288, False), (8195, True)]
    assert "".join(part.text for part in parts) == PIECE * 5 + "end"


@given(st.lists(st.tuples(st.sampled_from("oeOEs"), st.sampled_from(["", "a", PIECE, PIECE + "é"]))))
def test_no_text_is_lost_or_changes_its_stream(entries: list[tuple[str, str]]) -> None:
    """Each stream's texts come out in order, whatever their characters."""
    joiner = LineJoiner()
    columns = Columns([0] * len(entries), "".join(s for s, _ in entries), [text for _, text in entries])
    lines = [*joiner.lines(1, columns), *joiner.flush()]
    for stream, characters in (("stdout", "oO"), ("stderr", "eE"), ("system", "s")):
        wanted = "".join(text for character, text in entries if character in characters)
        assert "".join(line.text for line in lines if line.stream == stream) == wanted
