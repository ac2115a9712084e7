"""Test the service's search: joined lines, budgets, and the cost of hostile expressions and texts."""

import json
import re
import sys
from collections.abc import Callable
from itertools import accumulate, count
from typing import Any

import pytest
import re2
from hypothesis import example, given
from hypothesis import strategies as st
from tests.support.batches import CONTAINER, batch
from tests.support.cloud import Cloud, Socket

from logferry_protocol.batch import Columns, decode_body, encode_body
from query import expression, line_assembler, search
from query.core import ParameterError
from query.visible_text import visible_texts

JOB = f"web.{CONTAINER}"
HOSTILE = "(?:a|b|ab|ba){1000}" * 15 + "z"
PIECE = 16_384


def stored(*batches: tuple[int, str, tuple[str, ...]]) -> list[line_assembler.Batch]:
    """Return batches of (first, stream characters, texts) as search gets them."""
    made = []
    for first, streams, texts in batches:
        body = encode_body([first + at for at in range(len(texts))], streams, texts)
        made.append((first, len(texts), sum(map(len, texts)), body))
    return made


def asked(held: list[line_assembler.Batch], clock: Callable[[], float] = lambda: 0.0, **query: str) -> dict[str, Any]:
    """Return one answer."""
    wanted = search.SearchQuery.of(query)
    after = [one for one in held if one[0] + one[1] - 1 > wanted.after]
    return search.search(wanted, after, lambda at: [one for one in reversed(held) if one[0] < at], clock)


def all_answers(held: list[line_assembler.Batch], clock: Callable[[], float] = lambda: 0.0, **query: str) -> list[Any]:
    """Return all answers to a search, each continuing the one before."""
    answers = [asked(held, clock, **query)]
    while (resume := answers[-1]["next"]) is not None:
        assert resume > int(query.get("after", "0")), "an answer that comes no further"
        query["after"] = str(resume)
        answers.append(asked(held, clock, **query))
    return answers


def found_by(answers: list[Any]) -> list[tuple[int, int]]:
    return [(match["line"], match["sequence"]) for answer in answers for match in answer["matches"]]


def cut_into_pieces(text: str) -> tuple[str, tuple[str, ...]]:
    pieces = tuple(text[at : at + PIECE] for at in range(0, len(text), PIECE))
    return "o" + "O" * (len(pieces) - 1), pieces


# --- fragmented lines


def test_text_across_fragments_is_found_where_it_begins(cloud: Cloud, agent: Socket, key: str) -> None:
    """Within a batch, over batches, and with the other stream's lines between."""
    cloud.send(agent, 1, ("before", "x" * 16_380 + "NEED", "an error", "LE-1 and the rest"), streams="ooeO")
    cloud.send(agent, 5, ("y" * 16_380 + "NEED",), streams="e")
    cloud.send(agent, 6, ("in between", "LE-2"), streams="oE")
    answer = cloud.http("GET", f"/api/jobs/{JOB}/search?q=NEEDLE-", key).json
    assert found_by([answer]) == [(2, 2), (5, 5)]
    assert [match["text"][-21:] for match in answer["matches"]] == ["NEEDLE-1 and the rest", "y" * 13 + "NEEDLE-2"]
    assert (answer["next"], answer["unsearched"]) == (None, [])
    # The line belongs to the range in which it begins, however long it is.
    for query, wanted in (
        ("after=1&before=3", [(2, 2)]),
        ("after=2&before=5", []),
        ("after=3", [(5, 5)]),
        ("after=5", []),
    ):
        part = cloud.http("GET", f"/api/jobs/{JOB}/search?q=NEEDLE-&{query}", key).json
        assert found_by([part]) == wanted, query


TEXTS = st.text("ab", max_size=9)
PATTERNS = st.sampled_from(["aab", "^ab", "ba$", "^a*$", "b+a+b", "^$", "a.{6}b", r"\bab", "(?:ab|ba){3}", "x"])


@st.composite
def logs(draw: st.DrawFn) -> list[tuple[str, str]]:
    """Generate entries of interleaved streams, valid and invalid, such as fragments without a line."""
    return draw(st.lists(st.tuples(st.sampled_from("ooOOOOOeEEEs"), TEXTS), min_size=1, max_size=30))


