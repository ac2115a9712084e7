"""Test what `logferry verify` finds."""

from collections.abc import Callable

import pytest

from logferry_cli.verifier import MAX_PROBLEMS, Report, Verifier
from logferry_cli.verify import _document, _text
from logferry_protocol.batch import encode_body
from logferry_protocol.encoding import digest_of
from logferry_protocol.events import Gap, Notice, encode_event
from logferry_protocol.job import Container, JobRecord, LifeCycle
from logferry_protocol.messages import BatchFacts

PIECE = "p" * 5000
RECORD = JobRecord(
    job="host." + "a" * 64, owner="me", principal="host", instance="e", container=Container(), life=LifeCycle(), seen=0
)


def batch(first: int, texts: list[str], streams: str | None = None, times: list[int] | None = None) -> BatchFacts:
    times = times or [1000 + first + n for n in range(len(texts))]
    body = encode_body(times, streams or "o" * len(texts), texts)
    return BatchFacts(
        first=first,
        count=len(texts),
        start=min(times),
        end=max(times),
        raw=sum(len(text.encode()) for text in texts),
        digest=digest_of(body),
        body=body,
    )


def verified(*batches: BatchFacts, tip: int = 0) -> Report:
    verifier = Verifier()
    for held in batches:
        verifier.add(held)
    return verifier.end(tip)


GAP = encode_event(Gap(reason="rotated", count=7))
SOUND = [
    batch(1, ['{"event":"started"}', "a", "ü"], "soe"),
    batch(4, [PIECE, "b", "c"], "oeO"),
    batch(7, ["x", GAP], "os", [3000, 2000]),
]


def test_sound_job_passes_and_its_gaps_are_listed() -> None:
    """A gap is no fault of the store: the log itself reports it."""
    report = verified(*SOUND, tip=8)
    assert report.sound
    assert (report.first, report.last, report.entries, report.batches) == (1, 8, 8, 3)
    assert report.streams == {"stdout": 4, "stderr": 2, "system": 2}
    assert [(found.sequence, found.gap.reason, found.gap.count) for found in report.gaps] == [(8, "rotated", 7)]


@pytest.mark.parametrize("code", ["unreadable", "end_unverified", "non_blocking", "left_out"])
def test_notice_that_lines_may_be_missing_is_reported(code: str) -> None:
    """A job without a gap is not called complete if it says that it may not be."""
    notice = encode_event(Notice(code=code, detail="why"))
    report = verified(batch(1, [notice, "a"], "so"), tip=2)
    assert [(found.sequence, found.notice.detail) for found in report.notices] == [(1, "why")]
    text = _text(RECORD, report)
    assert "notice at 1: why" in text
    assert "without a gap; lines may be missing, see above" in text
    assert _document(RECORD, report)["notices"] == [{"sequence": 1, "code": code, "detail": "why"}]


def test_other_notices_do_not_count_and_a_problem_is_reported() -> None:
    """Omitted labels are no lines; a problem with reading the job is reported."""
    notice = encode_event(Notice(code="labels_left_out", detail="why"))
    report = verified(batch(1, [notice], "s"), tip=1)
    assert report.notices == []
    assert "may be missing" not in _text(RECORD, report)
    troubled = RECORD.model_copy(update={"life": LifeCycle(problem="this is Podman")})
    assert "problem: this is Podman" in _text(troubled, report)


@pytest.mark.parametrize(
    ("batches", "says"),
    [
        ([SOUND[0], SOUND[2]], "entries 4 to 6 are missing"),
        ([SOUND[0], SOUND[0]], "repeats entries up to 3"),
        (SOUND[:2], "entries 7 to 8 are missing at the end"),
        ([SOUND[0].model_copy(update={"digest": "0" * 64})], "do not match its digest"),
        ([batch(1, ["a", "b"], "oO")], "goes on with a line that was complete"),
        ([batch(1, [PIECE, "b"], "oE")], "entry 2 goes on"),
    ],
)
def test_each_fault_is_reported(batches: list[BatchFacts], says: str) -> None:
    """By the sequence where it is."""
    report = verified(*batches, tip=8 if batches == SOUND[:2] else 0)
    assert not report.sound
    assert says in report.problems[0]


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("count", lambda facts: facts.count + 1),
        ("raw", lambda facts: facts.raw + 1),
        ("start", lambda facts: facts.start - 1),
        ("end", lambda facts: facts.end + 1),
    ],
)
def test_fields_that_contradict_the_body_are_reported(name: str, change: Callable[[BatchFacts], int]) -> None:
    """Pages are cut by the fields stored beside the body."""
    facts = SOUND[0]
    report = verified(facts.model_copy(update={name: change(facts)}))
    assert report.problems[0].startswith(f"batch 1: {name} says")


def test_undecodable_bytes_are_reported() -> None:
    """Even when their digest is right."""
    body = b"not zstd"
    report = verified(SOUND[0].model_copy(update={"body": body, "digest": digest_of(body)}))
    assert "malformed" in report.problems[0]


def test_job_with_an_expired_beginning_is_sound() -> None:
    """Its first fragment may continue a line whose start has expired."""
    report = verified(batch(100, ["rest", "b"], "Oo"), tip=101)
    assert report.sound
    assert report.first == 100


def test_clock_steps_back_are_counted_and_no_fault() -> None:
    """Per stream: two streams' times interleave anyway."""
    report = verified(batch(1, ["a", "b", "c"], "oeo", [10, 5, 9]))
    assert report.sound
    assert report.steps_back == 1


def test_many_faults_are_reported_in_bounded_output() -> None:
    """The first faults are listed; the rest is a number."""
    report = verified(*(batch(1 + 2 * n, ["a"]) for n in range(MAX_PROBLEMS + 50)))
    assert len(report.problems) == MAX_PROBLEMS
    assert report.more_problems == 49
