"""Test what is archived when, in which parts, and as which rows."""

import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.batches import NOW_MS, batch

from archive import core
from archive.core import Backlog, Plan, State, is_due, is_finished, plan_run, rows, take_run
from logferry_protocol.batch import encode_body
from logferry_protocol.job import OWNER_PATTERN
from registry.archive_index import DamagedSegmentError, Segment, decode_segment, encode_segment, rows_key, segment_key

JOB = "web." + "c" * 64
DAY_US = 86_400_000_000
HOUR_MS = 3_600_000


def stored(first: int = 1, texts: tuple[str, ...] = ("one", "two", "three"), **overrides: Any) -> dict[str, Any]:
    """Return a batch as the log table holds it."""
    return {**batch(first, texts, **overrides).model_dump(exclude={"job"}), "received": NOW_MS}


def at(*times: int, first: int = 1) -> dict[str, Any]:
    """Return a batch with entries at these times (µs)."""
    texts = [str(time) for time in times]
    body = encode_body(times, "o" * len(times), texts)
    return {**stored(first, tuple(texts), body=body), "start": min(times), "end": max(times)}


def lines(found: dict[str, Any]) -> list[tuple[str, Any]]:
    container = {"name": "web", "host": "h1", "image": 'a"b'}
    return [(day, json.loads(line)) for day, text in rows(JOB, container, found) for line in text.split("\n")[:-1]]


# --- when


@pytest.mark.parametrize(
    ("why", "entries", "age_h", "opened_h", "archived_h", "expected"),
    [
        ("daily", 1, 0, 0, 0, True),
        ("hourly", 9_999, 1, 1, 9, False),
        ("hourly", 10_000, 1, 1, 0, True),
        ("hourly", 1, 24, 1, 0, True),  # the time to live must not come first
        ("hourly", 1, 1, 3, 0, True),  # nobody can write it now: no more lines will follow
        ("ended", 1, 0, 0, 1, True),
        ("ended", 1, 0, 0, 0, False),  # a container that restarts every second
    ],
)
def test_job_is_archived_when_it_is_long_old_or_ended(
    why: core.Trigger, entries: int, age_h: int, opened_h: int, archived_h: int, expected: bool
) -> None:
    """Every object costs a request; every day not archived brings the time to live nearer."""
    state = State(tip=5, opened=NOW_MS - opened_h * HOUR_MS, archived=NOW_MS - archived_h * HOUR_MS)
    left = Backlog(6, NOW_MS - age_h * HOUR_MS, 5 + entries)
    assert is_due(why, state, left, NOW_MS) is expected


def test_interrupted_job_is_always_due() -> None:
    """A crash left a plan."""
    state = State(plan=Plan(1, 3, ((1, 3),), ()), opened=NOW_MS, archived=NOW_MS)
    assert is_due("hourly", state, Backlog(1, NOW_MS, 3), NOW_MS)


def test_job_leaves_the_list_when_nothing_is_left_and_nobody_can_write_it() -> None:
    """An agent opens its jobs after each connect, and no connection lives longer than two hours."""
    quiet, busy = NOW_MS - 3 * HOUR_MS, NOW_MS - 3 * HOUR_MS + 1
    assert is_finished(State(tip=3, opened=quiet), None, NOW_MS)
    assert not is_finished(State(tip=3, opened=busy), None, NOW_MS)
    assert not is_finished(State(tip=3, opened=quiet), Backlog(4, NOW_MS, 5), NOW_MS)
    assert not is_finished(State(plan=Plan(1, 3, ((1, 3),), ()), opened=quiet), None, NOW_MS)


# --- segments


def test_run_ends_at_a_hole_and_at_its_size(monkeypatch: pytest.MonkeyPatch) -> None:
    """Consecutive batches only, and a few seconds of work; at least one batch."""
    assert [one["first"] for one in take_run([stored(1), stored(4), stored(8)])] == [1, 4]
    for name in ("RUN_RAW_BYTES", "RUN_BYTES", "RUN_ENTRIES", "RUN_BATCHES"):
        with monkeypatch.context() as patch:
            patch.setattr(core, name, 1)
            assert [one["first"] for one in take_run([stored(1), stored(4)])] == [1], name
    assert take_run([]) == []


@given(st.lists(st.tuples(st.integers(1, 40), st.integers(1, 60)), min_size=1, max_size=60))
def test_segments_divide_a_run_without_a_hole(sizes: list[tuple[int, int]]) -> None:
    """Each within its size, unless one batch alone is larger; together they are the run."""
    batches, first = [], 1
    for count, size in sizes:
        one = {"first": first, "count": count, "body": bytes(size * 10_000), "raw": 1, "start": 0, "end": 0}
        batches.append(one)
        first += count
    plan = plan_run(batches)
    assert (plan.first, plan.last) == (1, first - 1)
    assert plan.segments[0][0] == 1
    assert plan.segments[-1][1] == first - 1
    assert all(one[1] + 1 == other[0] for one, other in pairwise(plan.segments))
    for segment, inside in core.build_segments(plan, batches, 0):
        assert sum(one["count"] for one in inside) == segment.count
        assert len(inside) == 1 or segment.size <= core.SEGMENT_BYTES


