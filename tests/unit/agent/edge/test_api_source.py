"""Test `edge/api_source.py`: nothing is repeated or silently lost, whatever an engine omits, repeats or interrupts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from threading import Event
from typing import cast

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tests.support.docker_log import START, LogFragment, frame
from tests.support.fake_log import Act, FakeLog, FakeResponse, without_waits

from logferry_agent.core.batching.cursor import Cursor, decode
from logferry_agent.core.batching.entry_sequencer import EntrySequencer
from logferry_agent.core.parsing import deduplication
from logferry_agent.core.parsing.timestamps import format_stamp
from logferry_agent.edge import api_source, log_follow
from logferry_agent.edge.api_source import ApiSource
from logferry_agent.edge.docker_client import DockerClient, LogsUnreadableError
from logferry_protocol.backoff import Backoff
from logferry_protocol.events import Gap, decode_event


class Reader:
    """A source on a fake log, and its entries."""

    def __init__(
        self,
        log: FakeLog,
        *,
        rotates: bool,
        replays: bool = False,
        cursor: str | None = None,
        born_below: int = 0,
        tty: bool = False,
    ) -> None:
        self.log = log
        self.source = ApiSource(
            cast(DockerClient, log),
            "c",
            EntrySequencer(decode(cursor) if cursor else Cursor()),
            tty=tty,
            since=0,
            max_size=4_000 if rotates else 0,
            replays=replays,
            born_below=born_below,
        )
        self.entries: list[tuple[str, str]] = []
        self.times: list[int] = []
        self.cursors: list[str] = []
        log.stops = lambda: self.source.set_running(False)

    def read(self) -> Reader:
        """Read to the end of the script and of the log, without waiting."""
        with without_waits(self.log):
            self.read_on()
        return self

    def read_on(self) -> None:
        """Read to the end of the script and of the log."""
        self.source.set_running(True)
        for _ in range(2):
            while (chunk := self.source.read(1 << 20)) is not None:
                self.entries += zip(chunk.streams, chunk.texts, strict=True)
                self.times += chunk.times
                self.cursors += [chunk.cursor_at(number) for number in range(1, len(chunk.texts) + 1)]

    @property
    def numbers(self) -> list[int]:
        """Return the lines."""
        return [int(text.split()[1]) for letter, text in self.entries if letter != "s"]

    @property
    def gaps(self) -> list[Gap]:
        """Return the gap entries."""
        found = [decode_event(text) for letter, text in self.entries if letter == "s"]
        return [event for event in found if isinstance(event, Gap)]


class WaitRecorder(Event):
    """Record the waits, and do not wait."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[float | None] = []

    def wait(self, timeout: float | None = None) -> bool:
        self.asked.append(timeout)
        return self.is_set()


acts = st.one_of(
    st.tuples(st.just("write"), st.integers(1, 12)),
    st.tuples(st.just("lose"), st.integers(1, 12)),
    st.tuples(st.just("rotate"), st.integers(1, 30)),
    st.tuples(st.just("repeat"), st.integers(1, 12)),
    st.tuples(st.sampled_from(["calm", "end", "fail", "break"]), st.just(0)),
)


@given(script=st.lists(acts, min_size=1, max_size=25), replays=st.booleans())
@example(script=[("write", 3), ("lose", 5), ("calm", 0), ("write", 1), ("rotate", 8), ("write", 1)], replays=False)
@settings(max_examples=300, deadline=None)
def test_nothing_is_repeated_or_silently_lost(script: list[Act], replays: bool) -> None:
    """Any order of writing, losing, rotating, repeating, and streams that end, fail or break."""
    log = FakeLog([("write", 1), *script])
    reader = Reader(log, rotates=True, replays=replays).read()
    assert len(reader.numbers) == len(set(reader.numbers)), "none twice"
    missing = set(range(log.written)) - set(reader.numbers)
    assert not missing & set(range(log.first, log.written)), "what the engine still has is read"
    assert not missing or reader.gaps
    for gap in reader.gaps:
        assert gap.start is None or gap.end is None or gap.start <= gap.end


