"""Test other engines' answers: they are never mistaken for an empty log."""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.docker_log import DockerLogWriter, frame

from logferry_agent.core.batching.cursor import Cursor, decode
from logferry_agent.core.batching.entry_sequencer import EntrySequencer
from logferry_agent.core.parsing.log_stream import LogStreamParser
from logferry_agent.edge.api_source import ApiSource
from logferry_agent.edge.docker_client import DockerClient
from logferry_protocol.events import Gap, Notice, SystemEvent, decode_event


def framed(*entries: tuple[int, str]) -> bytes:
    """Return unchanged entries of stdout (1) and stderr (2), in the API's frames."""
    return b"".join(
        bytes([kind, 0, 0, 0]) + len(text.encode()).to_bytes(4, "big") + text.encode() for kind, text in entries
    )


PODMAN = framed(
    (1, "2026-11-30T12:41:46Z hello\n"), (2, "2026-11-30T12:41:46Z err\n"), (1, "2026-11-30T12:41:47Z bye\n")
)
PODMAN_TTY = b"2026-11-30T12:51:17Z hello\r\n2026-11-30T12:51:18Z prompt> "
"""Recorded from Podman 4.3.1 (Debian 12)."""
GOOD = b"".join(frame(piece) for piece in DockerLogWriter().write("o", b"one\ntwo\n"))

ANSWERS = [
    (PODMAN, False),
    (PODMAN_TTY, True),
    (b"2026-11-30T12:51:18Z prompt> ", True),
    (b"$ ", True),
    (framed((1, "no time at all\n")), False),
    (framed((1, "2026-11-30T12:41:46.123Z milliseconds\n")), False),
    (framed((1, "1764000000 seconds\n")), False),
    (framed((2, "")), False),
]


class Engine:
    """An engine that always answers with these bytes."""

    def __init__(self, answer: bytes) -> None:
        self.answer = answer
        self.asked = 0

    def logs(self, container: str, *, follow: bool, tail: int | None = None, since: int = 0) -> SimpleNamespace:
        self.asked += 1
        rest = [self.answer]
        return SimpleNamespace(chunked=False, read=lambda together: rest.pop() if rest else b"", close=lambda: None)


def read(answer: bytes, *, tty: bool, cursor: str | None = None) -> tuple[list[str], list[SystemEvent], ApiSource, int]:
    """Read an ended container: its lines, its events, the source, and the number of requests."""
    engine = Engine(answer)
    sequencer = EntrySequencer(decode(cursor) if cursor else Cursor())
    source = ApiSource(cast(DockerClient, engine), "c", sequencer, tty=tty, since=0, max_size=0, replays=False)
    problems: list[str | None] = []
    source.on_problem = problems.append
    entries: list[tuple[str, str]] = []
    for _ in range(3):
        while (chunk := source.read(1 << 20)) is not None:
            entries += zip(chunk.streams, chunk.texts, strict=True)
    lines = [text for stream, text in entries if stream != "s"]
    assert bool(problems and problems[-1]) is (source.name == "none" or bool(cursor))
    return lines, [decode_event(text) for stream, text in entries if stream == "s"], source, engine.asked


@pytest.mark.parametrize(("answer", "tty"), ANSWERS)
def test_log_without_exact_times_is_reported_as_unreadable(answer: bytes, tty: bool) -> None:
    """One notice, and no more requests: whole seconds cannot be resumed without losses or repeats."""
    lines, events, source, asked = read(answer, tty=tty)
    assert lines == []
    (notice,) = events
    assert isinstance(notice, Notice)
    assert notice.code == "unreadable"
    assert "without a time to the nanosecond" in notice.detail
    assert source.name == "none"
    assert asked <= 2


def test_previously_readable_log_ends_with_a_gap() -> None:
    """Another kind of engine replaced the old one: everything from here on is missing."""
    _, events, source, _ = read(PODMAN, tty=False, cursor="1|o=1764000000000001000.1.0123abcd.0|a=o")
    (gap,) = events
    assert isinstance(gap, Gap)
    assert (gap.reason, gap.start) == ("engine", 1_764_000_000_000_001)
    assert source.name == "api"


@pytest.mark.parametrize("answer", [GOOD + PODMAN, PODMAN + GOOD])
def test_entries_without_times_among_others_are_a_gap(answer: bytes) -> None:
    """Reported once; entries with a time are read."""
    lines, events, source, _ = read(answer, tty=False)
    assert lines == ["one", "two"]
    assert [event.reason for event in events if isinstance(event, Gap)] == ["engine"]
    assert source.name == "api"


@given(
    answer=st.sampled_from([answer for answer, tty in ANSWERS if not tty]),
    good=st.booleans(),
    sizes=st.lists(st.integers(1, 40), max_size=20),
)
def test_every_entry_without_a_time_is_counted(answer: bytes, good: bool, sizes: list[int]) -> None:
    """However the stream is cut into reads."""
    whole = LogStreamParser(tty=False, chunked=False).feed(answer).unstamped
    stream = LogStreamParser(tty=False, chunked=False)
    rest = GOOD * good + answer
    found, texts = [], []
    for size in [*sizes, len(rest)]:
        part = stream.feed(rest[:size])
        rest = rest[size:]
        found += part.unstamped
        texts += part.fragments.texts
    assert found == whole
    assert texts == ["one", "two"] * good


def test_truncated_timestamp_does_not_mean_another_engine() -> None:
    """A connection may break within the first bytes of a terminal's log: that is read again."""
    stamp = b"2026-11-30T12:51:17.123456789Z "
    for length in range(len(stamp)):
        stream = LogStreamParser(tty=True, chunked=False)
        assert stream.feed(stamp[:length]).unstamped == []
        assert stream.end().unstamped == []
