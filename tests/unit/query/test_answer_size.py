"""Test that no answer exceeds what Lambda allows, whatever a job's lines are, and that pages lose nothing.

Each handler of these tests is held to the limit, too (`tests/support/lambda_limits.py`).
"""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tests.support.batches import CONTAINER
from tests.support.cloud import Cloud, Socket, cloud_in_memory
from tests.support.lambda_limits import ANSWER_BYTES, encoded_bytes

from logferry_protocol.batch import STREAM_OF, decode_body, encode_body
from logferry_protocol.limits import MAX_BATCH_ENTRIES, MAX_ENTRY_BYTES, MIN_CONTINUED_BYTES
from query import export, search
from query.app import _json, _page
from runtime.answer_size import encoded_bytes as counted

JOB = f"web.{CONTAINER}"
DOCUMENT_BYTES = 1_000_000
"""Of a batch's document. A little below the limit of the wire, for its times and streams."""

TEXTS = ("", "x", "é", "日", "🚢", '"', "\\", "\t", "\x01", "\x7f", "\u2028", "tick 123")

Shape = tuple[str, int, int, str]
"""A batch: a text, how often it is repeated in an entry, how many entries, and their streams in turn."""


@st.composite
def shapes(draw: st.DrawFn) -> Shape:
    """Draw a batch that is as large as the wire allows, or small."""
    text = draw(st.sampled_from(TEXTS))
    most = MAX_ENTRY_BYTES // max(1, len(text.encode()))
    repeat = draw(st.sampled_from((1, 10, MIN_CONTINUED_BYTES // max(1, len(text.encode())) + 1, most)))
    count = draw(st.sampled_from((1, 100, MAX_BATCH_ENTRIES)))
    return text, repeat, count, draw(st.sampled_from(("o", "oe", "oO", "oeOE", "eeeO", "oOOOOOOOOe", "s")))


def batches_of(shapes: list[Shape]) -> list[tuple[int, int, bytes]]:
    """Return stored batches as an export gets them."""
    made, first = [], 1
    for text, repeat, count, streams in shapes:
        entry = text * repeat
        size = len(json.dumps(entry, ensure_ascii=False).encode()) + 4
        number = min(count, DOCUMENT_BYTES // size)
        characters = (streams * number)[:number]
        body = encode_body([first + at for at in range(number)], characters, [entry] * number)
        made.append((first, len(entry.encode()) * number, body))
        first += number
    return made


def pages_of(form: export.Format, held: list[tuple[int, int, bytes]], most: int) -> Iterator[export.ExportPage]:
    """Yield the pages of an export. Each fits into an answer, and gets further than the one before."""
    after: int | None = 0
    while after is not None:
        rest = [batch for index, batch in enumerate(held) if index == len(held) - 1 or held[index + 1][0] > after + 1]
        page = export.page(JOB, form, rest, after=after, most=most)
        answer = _page(JOB, page)
        assert encoded_bytes({"statusCode": 200, "headers": answer.headers, "body": page.text}) + 500 < ANSWER_BYTES
        assert page.resume is None or page.resume > after
        yield page
        after = page.resume


WORST = [("", 1, MAX_BATCH_ENTRIES, "o")] * 6


@given(held=st.lists(shapes(), min_size=1, max_size=7), most=st.sampled_from((1, 100_000, export.PAGE_RAW_BYTES)))
@settings(max_examples=8)
@example(WORST, export.PAGE_RAW_BYTES)
@example([("tick 123", 1, MAX_BATCH_ENTRIES, "oe")] * 5, export.PAGE_RAW_BYTES)
@example([('"', MAX_ENTRY_BYTES, MAX_BATCH_ENTRIES, "oO")] * 4, export.PAGE_RAW_BYTES)
@example([("\x01", 1, MAX_BATCH_ENTRIES, "e")] * 4, export.PAGE_RAW_BYTES)
@example([("\x01", MAX_ENTRY_BYTES, MAX_BATCH_ENTRIES, "oe")] * 7, export.PAGE_RAW_BYTES)
@example([("日", MAX_ENTRY_BYTES // 3, MAX_BATCH_ENTRIES, "oO")] * 5, export.PAGE_RAW_BYTES)
def test_jsonl_pages_hold_every_entry_once_within_the_limit(held: list[Shape], most: int) -> None:
    """Empty and one-character lines, other scripts, quotes, control characters, and the largest batches."""
    batches = batches_of(held)
    lines = "".join(page.text for page in pages_of("jsonl", batches, most)).split("\n")
    assert lines.pop() == ""
    wanted = [row for first, _raw, body in batches for row in decode_body(body).rows(first)]
    assert len(lines) == len(wanted)
    for line, (sequence, time, character, text) in zip(lines, wanted, strict=True):
        assert line == (
            f'{{"jobId":"{JOB}","timestamp":"{export.timestamp(time)}","stream":"{STREAM_OF[character]}",'
            f'"line":{json.dumps(text, ensure_ascii=False)},"sequence":{sequence}}}'
        )


@given(held=st.lists(shapes(), min_size=1, max_size=7), most=st.sampled_from((1, 100_000, export.PAGE_RAW_BYTES)))
@settings(max_examples=8)
@example(WORST, export.PAGE_RAW_BYTES)
@example([("\x01", MAX_ENTRY_BYTES, MAX_BATCH_ENTRIES, "o")] * 7, export.PAGE_RAW_BYTES)
@example([("\x01", MAX_ENTRY_BYTES, MAX_BATCH_ENTRIES, "oOOOOOOOOe")] * 7, export.PAGE_RAW_BYTES)
@example([("日", MAX_ENTRY_BYTES // 3, MAX_BATCH_ENTRIES, "oO")] * 5, 1)
@example([("x", MIN_CONTINUED_BYTES, 100, "oeOE")] * 3, 1)
def test_text_pages_hold_every_character_once_within_the_limit(held: list[Shape], most: int) -> None:
    """No fragment is repeated because its line ended on the page before; a line is split only where it must be."""
    batches = batches_of(held)
    whole = export.TextLines()
    for first, _raw, body in batches:
        for row in decode_body(body).rows(first):
            whole.add(row)
    wanted, _ = whole.take(at_end=True)
    found = "".join(page.text for page in pages_of("text", batches, most))
    assert found.replace("\n", "") == wanted.replace("\n", "")
    if all(repeat * len(text.encode()) < MIN_CONTINUED_BYTES for text, repeat, _, _ in held):
        assert found == wanted


def test_line_ended_before_a_page_is_not_repeated_in_the_next() -> None:
    """The line of stdout ends behind the begin of a line of stderr that is still open at the end of the page."""
    long = "x" * MIN_CONTINUED_BYTES
    body = encode_body([1, 2, 3], "oeO", [long, "e" * MIN_CONTINUED_BYTES, "end"])
    rest = encode_body([4, 5], "Eo", ["rest", "last"])
    pages = list(pages_of("text", [(1, 8195, body), (4, 8, rest)], 1))
    assert "".join(page.text for page in pages) == f"{long}end\n{'e' * MIN_CONTINUED_BYTES}rest\nlast\n"


def test_export_of_short_lines_is_whole_over_http(cloud: Cloud, agent: Socket, key: str) -> None:
    """Four full batches of them filled a page of 6.5 MB, which Lambda refused at every attempt."""
    number = 4 * MAX_BATCH_ENTRIES
    for first in range(1, number, MAX_BATCH_ENTRIES):
        assert cloud.send(agent, first, ("tick 123",) * MAX_BATCH_ENTRIES)["outcome"] == "stored"
    lines, after = [], 0
    while True:
        answer = cloud.http("GET", f"/api/jobs/{JOB}/export?format=jsonl&after={after}", key)
        assert answer.status == 200
        lines += [json.loads(line)["sequence"] for line in answer.body.splitlines()]
        if "logferry-next" not in answer.headers:
            break
        after = int(answer.headers["logferry-next"])
    assert lines == list(range(1, number + 1))


# --- search


def answers_of(batches: list[tuple[int, int, bytes]], query: dict[str, str]) -> Iterator[dict[str, Any]]:
    """Yield the answers to a search. Each fits, and gets further than the one before."""
    after: int | None = 0
    held = [(first, len(decode_body(body)), raw, body) for first, raw, body in batches]
    while after is not None:
        wanted = search.SearchQuery.of({**query, "after": str(after)})
        rest = [one for one in held if one[0] + one[1] - 1 > wanted.after]
        answer = search.search(
            wanted, rest, lambda at: [one for one in reversed(held) if one[0] < at], clock=lambda: 0.0
        )
        assert encoded_bytes({"statusCode": 200, "body": _json({"tip": 2**53, **answer}).body}) + 500 < ANSWER_BYTES
        assert answer["next"] is None or answer["next"] > after
        yield answer
        after = answer["next"]


@given(
    held=st.lists(shapes(), min_size=1, max_size=4),
    pattern=st.sampled_from((".", "$", "x|日|🚢")),
    limit=st.sampled_from(("7", "1000")),
    context=st.sampled_from(("0", "1", "10")),
)
@settings(max_examples=6)
@example([("日", 300, 2_000, "o")], "日", "1000", "10")
@example([("🚢", MAX_ENTRY_BYTES // 4, 60, "oO")], ".", "1000", "10")
@example([("\x01", MAX_ENTRY_BYTES, 10, "oO")] * 4, ".", "1000", "10")
@example([('"', MAX_ENTRY_BYTES, 30, "oO")] * 4, ".", "1000", "10")
@example([("x", 1, 2_000, "o")], ".", "1000", "10")
def test_answers_to_a_search_find_every_line_once_within_the_limit(
    held: list[Shape], pattern: str, limit: str, context: str
) -> None:
    """With context, the same line may be in twenty places of an answer."""
    batches = batches_of([(text, repeat, min(count, 2_000), streams) for text, repeat, count, streams in held])
    found = [
        match["line"]
        for answer in answers_of(batches, {"q": pattern, "regex": "1", "limit": limit, "context": context})
        for match in answer["matches"]
    ]
    wanted = [
        match["line"]
        for answer in answers_of(batches, {"q": pattern, "regex": "1", "limit": "1000"})
        for match in answer["matches"]
    ]
    assert found == wanted
    assert len(set(found)) == len(found)


def test_search_in_another_script_is_answered_over_http(cloud: Cloud, agent: Socket, key: str) -> None:
    """Escapes made 7 bytes of a character, and 9.9 MB of such an answer."""
    for first in range(1, 2_001, 500):
        assert cloud.send(agent, first, ("記録" * 100,) * 500)["outcome"] == "stored"
    found, after = [], 0
    while after is not None:
        path = f"/api/jobs/{JOB}/search?q=%E8%A8%98&limit=1000&context=10&after={after}"
        answer = cloud.http("GET", path, key)
        assert (answer.status, "\\u" in answer.body) == (200, False)
        found += [match["line"] for match in answer.json["matches"]]
        after = answer.json["next"]
    assert found == list(range(1, 2_001))


# --- the list of jobs


def test_list_of_jobs_with_the_longest_labels_is_whole_over_http() -> None:
    """Quotes and other scripts cost more in an answer than in a record."""
    cloud = cloud_in_memory()
    agent, key = cloud.agent(cloud.agent_key()), cloud.viewer_key()
    labels = {f"label{index}": '"\\' * 64 for index in range(30)}
    for index in range(500):
        container = {"name": "記" * 255, "host": '"' * 255, "image": "\\" * 512, "labels": labels}
        cloud.open_job(agent, f"{index:064x}", container=container)
    found, position = [], ""
    while position is not None:
        page = cloud.http("GET", f"/api/jobs?limit=500{position and '&next=' + position}", key).json
        found += [record["job"] for record in page["jobs"]]
        position = page["next"] and page["next"].replace("#", "%23")
    assert sorted(found) == [f"web.{index:064x}" for index in range(500)]


@pytest.mark.parametrize("text", TEXTS)
def test_counted_bytes_are_those_of_the_answer(text: str) -> None:
    """As the oldest runtime writes them."""
    assert counted(text) == len(json.dumps(text)) - 2
    assert counted(text + "a\n") == counted(text) + counted("a\n")