def test_plan_is_carried_out_whole_or_not_at_all() -> None:
    """Its beginning, its end, or something between may have expired."""
    batches = [stored(1), stored(4), stored(7)]
    plan = plan_run(batches)
    assert core.covers_plan(plan, batches)
    for missing in range(3):
        assert not core.covers_plan(plan, [one for index, one in enumerate(batches) if index != missing])
    assert not core.covers_plan(plan, [])


def test_segment_returns_the_same_bytes() -> None:
    """Invariant 6: compressed once, by the agent; digests still match."""
    batches = [stored(1), stored(4, ("x" * 9000,))]
    wanted = [{key: value for key, value in one.items() if key != "received"} for one in batches]
    assert decode_segment(encode_segment(batches)) == wanted


@pytest.mark.parametrize("cut", [0, 5, -1])
def test_truncated_segment_is_recognised(cut: int) -> None:
    """Cut anywhere."""
    with pytest.raises(DamagedSegmentError):
        decode_segment(encode_segment([stored(1)])[:cut])
    with pytest.raises(DamagedSegmentError, match="version is 2"):
        decode_segment(b'{"version":2,"batches":[]}\n')


def test_segment_expires_at_its_time() -> None:
    """All readers see the same, whenever S3 deletes it."""
    segment = Segment(1, 2, 0, 0, 1, 1, 1, 2, (), expires=NOW_MS // 1000)
    assert segment.kept(NOW_MS - 1)
    assert not segment.kept(NOW_MS)
    assert Segment(1, 2, 0, 0, 1, 1, 1, 2, ()).kept(2**60)


# --- rows


def test_row_is_an_entry_with_what_a_query_needs() -> None:
    """The columns that template.yaml gives the table, in JSON that any reader accepts."""
    found = stored(5, ('plain "quoted" \\ \t tab', "é 漢 \x1b[0m \u2028"), streams="oe", time=1_764_000_000_000_001)
    assert lines(found) == [
        (
            "2025-11-24",
            {
                "sequence": 5, "time": "2025-11-24T16:00:00.000001Z", "stream": "stdout",
                "line": 'plain "quoted" \\ \t tab', "job": JOB, "name": "web", "host": "h1", "image": 'a"b',
            },
        ),
        (
            "2025-11-24",
            {
                "sequence": 6, "time": "2025-11-24T16:00:00.000002Z", "stream": "stderr",
                "line": "é 漢 \x1b[0m \u2028", "job": JOB, "name": "web", "host": "h1", "image": 'a"b',
            },
        ),
    ]  # fmt: skip


@given(st.lists(st.integers(0, 4 * DAY_US), min_size=1, max_size=30))
def test_every_row_is_under_the_day_of_its_time(times: list[int]) -> None:
    """Whatever the container's clock does; the plan names each of the days."""
    found = at(*times)
    made = lines(found)
    assert [row["sequence"] for _day, row in made] == list(range(1, len(times) + 1))
    assert all(row["time"].startswith(day) for day, row in made)
    assert plan_run([found]).days == tuple(sorted({day for day, _row in made}))


def test_erratic_clock_does_not_make_an_object_a_line() -> None:
    """More than eight days in one batch: all of it goes under the first."""
    found = at(*(day * DAY_US for day in range(5, 14)))
    assert plan_run([found]).days == ("1970-01-06",)
    assert {day for day, _row in lines(found)} == {"1970-01-06"}
    assert len(lines(found)) == 9


def test_run_covers_a_bounded_number_of_days() -> None:
    """A state and an index that grow with a hostile clock's days would not fit their items."""
    batches = [at(day * DAY_US, first=day + 1) for day in range(40)]
    plan = plan_run(batches)
    assert (plan.first, plan.last, len(plan.days)) == (1, core.RUN_DAYS, core.RUN_DAYS)
    assert [one["first"] for one in core.batches_up_to(batches, plan.last)] == list(range(1, core.RUN_DAYS + 1))
    back_and_forth = [at((day % 2) * DAY_US, first=day + 1) for day in range(40)]
    assert plan_run(back_and_forth).last == 40


def test_unreadable_body_is_kept_and_has_no_rows() -> None:
    """One bad batch stops neither the others nor the archive."""
    broken = {**stored(4), "body": b"junk"}
    plan = plan_run([stored(1), broken])
    assert (plan.first, plan.last) == (1, 6)
    assert lines(broken) == []
    assert decode_segment(encode_segment([broken]))[0]["body"] == b"junk"


def test_keys_are_unique_ordered_and_named_like_hive_partitions() -> None:
    """`key=value` folders, which Athena's partition projection derives from the query, for any owner."""
    key = rows_key("team:a@b.c_d-1", "2025-11-24", JOB, 1, 20)
    assert key == f"logs/owner=team:a@b.c_d-1/day=2025-11-24/{JOB}-0000000000000001-0000000000000020.jsonl.zst"
    assert "/" not in OWNER_PATTERN
    assert (
        segment_key(JOB, (1, 20), (1, 9)) < segment_key(JOB, (1, 20), (10, 20)) < segment_key(JOB, (21, 22), (21, 22))
    )
    assert segment_key(JOB, (1, 20), (1, 9)) != segment_key(JOB, (1, 9), (1, 9))