@given(script=st.lists(acts.filter(lambda act: act[0] != "rotate"), min_size=1, max_size=25))
@settings(max_examples=100, deadline=None)
def test_no_gap_is_reported_if_nothing_is_missing(script: list[Act]) -> None:
    """The log itself repairs streams that omit lines, end, fail or break."""
    log = FakeLog([("write", 1), *script])
    reader = Reader(log, rotates=True).read()
    assert sorted(reader.numbers) == list(range(log.written))
    assert reader.gaps == []


def test_log_that_never_rotates_is_not_read_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    """Docker case 23: far more lines without a pause than are remembered; the catch-up requests the last ones."""
    monkeypatch.setattr(api_source, "_SURE_ENTRIES", 500)
    monkeypatch.setattr("logferry_agent.core.parsing.deduplication._GENERATION", 1_000)
    log = FakeLog([("write", 1), ("calm", 0), *[("write", 400)] * 50])
    reader = Reader(log, rotates=False).read()
    assert reader.numbers == list(range(20_001))
    assert log.served < 20_001 + 3_000


def test_pieces_of_a_burst_are_read_together_and_single_reads_are_not() -> None:
    """A burst comes in pieces of a socket's size, each of which would be processed separately."""
    log = FakeLog([("write", 149), ("write", 150), ("write", 2)])
    assert Reader(log, rotates=False).read().numbers == list(range(301))
    assert [bool(size) for size in log.together[:4]] == [False, False, True, False]


def test_small_read_after_a_large_one_passes_unchecked_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise each would check all remembered keys: the reads of a backlog vary in size."""
    worked_out: list[int] = []

    def keys(part: Sequence[object]) -> list[None]:
        worked_out.append(len(part))
        return [None] * len(part)

    monkeypatch.setattr(deduplication, "_keys", keys)
    log = FakeLog([("write", 300), *[("write", 1)] * 20, ("write", 300), ("write", 1)])
    reader = Reader(log, rotates=False)
    reader.source.set_running(True)
    with without_waits(log):
        while log.acts:
            assert reader.source.read(1) is not None
    assert set(worked_out) == {1}, "the first and the last of each"


much = st.one_of(
    st.tuples(st.just("write"), st.sampled_from([1, 10, 149, 150, 300])),
    st.tuples(st.sampled_from(["calm", "end", "fail", "break"]), st.just(0)),
)
repeats = st.tuples(st.just("repeat"), st.sampled_from([1, 10, 150, 199]))
long_lines = st.tuples(st.just("long"), st.integers(1, 3))


@given(
    script=st.lists(much | repeats, min_size=1, max_size=12) | st.lists(much | long_lines, min_size=1, max_size=12),
    replays=st.booleans(),
)
@example(script=[("write", 300), ("write", 300), ("write", 150), ("repeat", 199), ("write", 1)], replays=False)
@example(script=[("write", 149), ("write", 149), ("repeat", 199)], replays=False)
@example(script=[("write", 300), ("long", 2), ("write", 150), ("write", 150), ("end", 0)], replays=False)
@settings(max_examples=150, deadline=None)
def test_large_unrotated_log_is_read_once_and_whole(script: list[Act], replays: bool) -> None:
    """Of lines that pass unchecked, as many are remembered as may be repeated."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("logferry_agent.core.parsing.deduplication._SOON", 200)
        log = FakeLog([("write", 1), *script])
        reader = Reader(log, rotates=False, replays=replays).read()
    written = [text for letter, text in reader.entries if letter != "s" and text.startswith("line ")]
    assert written == [f"line {number}" for number in range(log.written)]
    assert sum(text.count("x") for _, text in reader.entries) == sum(piece.data.count(b"x") for piece in log.entries)
    assert reader.gaps == []


def test_backlog_from_before_the_follow_stream_is_not_skipped(monkeypatch: pytest.MonkeyPatch) -> None:
    """A follow stream's first line is later than all before, and yet does not follow it."""
    monkeypatch.setattr(api_source, "MUCH_LINES", 10)
    log = FakeLog([("write", 300), ("end", 0)])
    reader = Reader(log, rotates=False)
    asked = log.logs

    def lose_before_following(container: str, *, follow: bool, tail: int | None = None, since: int = 0) -> FakeResponse:
        if follow and tail is not None and not log.acts:
            log.acts = [("lose", 100), ("end", 0)]
            log.act()
        return asked(container, follow=follow, tail=tail, since=since)

    monkeypatch.setattr(log, "logs", lose_before_following)
    assert reader.read().numbers == list(range(log.written))
    assert log.written > 300


