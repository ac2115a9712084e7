"""Test the comparison of an engine's log with what is stored of it."""

from collections.abc import Sequence
from dataclasses import replace
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from logferry_cli.engine_comparison import Comparison, Differences, is_redacted
from logferry_protocol.batch import Columns
from logferry_protocol.events import Gap, encode_event

Entry = tuple[int, str, str]
"""Time, stream character and text."""

SNAPSHOT = 10**9


def compared(engine: Sequence[Entry], stored: Sequence[Entry], *, lookahead: int = 50, batch: int = 7) -> Differences:
    """Return the differences, with both sides coming in pieces as the command gets them."""
    comparison = Comparison(SNAPSHOT, lookahead)
    engine_parts = [engine[at : at + 11] for at in range(0, len(engine), 11)]

    def compare() -> None:
        while engine_parts and not comparison.engine_full:
            comparison.add_engine(columns(engine_parts.pop(0)))
            if not engine_parts:
                comparison.end_engine()
        comparison.advance()

    if not engine_parts:
        comparison.end_engine()
    for at in range(0, len(stored), batch):
        comparison.add_stored(at + 1, columns(stored[at : at + batch]))
        while comparison.stored_full:
            compare()
    comparison.end_stored()
    while engine_parts or comparison.waiting:
        compare()
    return comparison.found


def columns(entries: Sequence[Entry]) -> Columns:
    times, characters, texts = zip(*entries, strict=True)
    return Columns(times, "".join(characters), texts)


def written(lines: int, seed: int = 1, *, ties: bool = True) -> list[Entry]:
    """Return a log in which texts repeat and, with `ties`, some lines have the same time."""
    random, time, made = Random(seed), 1_000, []
    for number in range(lines):
        time += random.choice((0 if ties else 2, 1, 5))
        made.append((time, random.choice("ooe"), random.choice(("same", "", f"line {number}"))))
    return made


def test_equal_logs_are_the_same() -> None:
    """Both streams are compared, each in its order, however they are interleaved."""
    log = written(500)
    by_stream = [entry for at in range(0, 500, 10) for entry in sorted(log[at : at + 10], key=lambda one: one[1])]
    for stored in (log, by_stream):
        found = compared(log, stored)
        assert found.same
        assert sum(found.equal.values()) == 500
        assert found == replace(
            Differences(), equal=found.equal, engine_start=found.engine_start, engine_end=found.engine_end
        )


@given(seed=st.integers(0, 10**6), lookahead=st.sampled_from((5, 50, 5_000)), data=st.data())
@settings(max_examples=25)
def test_every_lost_and_every_changed_line_is_found(seed: int, lookahead: int, data: st.DataObject) -> None:
    """Lines are missing one by one and in long runs, longer than the comparison looks ahead."""
    made = written(300, seed, ties=lookahead > 300)
    log = [(time, character, f"{number} {text}") for number, (time, character, text) in enumerate(made)]
    begin = data.draw(st.integers(1, 250))
    lost = set(range(begin, begin + data.draw(st.integers(0, 49)))) | data.draw(
        st.sets(st.integers(1, 298), max_size=5)
    )
    changed = data.draw(st.sets(st.integers(1, 298), max_size=5)) - lost
    stored = [
        (time, character, "another" if index in changed else text)
        for index, (time, character, text) in enumerate(log)
        if index not in lost
    ]
    found = compared(log, stored, lookahead=lookahead)
    differing = found.missing_lines + found.older + found.changed_lines
    assert found.same == (not lost and not changed) or found.older
    assert differing == len(lost) + len(changed) + found.extra_lines
    assert sum(found.equal.values()) == len(log) - len(lost) - len(changed)