def joined(entries: list[tuple[str, str]], least: int) -> list[tuple[list[int], list[str], str]]:
    """Return the reference: lines as (sequences, fragments, stream)."""
    made: list[tuple[list[int], list[str], str]] = []
    last: dict[str, tuple[list[int], list[str], str]] = {}
    for sequence, (character, text) in enumerate(entries, 1):
        stream = character.lower()
        line = last.get(stream)
        if character in "OE" and line is not None and len(line[1][-1]) >= least:
            line[0].append(sequence)
            line[1].append(text)
        else:
            last[stream] = ([sequence], [text], stream)
            made.append(last[stream])
    return made


def wanted_of(entries: list[tuple[str, str]], pattern: str, least: int) -> list[tuple[int, int]]:
    wanted = []
    for sequences, pieces, stream in joined(entries, least):
        match = re.search(pattern.replace("$", r"\Z"), "".join(pieces))
        if stream != "s" and match is not None:
            ends = list(accumulate(map(len, pieces)))
            at = next((index for index, end in enumerate(ends) if match.start() < end), len(pieces) - 1)
            wanted.append((sequences[0], sequences[at]))
    return wanted


def batched(entries: list[tuple[str, str]], sizes: list[int]) -> list[line_assembler.Batch]:
    parts, at = [], 0
    for size in [*sizes, len(entries)]:
        if part := entries[at : at + size]:
            parts.append((at + 1, "".join(one for one, _ in part), tuple(text for _, text in part)))
        at += size
    return stored(*parts)


@example([("o", ""), ("o", ""), ("o", "ba")], "ba$", [1, 1], [], [*[0.0] * 9, 6.0, 6.0], 0)
@given(
    logs(), PATTERNS, st.lists(st.integers(1, 5), max_size=20), st.lists(st.integers(1, 30), max_size=4),
    st.lists(st.floats(0, 6), max_size=40), st.integers(0, 2),
)  # fmt: skip
@example([("s", ""), ("o", "aaaa"), ("O", "b")], "aab", [1, 1], [], [0.0, 0.0, 0.0, 0.0, 3.0, 6.0], 0)
def test_search_equals_a_search_over_joined_lines(
    entries: list[tuple[str, str]], pattern: str, sizes: list[int], cuts: list[int], steps: list[float], context: int
) -> None:
    """Batches, ranges and answers may end anywhere: each line is found once, in the range where it begins.

    A line in which the time ran out is found as well, or the answer names it.
    """
    ticks = accumulate([*steps, *[0.0] * 100_000])
    held = batched(entries, sizes)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(line_assembler, "MIN_CONTINUED_BYTES", 4)
        found: list[tuple[int, int]] = []
        unsearched: set[int] = set()
        for after, before in zip([0, *sorted(cuts)], [*sorted(cuts), len(entries)], strict=True):
            more = {"context": str(context), "after": str(after), "before": str(before + 1)}
            answers = all_answers(held, lambda: next(ticks), q=pattern, regex="1", **more)
            found += found_by(answers)
            unsearched.update(sequence for answer in answers for sequence in answer["unsearched"])
    wanted = wanted_of(entries, pattern, 4)
    assert found == [match for match in wanted if match in found or match[0] not in unsearched]
    if not any(steps):
        assert not unsearched


@given(
    st.lists(st.text("ab", min_size=4, max_size=8), min_size=1, max_size=30), st.lists(st.integers(1, 5), max_size=10),
    st.lists(st.integers(1, 30), max_size=3), st.text("ab", min_size=1, max_size=8),
)  # fmt: skip
def test_endless_line_is_searched_in_overlapping_parts(
    pieces: list[str], sizes: list[int], cuts: list[int], needle: str
) -> None:
    """A text as long as the overlap is found anywhere; a part's edge is not the line's end."""
    entries = [("o" if at == 0 else "O", text) for at, text in enumerate(pieces)]
    held = batched(entries, sizes)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in (("MIN_CONTINUED_BYTES", 4), ("LINE_CHARS", 20), ("OVERLAP_CHARS", 10)):
            patch.setattr(line_assembler, name, value)

        def found(pattern: str) -> bool:
            ranges = zip([0, *sorted(cuts)], [*sorted(cuts), len(entries)], strict=True)
            return any(
                found_by(all_answers(held, q=pattern, regex="1", after=str(after), before=str(before + 1)))
                for after, before in ranges
            )

        whole = "".join(pieces)
        assert found(needle) == (needle in whole)
        assert found(f"^{needle}") == whole.startswith(needle)
        assert found(f"{needle}$") == whole.endswith(needle)