@pytest.mark.parametrize(("lines", "every_s", "rests"), [(149, 0.1, 20), (150, 0.1, 0), (150, 1.5, 0), (10, 0.3, 20)])
def test_followed_log_pauses_while_little_arrives(lines: int, every_s: float, rests: int) -> None:
    """A busy log is not read line by line; a burst must not make the engine wait."""
    log = FakeLog([act for _ in range(20) for act in (("calm", 0), ("write", lines))])
    log.calm_s = every_s
    reader = Reader(log, rotates=False)
    reader.source._requests._closed = waits = WaitRecorder()
    with without_waits(log, rest_s=0.25):
        reader.read_on()
    assert waits.asked.count(0.25) == rests
    assert reader.numbers == list(range(20 * lines))


def test_followed_log_pauses_again_a_while_after_a_burst() -> None:
    """Not at once: the next read of a burst brings little, as the one before was recent."""
    log = FakeLog([("write", 200), *[act for _ in range(8) for act in (("calm", 0), ("write", 1))]])
    log.calm_s = 0.25
    reader = Reader(log, rotates=False)
    reader.source._requests._closed = waits = WaitRecorder()
    with without_waits(log, rest_s=0.125):
        reader.read_on()
    assert waits.asked.count(0.125) == 5


@pytest.mark.parametrize(("act", "longest"), [(("write", 1), 0.125), (("calm", 0), 1.0)])
def test_log_that_gave_something_is_soon_followed_again(
    monkeypatch: pytest.MonkeyPatch, act: Act, longest: float
) -> None:
    """An engine that ends its streams at once is asked less often only while it gives nothing."""
    log = FakeLog([("write", 1), *[step for _ in range(20) for step in (act, act, act, ("end", 0))]])
    reader = Reader(log, rotates=False)
    reader.source._jitter = lambda: 1.0
    reader.source._requests._closed = waits = WaitRecorder()
    with without_waits(log):
        monkeypatch.setattr(api_source, "_FOLLOW_AGAIN", Backoff(0.125, 1.0))
        reader.read_on()
    assert max(wait for wait in waits.asked if wait is not None) == longest
    assert reader.numbers == list(range(log.written))


def test_large_log_resumes_at_its_end_without_rereading() -> None:
    """Docker case 23: a returning agent requests a tail."""
    log = FakeLog([("write", 20_000)])
    before = Reader(log, rotates=False).read()
    log.served = 0
    log.acts = [("write", 5)]
    after = Reader(log, rotates=False, cursor=before.cursors[-1]).read()
    assert after.numbers == list(range(20_000, 20_005))
    assert log.served < 3_000


@pytest.mark.parametrize("behind", [0, 1, 7, 300, 3_000])
def test_damaged_log_is_read_on_behind_the_damage(behind: int) -> None:
    """Docker case 16: a read across the damage ends in front of it; the longest tail behind it does not."""
    log = FakeLog([("write", 40), ("end", 0), ("damage", 0), ("write", behind)])
    reader = Reader(log, rotates=False).read()
    assert reader.numbers == list(range(40 + behind))


@pytest.mark.parametrize("behind", [1, 7, 300])
def test_returning_agent_reads_behind_new_damage(behind: int) -> None:
    """The damaged record is lost; one gap says so."""
    log = FakeLog([("write", 40)])
    before = Reader(log, rotates=False).read()
    log.acts = [("write", 2), ("damage", 0), ("write", behind)]
    while log.acts:
        log.act()
    log.acts = [("end", 0), ("write", 3), ("end", 0), ("write", 3)]
    after = Reader(log, rotates=False, cursor=before.cursors[-1]).read()
    assert after.numbers == [40, 41, *range(43, 42 + behind + 6)]
    assert [gap.reason for gap in after.gaps] == ["corrupt"]