def test_deleted_batch_is_named_with_its_times() -> None:
    log = [(10 * number, "o", f"line {number}") for number in range(1, 101)]
    found = compared(log, log[:40] + log[60:])
    assert (found.missing_lines, found.extra_lines, found.changed_lines) == (20, 0, 0)
    (run,) = found.missing
    assert (run.stream, run.start, run.end, run.lines, run.after, run.text) == ("stdout", 410, 600, 20, 40, "line 41")


def test_changed_line_is_shown_from_both_sides_around_the_difference() -> None:
    log = [(number, "e", "x" * 500 + str(number)) for number in range(1, 20)]
    stored = [*log[:9], (10, "e", "x" * 500 + "!"), *log[10:]]
    (changed,) = compared(log, stored).changed
    assert (changed.stream, changed.time, changed.sequence) == ("stderr", 10, 10)
    assert (changed.engine, changed.stored) == ("x" * 50 + "10", "x" * 50 + "!")


def test_line_that_no_program_wrote_is_found() -> None:
    log = [(10 * number, "o", f"line {number}") for number in range(1, 21)]
    found = compared(log, [*log[:10], (105, "o", "forged"), *log[10:]])
    assert [(run.lines, run.text, run.after) for run in found.extra] == [(1, "forged", 11)]
    assert not found.same


def test_rotated_lines_are_no_difference() -> None:
    """The engine's log begins anywhere, also with one stream only."""
    log = written(200)
    found = compared(log[150:], log)
    assert (found.same, found.rotated, sum(found.equal.values())) == (True, 150, 50)
    assert compared([], log).rotated == 200


def test_lines_before_the_first_stored_one_are_no_difference() -> None:
    """The agent begins at `start_at`, and the cloud keeps a log for a limited time."""
    log = [(10 * number, "o", f"line {number}") for number in range(1, 101)]
    found = compared(log, log[30:])
    assert (found.same, found.older, found.missing_lines) == (True, 30, 0)


def test_lines_of_a_gap_are_explained_by_it() -> None:
    log = [(10 * number, "o", f"line {number}") for number in range(1, 101)]
    gap = (0, "s", encode_event(Gap(reason="rate_limit", count=20)))
    found = compared(log, [*log[:40], gap, *log[60:]])
    assert found.same
    ((reason, lines),) = found.explained.items()
    assert (reason.startswith("gap at 41: 20 lines missing"), lines) == (True, 20)
    found = compared(log, [*log[:40], gap, *log[60:80], *log[81:]])
    assert (found.missing_lines, found.explained) == (1, {reason: 20})


def test_gap_explains_lines_of_its_own_times_only() -> None:
    """Two gaps follow each other at the end of a job, and a line between them has no gap."""
    log = [(10 * number, "o", f"line {number}") for number in range(1, 101)]
    gaps = [
        (0, "s", encode_event(Gap(reason="rate_limit", start=start, end=end, count=count)))
        for start, end, count in ((810, 890, 9), (910, 1_000, 10))
    ]
    found = compared(log, [*log[:80], *gaps])
    assert (found.missing_lines, found.unstored, list(found.explained.values())) == (1, 1, [9, 10])
    assert [run.text for run in found.missing] == ["line 90"]


def test_merged_entries_are_compared_line_by_line() -> None:
    """Only the first line of an entry has its own time."""
    log = [(10 * number, "o", f"line {number}") for number in range(1, 13)]
    merged = [(log[at][0], "o", "\n".join(text for _, _, text in log[at : at + 4])) for at in range(0, 12, 4)]
    found = compared(log, merged)
    assert (found.same, found.merged, found.equal["stdout"]) == (True, 9, 12)
    found = compared(log, [merged[0], (50, "o", "line 5\nline 6\nLINE 7\nline 8"), merged[2]])
    assert [(line.engine, line.stored) for line in found.changed] == [("line 7", "LINE 7")]
    found = compared(log[2:], merged)  # the engine's log begins inside an entry
    assert (found.same, found.rotated, found.equal["stdout"]) == (True, 2, 10)