def test_endless_line_takes_bounded_memory() -> None:
    """However long it is, and however many lines the other stream writes meanwhile."""
    taken = line_assembler.LineAssembler(0, lambda _: [])
    piece, given_lines = "x" * PIECE, 0
    for first in range(1, 60_000, 1_000):
        texts = tuple(piece if at % 100 == 0 else "short" for at in range(1_000))
        streams = "".join(("O" if at % 100 == 0 else "e") for at in range(1_000))
        given_lines += sum(1 for _ in taken.add(first, Columns(range(1_000), streams, texts)))
        assert len(taken._held) <= line_assembler.LINE_SPAN
    assert given_lines > 50_000


def test_search_continues_behind_expired_entries() -> None:
    """A fragment whose beginning has expired is its own line."""
    held = stored((5, "OO", ("x" * 5_000 + "NEE", "DLE"))) + stored((20, "Oo", ("DLE", "NEEDLE")))
    assert found_by([asked(held, q="NEEDLE")]) == [(5, 5), (21, 21)]
    assert found_by([asked(held, q="^DLE", regex="1")]) == [(20, 20)]
    assert found_by([asked(held, q="DLE", after="5")]) == [(20, 20), (21, 21)]


def test_damaged_batch_is_named_and_skipped() -> None:
    """The search continues behind it."""
    held = [*stored((1, "oo", ("hit", "miss"))), (3, 2, 10, b"damaged"), *stored((5, "o", ("hit",)))]
    answer = asked(held, q="hit")
    assert (found_by([answer]), answer["unsearched"], answer["next"]) == ([(1, 1), (5, 5)], [3], None)


# --- visible text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[31mred\x1b[0m herring", {"red herring"}),
        ("10%\r20%\rdone", {"10%", "20%", "done"}),
        ("progress\rdone", {"progress", "done", "doneress"}),
        ("\x1b[31mprogress\x1b[0m\r\x1b[32mdo\x1b[0mne\r", {"progress", "done", "doneress"}),
        ("a\rbc\rdef\rg", {"a", "bc", "def", "g", "gef"}),
        ("", {""}),
        ("\r", {""}),
        ("a\tb\x07c\u202ed", {"a\tbc\ufffdd"}),
        ("a\r\nb\n\tc\r", {"a\nb\n\tc"}),
        ("pull\n10%\rdone\r\nend", {"10%", "done", "pull\ndone\nend"}),
        ("x\nprogress\rdo\n\ny", {"progress", "do", "x\ndoogress\n\ny"}),
        ("\nab\rc\n", {"ab", "c", "\ncb\n"}),
        ("a\u2028b\u2424", {"a\ufffdb\u2424"}),
    ],
)
def test_entry_is_read_as_a_terminal_shows_it(text: str, shown: set[str]) -> None:
    assert {reading.text for reading in visible_texts(text)} == shown


ESCAPES = st.sampled_from(
    ["\x1b[31m", "\x1b[0m", "\r", "\n", "\x07", "\t", "a", "b", "é", "\x1b]0;t\x07", "\x1b[", "\u202e"]
)


@given(st.lists(ESCAPES, max_size=20).map("".join))
def test_every_shown_character_maps_to_its_offset_in_the_entry(text: str) -> None:
    """A match belongs to the fragment in which it begins, whatever precedes it."""
    shown_as = {"\u202e": "\ufffd"}
    for reading in visible_texts(text):
        places = [reading.origin(at) for at in range(len(reading.text))]
        assert [shown_as.get(text[at], text[at]) for at in places] == list(reading.text)


def test_match_after_colours_belongs_to_its_own_fragment() -> None:
    """Preceding escape sequences, even split ones, do not move it to another fragment."""
    coloured = "\x1b[31mx\x1b[0m" * 1_000
    pieces = (coloured + "\x1b[3", "1mNEEDLE" + coloured, "NEEDLE")
    held = stored((1, "oOO", pieces))
    assert found_by([asked(held, q="NEEDLE")]) == [(1, 2)]
    assert found_by([asked(held, q="xNEEDLE")]) == [(1, 1)]


def work_of(function: Callable[[str], Any], text: str) -> int:
    """Return the number of calls and of characters produced."""
    calls = 0

    def profile(_frame: Any, event: str, _argument: Any) -> None:
        nonlocal calls
        calls += event in ("call", "c_call")

    sys.setprofile(profile)
    try:
        made = function(text)
    finally:
        sys.setprofile(None)
    return calls + int(made)


def read_all(text: str) -> int:
    return sum(len(reading.text) + sum(len(part.raw) for part in reading.parts) for reading in visible_texts(text))


def read_places(text: str) -> int:
    return sum(reading.origin(len(reading.text) - 1) for reading in visible_texts(text) if reading.text) and 1