def test_stalled_stream_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Docker case 3: after a rotation it gives nothing and does not end; the log continues."""
    monkeypatch.setattr(log_follow, "_LIVENESS_S", 0.01)
    log = FakeLog([("write", 3), ("lose", 5), ("stall", 0), ("write", 2)])
    reader = Reader(log, rotates=False).read()
    assert reader.numbers == list(range(10))
    assert reader.gaps == []


def test_unreadable_log_is_requested_once() -> None:
    """Docker case 14: the notice is reported, and no news causes another request."""
    log = FakeLog([])
    asked: list[bool] = []

    def refuse(container: str, *, follow: bool, tail: int | None = None, since: int = 0) -> None:
        asked.append(follow)
        raise LogsUnreadableError("configured logging driver does not support reading")

    log.logs = refuse  # type: ignore[assignment, method-assign]
    reader = Reader(log, rotates=False).read().read().read()
    assert [decode_event(text).event for _, text in reader.entries] == ["notice"]
    assert asked == [True]
    assert reader.source.name == "none"


def test_line_older_than_the_other_streams_last_is_no_repeat() -> None:
    """Docker case 9: under contention stderr's lines may come ten lines late."""
    log = FakeLog([])
    late = LogFragment("e", START + 5_000, b"late\n")
    log.entries = [*log.copier.write("o", b"line 0\n"), LogFragment("o", START + 9_000, b"line 1\n"), late]
    reader = Reader(log, rotates=False).read()
    assert reader.entries == [("o", "line 0"), ("o", "line 1"), ("e", "late")]
    after = Reader(log, rotates=False, cursor=reader.cursors[1]).read()
    assert after.entries == [("e", "late")]


