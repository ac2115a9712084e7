"""Test both formats of an export."""

import json
from datetime import datetime

from hypothesis import given
from hypothesis import strategies as st

from logferry_cli.export import JsonlFormatter, TextFormatter, rfc3339
from logferry_cli.reader import Run
from logferry_protocol.batch import Columns
from logferry_protocol.limits import MAX_TIME_US

JOB = "local." + "0" * 64
ENTRIES = st.lists(
    st.tuples(st.integers(0, MAX_TIME_US), st.sampled_from("oeOEs"), st.text(st.characters(codec="utf-8"))), min_size=1
)


def run_of(entries: list[tuple[int, str, str]], first: int = 1) -> Run:
    times, streams, texts = zip(*entries, strict=True)
    return Run(first, Columns(times, "".join(streams), texts))


@given(ENTRIES, st.integers(1, 2**50))
def test_jsonl_equals_what_was_stored(entries: list[tuple[int, str, str]], first: int) -> None:
    """Any JSON parser reads back every entry, one a line."""
    text = JsonlFormatter(JOB).run(run_of(entries, first))
    lines = text.split("\n")
    assert lines.pop() == ""
    assert len(lines) == len(entries)
    for offset, (line, (time, stream, wanted)) in enumerate(zip(lines, entries, strict=True)):
        found = json.loads(line)
        assert list(found) == ["jobId", "timestamp", "stream", "line", "sequence"]
        assert found["jobId"] == JOB
        assert found["line"] == wanted
        assert found["sequence"] == first + offset
        assert found["stream"] == {"o": "stdout", "e": "stderr", "s": "system"}[stream.lower()]
        assert found["timestamp"] == rfc3339(time)


@given(st.integers(0, MAX_TIME_US))
def test_times_are_rfc_3339_in_utc_with_microseconds(time: int) -> None:
    """For every time that can be stored."""
    text = rfc3339(time)
    assert len(text) == 27
    assert text.endswith("Z")
    parsed = datetime.fromisoformat(text)
    whole = (parsed - datetime.fromisoformat("1970-01-01T00:00:00Z")).days * 86_400_000_000
    rest = parsed - parsed.replace(hour=0, minute=0, second=0, microsecond=0)
    assert whole + rest.seconds * 1_000_000 + rest.microseconds == time


@given(ENTRIES, ENTRIES)
def test_text_does_not_depend_on_batch_boundaries(
    one: list[tuple[int, str, str]], two: list[tuple[int, str, str]]
) -> None:
    """The fast path for ordinary batches writes what the general path writes."""
    whole, parts = TextFormatter(), TextFormatter()
    together = whole.run(run_of(one + two)) + whole.end()
    apart = parts.run(run_of(one)) + parts.run(run_of(two, 1 + len(one))) + parts.end()
    assert together == apart