def join_all(text: str) -> int:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(line_assembler, "MIN_CONTINUED_BYTES", 128)
        return _join_all(text)


def _join_all(text: str) -> int:
    taken = line_assembler.LineAssembler(0, lambda _: [])
    pieces = tuple(text[at : at + 128] for at in range(0, len(text), 128))
    given_lines = [*taken.add(1, Columns(range(len(pieces)), "o" + "O" * (len(pieces) - 1), pieces)), *taken.end()]
    return sum(len(line.text) + len(line.before) for line in given_lines)


ATTACKS = ["\r", "a\r", "\x1b[", "\x1b]x", "\x1bP", "\x1b[;", "\x1b ", "\x1b[31m", "\x07", "a", "\u202e", "ab\x1b[K\r"]


@pytest.mark.parametrize("function", [read_all, read_places, join_all])
@pytest.mark.parametrize("attack", [*ATTACKS, "falling", "rising"])
def test_text_function_does_work_proportional_to_the_text(function: Callable[[str], int], attack: str) -> None:
    """Four times the text is about four times the work: calls and characters produced."""

    def text(chars: int) -> str:
        if attack in ATTACKS:
            return (attack * chars)[: chars - 1] + "x"
        parts = ["x" * at for at in range(1, int((2 * chars) ** 0.5))]
        return "\r".join(parts if attack == "rising" else parts[::-1])

    small, large = text(4_096), text(16_384)
    ratio = work_of(function, large) / max(1, work_of(function, small))
    assert ratio <= 1.3 * len(large) / len(small)


# --- budgets


def test_search_stops_within_a_batch_when_its_time_is_over() -> None:
    """It continues with the next line, until all is searched."""
    held = stored((1, "oooo", ("hit", "miss", "hit", "hit")))
    answers = all_answers(held, count(0, 3).__next__, q="hit")
    assert found_by(answers) == [(1, 1), (3, 3), (4, 4)]
    assert len(answers) > 1
    assert all(answer["unsearched"] == [] for answer in answers)


def test_search_respects_its_byte_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    """Once used up, the answer ends with the batch."""
    monkeypatch.setattr(search, "SEARCH_RAW_BYTES", 1)
    answers = all_answers(stored((1, "oo", ("a", "b")), (3, "oo", ("c", "d"))), q="nothing")
    assert [(answer["next"], answer["searched"]) for answer in answers] == [(2, 2), (None, 2)]