def test_fragments_are_compared_as_one_line() -> None:
    """Redaction may cut a long line in other places."""
    head, tail = "x" * 16_384, "y" * 5_000
    engine = [(1, "o", head), (1, "O", tail), (2, "o", "next")]
    stored = [(1, "o", head[:10_000]), (1, "O", head[10_000:] + tail[:100]), (1, "O", tail[100:]), (2, "o", "next")]
    assert compared(engine, stored).equal["stdout"] == 2


@pytest.mark.parametrize(
    ("stored", "engine", "redacted"),
    [
        ("key=[redacted]", "key=secret", True),
        ("[redacted] and [redacted]", "one and two", True),
        ("[redacted]", "anything", True),
        ("a [redacted] c [redacted] e", "a b c d e", True),
        ("key=[redacted]!", "key=secret", False),
        ("Key=[redacted]", "key=secret", False),
        ("a[redacted]a", "a", False),
        ("a [redacted] x [redacted] e", "a b c d e", False),
        ("key=secret", "key=secret2", False),
    ],
)
def test_redacted_line_is_recognized(stored: str, engine: str, redacted: bool) -> None:
    assert is_redacted(stored, engine) is redacted
    found = compared([(1, "o", "a"), (2, "o", engine), (3, "o", "b")], [(1, "o", "a"), (2, "o", stored), (3, "o", "b")])
    assert (found.redacted, found.changed_lines) == ((1, 0) if redacted else (0, 1))


def test_newest_lines_are_missing_and_said_to_be_the_newest() -> None:
    """They may be in the agent's spool."""
    log = written(100)
    found = compared(log, log[:90])
    assert found.missing_lines == 10
    assert found.unstored >= 1
    assert not found.same


def test_stored_lines_after_the_snapshot_are_not_compared() -> None:
    log = [(number, "o", f"line {number}") for number in range(1, 21)]
    found = compared(log, [*log, (SNAPSHOT + 1, "o", "later")])
    assert (found.same, found.newer) == (True, 1)
    assert compared(log, [*log, (SNAPSHOT - 1, "o", "forged")]).extra_lines == 1


def test_unreadable_batch_explains_its_lines() -> None:
    """The command reports the batch itself as a problem."""
    log = [(10 * number, "o", f"line {number}") for number in range(1, 31)]
    comparison = Comparison(SNAPSHOT)
    comparison.add_engine(columns(log))
    comparison.end_engine()
    comparison.add_stored(1, columns(log[:10]))
    comparison.add_unreadable("entries 11 to 20 cannot be read")
    comparison.add_stored(21, columns(log[20:]))
    comparison.end_stored()
    while comparison.waiting:
        comparison.advance()
    assert comparison.found.explained == {"entries 11 to 20 cannot be read": 10}


def test_missing_stream_between_lines_of_the_other_is_found() -> None:
    """Each side is full of lines of one stream, and the other side has none of it."""
    log = [(number, "e" if 100 < number <= 200 else "o", f"line {number}") for number in range(1, 401)]
    found = compared(log, [entry for entry in log if entry[1] == "o"], lookahead=20)
    assert (found.missing_lines + found.older, found.extra_lines, found.equal["stdout"]) == (100, 0, 300)


def test_memory_does_not_grow_with_the_log() -> None:
    """Neither by lines that wait nor by the counts that find them, which the first difference begins."""
    comparison = Comparison(SNAPSHOT, 100)
    for number in range(0, 5_000, 10):
        log = [(at + 1, "o", f"line {at}") for at in range(number, number + 10)]
        comparison.add_engine(columns(log))
        comparison.add_stored(number + 1, columns([one for one in log if one[0] % 50]))
        comparison.advance()
    stream = comparison._streams["stdout"]
    for side in (stream.engine, stream.stored):
        assert len(side.lines) <= 110
        assert side._keys is not None
        assert len(side._keys) <= 110
    assert comparison.found.missing_lines >= 90
