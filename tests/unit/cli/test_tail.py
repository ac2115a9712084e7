"""Test when a followed job has ended, and time spans."""

import pytest

from logferry_cli.durations import parse_duration
from logferry_cli.problems import Problem
from logferry_cli.reader import Run
from logferry_cli.tail import EndDetector, EndTiming
from logferry_protocol.batch import Columns
from logferry_protocol.events import Exited, Restarted, encode_event
from logferry_protocol.job import Container, JobRecord, LifeCycle, State

TIMING = EndTiming(looks=(1.0, 2.0), later=60.0, quiet=10.0)


def record(state: State) -> JobRecord:
    return JobRecord(
        job="local." + "0" * 64,
        owner="local",
        principal="local",
        instance="E",
        container=Container(),
        life=LifeCycle(state=state),
        seen=0,
    )


def run(*texts: str, streams: str) -> Run:
    return Run(1, Columns([0] * len(texts), streams, texts))


EXITED = run("bye", encode_event(Exited(exit_code=0)), streams="os")


def test_running_job_never_ends_by_silence() -> None:
    """Quiet does not mean ended."""
    end = EndDetector(record("running"), 0.0, TIMING)
    assert end.wait(0.0) is None
    assert not end.ended(1_000_000.0)


def test_last_entry_and_two_record_reads_end_it() -> None:
    """A restarting container is `exited` for a moment."""
    end = EndDetector(record("running"), 0.0, TIMING)
    end.entries_shown(EXITED, 5.0)
    assert end.due(5.0)
    end.record_read(record("exited"), 5.0)
    assert not end.ended(5.0)
    assert not end.due(5.9)
    assert end.wait(5.0) == 1.0
    end.record_read(record("exited"), 6.0)
    assert end.ended(6.0)


def test_restart_between_the_reads_continues() -> None:
    """More lines follow."""
    end = EndDetector(record("running"), 0.0, TIMING)
    end.entries_shown(EXITED, 5.0)
    end.record_read(record("exited"), 5.0)
    end.entries_shown(run(encode_event(Restarted(restarts=1)), streams="s"), 5.5)
    end.update_record(record("running"))
    assert not end.ended(100.0)
    assert not end.due(100.0)


def test_outdated_record_is_read_again() -> None:
    """The state may arrive later than the last line; a failed read is no answer."""
    end = EndDetector(record("running"), 0.0, TIMING)
    end.entries_shown(EXITED, 0.0)
    waits = []
    now = 0.0
    for answer in (record("running"), None, record("running"), record("exited")):
        assert end.due(now)
        end.record_read(answer, now)
        waits.append(end.wait(now))
        now += waits[-1] or 0.0
    # At the last read the job has been silent for longer than an ended job needs.
    assert waits == [1.0, 2.0, 60.0, 0.0]
    assert end.ended(now)


def test_long_ended_job_ends_by_silence() -> None:
    """Its last entry has expired, or is not shown."""
    end = EndDetector(record("exited"), 0.0, TIMING)
    assert not end.ended(9.9)
    assert end.wait(4.0) == 6.0
    assert end.ended(10.0)


@pytest.mark.parametrize(("text", "seconds"), [("45s", 45), ("30m", 1800), ("12h", 43200), ("90d", 7_776_000)])
def test_spans_are_parsed(text: str, seconds: int) -> None:
    """As people write them."""
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "5", "0s", "-1h", "1w", "1.5h", "h", "99999999d"])
def test_invalid_span_is_refused(text: str) -> None:
    """With an example of a valid one."""
    with pytest.raises(Problem, match="not a duration"):
        parse_duration(text)