class SlowEngine:
    """A clock and an expression of worst-case duration that finds nothing."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, step_s: float) -> None:
        self.now = 0.0
        self.calls: list[int] = []
        self._step_s = step_s
        monkeypatch.setattr(re2, "compile", lambda *_args, **_options: self)

    programsize = 75_006

    def search(self, text: str | bytes, begin: int, end: int) -> None:
        self.calls.append(end - begin)
        self.now += (end - begin) * self.programsize * self._step_s

    def clock(self) -> float:
        return self.now


@pytest.mark.parametrize("size", [100, PIECE, 4 * PIECE, 64 * PIECE])
@pytest.mark.parametrize("step_s", [expression.STEP_S, expression.STEP_S / 20])
def test_hostile_search_ends_within_its_budget_and_a_second(
    monkeypatch: pytest.MonkeyPatch, size: int, step_s: float
) -> None:
    """For any lines, with the slowest possible expression, it ends and advances."""
    machine = SlowEngine(monkeypatch, step_s)
    streams, pieces = cut_into_pieces("ab" * (size // 2))
    total = min(2**20 // size, 300)
    held = stored(
        *(
            (1 + at * len(pieces) + part, streams[part : part + 32], pieces[part : part + 32])
            for at in range(total)
            for part in range(0, len(pieces), 32)
        )
    )
    after, unsearched = 0, 0
    for _ in range(5):
        began = machine.now
        answer = asked(held, machine.clock, q="x", after=str(after))
        assert machine.now - began <= search.SEARCH_S + search.GRACE_S
        unsearched += len(answer["unsearched"])
        if answer["next"] is None:
            break
        assert answer["next"] > after
        after = answer["next"]
    # An entry can always be searched whole. A line that cannot is named.
    assert unsearched == (0 if size <= PIECE else after // len(pieces) + (answer["next"] is None))


def test_hostile_expression_is_searched_and_resumed() -> None:
    """287 characters, 75,006 instructions: the real engine, with a clock that allows one line an answer."""
    held = stored((1, "ooo", ("ab" * 100, "ab" * 50 + "z", "ab" * 100)))
    answers = all_answers(held, count(0, 1.5).__next__, q=HOSTILE.replace("{1000}", "{2}"), regex="1")
    assert found_by(answers) == [(2, 2)]
    assert len(answers) >= 2
    assert search.SearchQuery.of({"q": HOSTILE, "regex": "1"}).matches("ab" * 20) is False


def test_line_searched_in_parts_is_named_unless_something_is_found() -> None:
    """No silent miss: the reader knows where to look."""
    streams, pieces = cut_into_pieces("x" * 60_000 + "NEEDLE" + "x" * 20_000)
    held = stored((1, streams, pieces), (1 + len(pieces), "o", ("after",)))
    found = asked(held, q=r"NEEDLE(?:\pL{75}0)?", regex="1")
    assert (found_by([found]), found["unsearched"], found["next"]) == ([(1, 1 + 60_000 // PIECE)], [], None)
    missed = asked(held, q=r"NOTHING(?:\pL{75}0)?", regex="1")
    assert (missed["matches"], missed["unsearched"], missed["next"]) == ([], [1], None)


def test_oversized_expression_is_refused_with_advice() -> None:
    with pytest.raises(ParameterError, match="instructions, 100,000 at most; use smaller"):
        search.SearchQuery.of({"q": r"\pL{300}", "regex": "1"})


def test_refused_construct_is_answered_with_its_replacement(cloud: Cloud, agent: Socket, key: str) -> None:
    cloud.send(agent, 1)
    for pattern, advice in (
        ("(?=x)", "cannot look ahead"),
        (r"a\Z", r"write \z"),
        (r"\u00e9", r"\x{e9}"),
        ("a++", "leave the last +"),
        (r"(a)\1", "write the repeated text out"),
        ("a{1001}", "1,000"),
    ):
        escaped = "".join(f"%{byte:02x}" for byte in pattern.encode())
        answer = cloud.http("GET", f"/api/jobs/{JOB}/search?regex=1&q={escaped}", key)
        assert (answer.status, advice in answer.json["detail"]) == (400, True), answer.json


def test_expressions_of_earlier_searches_are_not_cached() -> None:
    """The library would keep 128 of them, with 8 MiB each."""
    for number in range(5):
        search.SearchQuery.of({"q": f"{number}"})
    assert re2._Regexp._make.cache_info().currsize <= 1


def test_answer_fits_lambda_whatever_its_lines_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    """Quotes, control characters and scripts: JSON within JSON counts."""
    text = '"\x01\\' * 5_400
    held = stored(*((1 + at * 12, "o" + "O" * 11, (text,) * 12) for at in range(40)))
    for answer in all_answers(held, q='"', context="10"):
        assert len(json.dumps(json.dumps(answer, ensure_ascii=False), ensure_ascii=False).encode()) < 6_000_000


def test_long_line_is_answered_with_the_part_around_the_match() -> None:
    streams, pieces = cut_into_pieces("x" * 200_000 + "NEEDLE" + "y" * 200_000)
    [match] = asked(stored((1, streams, pieces)), q="NEEDLE")["matches"]
    assert (match["line"], match["sequence"], match["cut"]) == (1, 1 + 200_000 // PIECE, True)
    assert len(match["text"]) == search.TEXT_CHARS
    assert "xNEEDLEy" in match["text"]


def test_search_reports_the_time_where_it_started() -> None:
    """The time of the first requested line, found or not; none where there is none."""
    held = [(b.first, b.count, b.raw, b.body) for b in (batch(first, time=1_000 * first) for first in (1, 4, 7))]
    times = {sequence: us for first, *_, body in held for sequence, us, *_ in decode_body(body).rows(first)}
    ranges: list[dict[str, str]] = [
        {}, {"after": "4"}, {"after": "4", "before": "6"}, {"after": "9"}, {"after": "4", "before": "5"}
    ]  # fmt: skip
    looked = [asked(held, lambda: 0.0, q="nothing", **one)["since"] for one in ranges]
    assert looked == [times[1], times[5], times[5], None, None]


def test_context_is_lines() -> None:
    """Fragments of a long line are one line of a match's context, and shortened there."""
    streams, pieces = cut_into_pieces("x" * 40_000)
    held = stored((1, streams + "oso", (*pieces, "hit", "{}", "last")))
    [match] = asked(held, q="hit", context="2")["matches"]
    assert [(one["sequence"], one["cut"], len(one["text"])) for one in match["before"]] == [
        (1, True, search.CONTEXT_CHARS)
    ]
    assert [one["text"] for one in match["after"]] == ["{}", "last"]
