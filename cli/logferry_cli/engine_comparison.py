"""Compare what an engine still has of a log with what is stored of it, line by line. This is pure.

Theory of operation. Both sides have the lines of each stream in the same order, each with the engine's time. So two
equal heads are one line. When they differ, the side whose head is found further on in the other side has not lost it:
the lines before it there have no counterpart. When neither is found, equal times mean that the line was changed, and
otherwise the earlier line has no counterpart.

To look further on, each side holds up to `LOOKAHEAD` lines. The caller adds lines while a side is not full, then calls
`advance`. A line of a merged entry has no time of its own, except the first.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import takewhile
from typing import Final, Generic, Literal, TypeVar

from logferry_cli.line_joiner import LineJoiner
from logferry_protocol.batch import Columns
from logferry_protocol.events import Gap, decode_event, describe

LOOKAHEAD: Final = 20_000
"""Lines that each side holds. A run of unmatched lines may be longer: then the times decide."""

MAX_EXAMPLES: Final = 20
"""Runs of each kind of difference that are kept as examples. Further ones are counted only."""

EXAMPLE_CHARS: Final = 200
LINE_CHARS: Final = 1_048_576
"""A longer line is compared in parts."""

REDACTED: Final = "[redacted]"
"""What the agent writes in place of a secret."""

Name = Literal["stdout", "stderr"]
STREAMS: Final[tuple[Name, ...]] = ("stdout", "stderr")


@dataclass(slots=True)
class LineRun:
    """Consecutive lines of one stream without a counterpart. Times are in microseconds."""

    stream: str
    start: int
    end: int
    lines: int
    after: int
    """The last stored sequence of the stream before them, or the sequence of the first if they are stored."""
    text: str
    """The beginning of the first line."""


@dataclass(frozen=True, slots=True)
class ChangedLine:
    """A line that is stored with another text. Both texts are shortened."""

    stream: str
    time: int
    sequence: int
    engine: str
    stored: str


@dataclass(slots=True)
class Differences:
    """What the comparison found. Times are in microseconds."""

    equal: dict[str, int] = field(default_factory=lambda: dict.fromkeys(STREAMS, 0))
    """Lines that are equal on both sides."""
    redacted: int = 0
    """Lines that differ in what the agent redacted only."""
    merged: int = 0
    """Lines that are stored in one entry with the line before them."""
    explained: dict[str, int] = field(default_factory=dict)
    """Lines that are not stored, and for which the job has a gap, by its sentence."""
    engine_start: int | None = None
    """The time of the first line that the engine still has."""
    engine_end: int | None = None
    rotated: int = 0
    """Stored lines that the engine no longer has: they are older than its first line."""
    older: int = 0
    """Lines of the engine before the job's first stored line."""
    newer: int = 0
    """Stored lines that were written after the engine was read."""
    missing: list[LineRun] = field(default_factory=list)
    extra: list[LineRun] = field(default_factory=list)
    changed: list[ChangedLine] = field(default_factory=list)
    missing_lines: int = 0
    extra_lines: int = 0
    changed_lines: int = 0
    unstored: int = 0
    """Lines of the engine after the job's last stored line; they are among the missing ones."""

    @property
    def same(self) -> bool:
        """Whether everything that both sides should have is the same."""
        return not (self.missing_lines or self.extra_lines or self.changed_lines)


@dataclass(frozen=True, slots=True)
class _Reason:
    """Why lines are missing in a place, and from when to when."""

    sentence: str
    start: int | None = None
    end: int | None = None

    def covers(self, time: int) -> bool:
        return (self.start is None or self.start <= time) and (self.end is None or time <= self.end)


@dataclass(frozen=True, slots=True)
class _EngineLine:
    time: int
    text: str

    @property
    def key(self) -> tuple[int, str]:
        return self.time, self.text


@dataclass(frozen=True, slots=True)
class _StoredLine:
    time: int | None
    """None for the further lines of a merged entry."""
    text: str
    sequence: int
    written: int
    """The time of its entry."""
    reason: _Reason | None = None
    """Not a line, but why lines are missing here."""

    @property
    def key(self) -> tuple[int | None, str]:
        return self.time, self.text


def is_redacted(stored: str, engine: str) -> bool:
    """Return whether a stored text is the engine's with parts of it redacted."""
    first, *rest = stored.split(REDACTED)
    if not rest or not engine.startswith(first):
        return False
    at = len(first)
    for part in rest[:-1]:
        found = engine.find(part, at)
        if found < 0:
            return False
        at = found + len(part)
    return engine.endswith(rest[-1]) and len(engine) - len(rest[-1]) >= at


_Line = TypeVar("_Line", _EngineLine, _StoredLine)