def test_log_already_full_at_the_first_read_reports_a_possibly_missing_beginning() -> None:
    """A late reader cannot know what was rotated away, only that something may have been."""
    log = FakeLog([("write", 100), ("rotate", 40)])
    while log.acts:
        log.act()
    whole = FakeLog([("write", 3), ("write", 100)])
    for fake, told in ((log, 1), (whole, 0)):
        reader = Reader(fake, rotates=True, born_below=4_000).read()
        assert len(reader.gaps) == told
    (gap,) = Reader(log, rotates=True, born_below=4_000).read().gaps
    assert (gap.start, gap.end) == (None, log.entries[40].stamp // 1_000)


@pytest.mark.parametrize("rotates", [False, True])
@pytest.mark.parametrize("between", ["end", "calm", "fail"])
def test_fragments_of_a_very_long_line_are_distinguished(between: str, rotates: bool) -> None:
    """They are all equal, with one timestamp; a tail may begin at any of them."""
    log = FakeLog(
        [("write", 3), ("long", 200), (between, 0), ("lose_long", 90), ("end", 0), ("long", 60), ("write", 2)]
    )
    reader = Reader(log, rotates=rotates).read()
    texts = [text for _, text in reader.entries]
    assert texts[3:-1] == ["x" * 16_384] * 350 + ["line 3"]
    assert texts[:3] + texts[-1:] == ["line 0", "line 1", "line 2", "line 4"]


@pytest.mark.parametrize("rotates", [False, True])
def test_tail_starting_within_the_open_line_is_recognised_by_its_time(
    rotates: bool,
) -> None:
    """The clock was set back: earlier lines of the tail have later times, so the line would seem to begin there."""
    log = FakeLog([("write", 1), ("long", 3)])
    reader = Reader(log, rotates=rotates).read()
    log.acts = [("step", 40), ("write", 1)]
    while log.acts:
        log.act()
    reader.read()
    assert reader.gaps == []
    expected = [piece.data.decode().removesuffix("\n") for piece in log.entries]
    assert [text for _, text in reader.entries] == expected


pieces = st.one_of(
    st.tuples(st.sampled_from(["write", "lose", "long", "lose_long", "step", "repeat"]), st.integers(1, 60)),
    st.tuples(st.sampled_from(["calm", "end", "fail", "break"]), st.just(0)),
)


@given(
    first=st.sampled_from(["write", "long"]),
    script=st.lists(pieces, max_size=15),
    rotates=st.booleans(),
    replays=st.booleans(),
)
@example(first="write", script=[("long", 3), ("repeat", 2)], rotates=True, replays=True)
@example(first="write", script=[("long", 3), ("write", 1), ("repeat", 1)], rotates=True, replays=True)
@example(first="write", script=[("long", 1), ("lose_long", 2), ("long", 1)], rotates=True, replays=True)
@example(first="long", script=[("long", 120)], rotates=True, replays=True)
@settings(max_examples=200, deadline=None)
def test_no_fragment_of_an_open_line_is_repeated_or_missing(
    first: str, script: list[Act], rotates: bool, replays: bool
) -> None:
    """Engines before 23.0 omit some and repeat others as the log rotates."""
    never = set() if rotates else {"lose"}
    if not (rotates and replays):
        never |= {"lose_long", "step", "repeat"}
    log = FakeLog([(first, 1), *(act for act in script if act[0] not in never), ("write", 1)])
    reader = Reader(log, rotates=rotates, replays=replays).read()
    assert reader.gaps == []
    expected = [piece.data.decode().removesuffix("\n") for piece in log.entries]
    assert sorted(text for _, text in reader.entries) == sorted(expected)


@given(st.integers(0, 30), st.integers(0, 30), st.lists(acts.filter(lambda act: act[0] != "repeat"), max_size=10))
@settings(max_examples=60, deadline=None)
def test_no_read_line_is_read_again_if_only_its_latest_time_is_known(read: int, unread: int, script: list[Act]) -> None:
    """Even if nothing is new, and the log is requested repeatedly.

    An engine that repeats lines compares each with the time as well, which the fake one does not.
    """
    log = FakeLog([("write", read + unread)] if read + unread else [])
    log.act()
    after = log.entries[read - 1].stamp if read else START
    log.acts = [("write", 1), *script] if script else []
    reader = Reader(log, rotates=True, cursor=f"1|t={after}").read()
    assert len(reader.numbers) == len(set(reader.numbers)), "none twice"
    assert min(reader.numbers, default=read) >= read
    missing = set(range(read, log.written)) - set(reader.numbers)
    assert not missing & set(range(log.first, log.written))


def raw(piece: LogFragment) -> bytes:
    """Return the text as a TTY's log has it."""
    return format_stamp(piece.stamp).encode() + b" " + piece.data


def summer(piece: LogFragment) -> bytes:
    """Return frames of an engine in Amsterdam that wrote the first half in summer and the others in winter."""
    hours = 2 if piece.stamp < START + 3_000 else 1
    payload = (
        format_stamp(piece.stamp + hours * 3_600 * 10**9).encode().replace(b"Z", b"+%02d:00 " % hours) + piece.data
    )
    return bytes([1, 0, 0, 0]) + len(payload).to_bytes(4, "big") + payload


def log_of(*texts: bytes, form: Callable[[LogFragment], bytes] = frame) -> FakeLog:
    """Return a log that was written before anybody read it."""
    log = FakeLog([])
    log.form = form
    log.entries = [LogFragment("o", START + number * 1_000, text) for number, text in enumerate(texts)]
    return log


@pytest.mark.parametrize("rotates", [True, False])
def test_terminal_restarting_on_a_prompt_is_read_once_from_every_cursor(rotates: bool) -> None:
    """Each line at its own time, no gap, wherever the agent was restarted."""
    texts = [b"one\r\n", b"root@box:/# ", b"one\r\n", b"root@box:/# ", b"root@box:/# ", b"two\r\n", b"$ "]
    wanted = [("o", text.decode().removesuffix("\n")) for text in texts]
    first = Reader(log_of(*texts, form=raw), rotates=rotates, tty=True).read()
    assert (first.entries, first.times) == (wanted, [START // 1_000 + number for number in range(len(texts))])
    for number, cursor in enumerate(first.cursors):
        again = Reader(log_of(*texts, form=raw), rotates=rotates, tty=True, cursor=cursor).read()
        assert again.entries == wanted[number + 1 :]


@pytest.mark.parametrize("rotates", [True, False])
def test_engine_with_a_changing_time_zone_is_read_once_from_every_cursor(rotates: bool) -> None:
    """Also from a cursor from the time when it wrote UTC."""
    texts = [b"line %d\n" % number for number in range(6)]
    first = Reader(log_of(*texts), rotates=rotates).read()
    there = Reader(log_of(*texts, form=summer), rotates=rotates).read()
    assert (there.entries, there.times, there.cursors) == (first.entries, first.times, first.cursors)
    for number, cursor in enumerate(first.cursors):
        again = Reader(log_of(*texts, form=summer), rotates=rotates, cursor=cursor).read()
        assert again.entries == first.entries[number + 1 :]