class _Side(Generic[_Line]):
    """The lines of one side and stream that wait for their counterparts, and how often each occurs."""

    def __init__(self) -> None:
        self.lines: deque[_Line] = deque()
        self._keys: Counter[object] | None = None

    def add(self, line: _Line) -> None:
        self.lines.append(line)
        if self._keys is not None:
            self._keys[line.key] += 1

    def pop(self) -> None:
        line = self.lines.popleft()
        if self._keys is not None:
            self._keys[line.key] -= 1
            if not self._keys[line.key]:
                del self._keys[line.key]  # or the counts of a long log would fill the memory

    def has(self, line: _EngineLine | _StoredLine) -> bool:
        """Return whether an equal line waits here. The first call counts them all."""
        if self._keys is None:
            self._keys = Counter(one.key for one in self.lines)
        return self._keys[line.key] > 0


class _Stream:
    """Compares one stream."""

    def __init__(self, name: Name, found: Differences) -> None:
        self.name, self._found = name, found
        self.engine, self.stored = _Side[_EngineLine](), _Side[_StoredLine]()
        self.first_stored: int | None = None
        """The time of the job's first stored line, of any stream."""
        self._sequence = 0
        self._reasons: list[_Reason] = []
        """Those between the last line with a counterpart and the next."""
        self._matched = False
        self._run: LineRun | None = None
        self._kind = ""

    def advance(self, *, decide: bool) -> bool:
        """Compare heads as long as possible; return whether any was compared.

        Args:
            decide: whether enough lines wait to decide what two different heads mean.
        """
        before = len(self.engine.lines) + len(self.stored.lines)
        while self.stored.lines:
            stored = self.stored.lines[0]
            if stored.reason:
                self._reasons.append(stored.reason)
                self.stored.pop()
                continue
            if not self.engine.lines:
                break
            engine = self.engine.lines[0]
            same_time = stored.time is None or stored.time == engine.time
            if same_time and stored.text == engine.text:
                self._found.equal[self.name] += 1
                self._pair(stored)
            elif same_time and is_redacted(stored.text, engine.text):
                self._found.redacted += 1
                self._pair(stored)
            elif decide:
                self._decide(engine, stored)
            else:
                break
        return len(self.engine.lines) + len(self.stored.lines) < before

    def _pair(self, stored: _StoredLine) -> None:
        self.engine.pop()
        self.stored.pop()
        self._sequence, self._matched, self._run = stored.sequence, True, None
        self._reasons.clear()

    def _decide(self, engine: _EngineLine, stored: _StoredLine) -> None:
        if stored.time is None:
            entry = takewhile(lambda line: line.sequence == stored.sequence, self.stored.lines)
            if engine.text in (line.text for line in entry):
                self.leave_stored(stored)
            else:
                self._change(engine, stored)
            return
        stored_comes, engine_comes = self.engine.has(stored), self.stored.has(engine)
        if stored_comes != engine_comes:
            engine_is_alone = stored_comes
        elif stored.time == engine.time:
            self._change(engine, stored)
            return
        else:
            engine_is_alone = engine.time < stored.time
        if engine_is_alone:
            self.leave_engine(engine)
        else:
            self.leave_stored(stored)

    def _change(self, engine: _EngineLine, stored: _StoredLine) -> None:
        found = self._found
        found.changed_lines += 1
        if len(found.changed) < MAX_EXAMPLES:
            shown = _around_difference(engine.text, stored.text)
            found.changed.append(ChangedLine(self.name, engine.time, stored.sequence, *shown))
        self._pair(stored)

    def leave_engine(self, line: _EngineLine, *, unstored: bool = False) -> None:
        """Note a line of the engine that is not stored."""
        self.engine.pop()
        found = self._found
        reason = next((reason.sentence for reason in self._reasons if reason.covers(line.time)), None)
        if reason is not None:
            found.explained[reason] = found.explained.get(reason, 0) + 1
        elif not self._matched and self.first_stored is not None and line.time <= self.first_stored:
            found.older += 1
        else:
            found.missing_lines += 1
            found.unstored += unstored
            self._extend("missing", found.missing, line.time, self._sequence, line.text)

    def leave_stored(self, line: _StoredLine, *, snapshot: int | None = None) -> None:
        """Note a stored line that the engine does not have.

        Args:
            line: the line.
            snapshot: when the engine was read, if no line of the engine follows.
        """
        self.stored.pop()
        found = self._found
        if found.engine_start is None or (not self._matched and line.written <= found.engine_start):
            found.rotated += 1
        elif snapshot is not None and line.written >= snapshot:
            found.newer += 1
        else:
            found.extra_lines += 1
            self._extend("extra", found.extra, line.written, line.sequence, line.text)
        self._sequence = line.sequence

    def _extend(self, kind: str, runs: list[LineRun], time: int, sequence: int, text: str) -> None:
        if self._run is not None and self._kind == kind:
            self._run.lines += 1
            self._run.end = time
            return
        self._kind, self._run = kind, LineRun(self.name, time, time, 1, sequence, text[:EXAMPLE_CHARS])
        if len(runs) < MAX_EXAMPLES:
            runs.append(self._run)


class Comparison:
    """Compares both streams of a job."""

    def __init__(self, snapshot: int, lookahead: int = LOOKAHEAD) -> None:
        """Start.

        Args:
            snapshot: when the engine is read, by its clock, in microseconds. Later stored lines may not be in it.
            lookahead: lines that each side holds.
        """
        self.found = Differences()
        self.compared = 0
        """Lines of the engine that were read."""
        self._snapshot, self._lookahead = snapshot, lookahead
        self._streams: Mapping[str, _Stream] = {name: _Stream(name, self.found) for name in STREAMS}
        self._engine_joiner, self._stored_joiner = LineJoiner(LINE_CHARS), LineJoiner(LINE_CHARS)
        self._engine_ended = self._stored_ended = False
        self._last_stored = 0

    @property
    def engine_full(self) -> bool:
        """Whether enough lines of the engine wait."""
        return sum(len(stream.engine.lines) for stream in self._streams.values()) >= self._lookahead

    @property
    def stored_full(self) -> bool:
        """Whether enough stored lines wait."""
        return sum(len(stream.stored.lines) for stream in self._streams.values()) >= self._lookahead

    def add_engine(self, columns: Columns) -> None:
        """Add entries as the agent makes them of the engine's log."""
        self.compared += len(columns)
        for line in self._engine_joiner.lines(1, columns):
            self._add_engine_line(line.stream, line.time, line.text)

    def end_engine(self) -> None:
        """Note that the engine has nothing more."""
        for line in self._engine_joiner.flush():
            self._add_engine_line(line.stream, line.time, line.text)
        self._engine_ended = True

    def _add_engine_line(self, stream: str, time: int, text: str) -> None:
        found = self.found
        found.engine_start = time if found.engine_start is None else found.engine_start
        found.engine_end = time
        self._streams[stream].engine.add(_EngineLine(time, text))

    def add_stored(self, first: int, columns: Columns) -> None:
        """Add the entries of the next stored batch."""
        for line in self._stored_joiner.lines(first, columns):
            self._add_stored_line(line.stream, line.time, line.text, line.sequence)

    def add_unreadable(self, reason: str) -> None:
        """Note that stored entries cannot be read here."""
        self._add_reason(_Reason(reason))

    def end_stored(self) -> None:
        """Note that nothing more is stored."""
        for line in self._stored_joiner.flush():
            self._add_stored_line(line.stream, line.time, line.text, line.sequence)
        self._stored_ended = True

    def _add_stored_line(self, name: str, time: int, text: str, sequence: int) -> None:
        if name == "system":
            event = decode_event(text)
            if isinstance(event, Gap):
                self._add_reason(_Reason(f"gap at {sequence:,}: {describe(event)}", event.start, event.end))
            return
        self._last_stored = max(self._last_stored, time)
        for stream in self._streams.values():
            stream.first_stored = time if stream.first_stored is None else stream.first_stored
        first, *further = text.split("\n")
        side = self._streams[name].stored
        side.add(_StoredLine(time, first, sequence, time))
        for line in further:
            side.add(_StoredLine(None, line, sequence, time))
        self.found.merged += len(further)

    def _add_reason(self, reason: _Reason) -> None:
        for stream in self._streams.values():
            stream.stored.add(_StoredLine(None, "", 0, 0, reason))

    def advance(self) -> None:
        """Compare what waits, so that at least one side is no longer full if both were, or had ended."""
        engine_ready = self._engine_ended or self.engine_full
        stored_ready = self._stored_ended or self.stored_full
        ready = engine_ready and stored_ready
        advanced = [stream.advance(decide=ready) for stream in self._streams.values()]
        if any(advanced) or not ready:
            return
        # Each head belongs to a stream of which the other side has nothing: it ended, or is full of the other stream.
        alone = [
            *((stream.engine.lines[0].time, stream) for stream in self._streams.values() if stream.engine.lines),
            *((stream.stored.lines[0].written, stream) for stream in self._streams.values() if stream.stored.lines),
        ]
        if not alone:
            return
        _, stream = min(alone, key=lambda pair: pair[0])
        if stream.engine.lines:
            line = stream.engine.lines[0]
            stream.leave_engine(line, unstored=self._stored_ended and line.time > self._last_stored)
        else:
            stream.leave_stored(stream.stored.lines[0], snapshot=self._snapshot if self._engine_ended else None)

    @property
    def waiting(self) -> bool:
        """Whether any line waits for its counterpart."""
        return any(stream.engine.lines or stream.stored.lines for stream in self._streams.values())


def _around_difference(one: str, other: str) -> tuple[str, str]:
    """Return the parts of two texts around the first character in which they differ."""
    same = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))
    begin = max(0, same - EXAMPLE_CHARS // 4)
    return one[begin : begin + EXAMPLE_CHARS], other[begin : begin + EXAMPLE_CHARS]
