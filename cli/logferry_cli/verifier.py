"""Check a stored job batch by batch. This is pure: the command `verify` reads and prints."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from logferry_cli.reader import Damaged
from logferry_protocol.batch import CONTINUATIONS, STREAM_OF, Columns, decode_body
from logferry_protocol.encoding import digest_of
from logferry_protocol.errors import BatchError
from logferry_protocol.events import Gap, Notice, decode_event
from logferry_protocol.limits import MIN_CONTINUED_BYTES
from logferry_protocol.messages import BatchFacts

MAX_PROBLEMS: Final = 100
"""Further problems are counted only: the first ones show what is wrong."""


@dataclass(frozen=True, slots=True)
class FoundGap:
    """A gap entry of the job, and its sequence."""

    sequence: int
    gap: Gap


MAY_LACK: Final = frozenset({"unreadable", "end_unverified", "non_blocking", "left_out"})
"""Codes of the notices that say that lines are or may be missing, uncounted."""


@dataclass(frozen=True, slots=True)
class FoundNotice:
    """A notice that lines may be missing, and its sequence."""

    sequence: int
    notice: Notice


@dataclass(slots=True)
class Report:
    """The result of a verification."""

    entries: int = 0
    batches: int = 0
    raw: int = 0
    """UTF-8 bytes of the texts."""
    stored: int = 0
    """Bytes of the bodies as stored."""
    first: int | None = None
    last: int = 0
    streams: dict[str, int] = field(default_factory=lambda: {"stdout": 0, "stderr": 0, "system": 0})
    gaps: list[FoundGap] = field(default_factory=list)
    notices: list[FoundNotice] = field(default_factory=list)
    """Notices with a code of `MAY_LACK`."""
    steps_back: int = 0
    """Entries with a time before that of the previous entry of their stream. Clocks do that; it is not an error."""
    problems: list[str] = field(default_factory=list)
    more_problems: int = 0

    @property
    def sound(self) -> bool:
        """Whether nothing is wrong. Gaps are not problems: a sound log reports with them what it could not get."""
        return not self.problems


class Verifier:
    """Checks a job's batches in the order of their sequences."""

    def __init__(self) -> None:
        self.report = Report()
        self._times: dict[str, int] = {}
        self._continuable: dict[str, bool] = {"stdout": False, "stderr": False}

    def add(self, batch: BatchFacts | Damaged) -> None:
        """Check one more batch."""
        report = self.report
        self._check_place(batch)
        report.batches += 1
        if isinstance(batch, Damaged):
            report.last = max(report.last, batch.last)
            self._problem(f"batch {batch.first}: it cannot be read ({batch.detail})")
            return
        report.stored += len(batch.body)
        report.last = max(report.last, batch.last)
        if digest_of(batch.body) != batch.digest:
            self._problem(f"batch {batch.first}: its bytes do not match its digest")
            return
        try:
            columns = decode_body(batch.body)
        except BatchError as error:
            self._problem(f"batch {batch.first}: {error}")
            return
        self._check_facts(batch, columns)
        for sequence, time, character, text in columns.rows(batch.first):
            self._check_entry(sequence, time, character, text)

    def end(self, tip: int) -> Report:
        """Finish: no batch follows, and the job's tip is `tip`."""
        if self.report.last < tip:
            self._problem(f"entries {self.report.last + 1} to {tip} are missing at the end")
        return self.report

    def _check_place(self, batch: BatchFacts | Damaged) -> None:
        report = self.report
        if report.first is None:
            # Retention removes a job's beginning, so the rest begins anywhere.
            report.first = batch.first
        elif batch.first > report.last + 1:
            self._problem(f"entries {report.last + 1} to {batch.first - 1} are missing")
        elif batch.first <= report.last:
            self._problem(f"batch {batch.first} repeats entries up to {min(report.last, batch.last)}")

    def _check_facts(self, batch: BatchFacts, columns: Columns) -> None:
        raw = sum(len(text.encode()) for text in columns.texts)
        for name, said, found in (
            ("count", batch.count, len(columns)),
            ("raw", batch.raw, raw),
            ("start", batch.start, min(columns.times)),
            ("end", batch.end, max(columns.times)),
        ):
            if said != found:
                self._problem(f"batch {batch.first}: {name} says {said}, its entries {found}")
        self.report.raw += raw

    def _check_entry(self, sequence: int, time: int, character: str, text: str) -> None:
        report = self.report
        stream = STREAM_OF[character]
        report.entries += 1
        report.streams[stream] += 1
        if time < self._times.get(stream, time):
            report.steps_back += 1
        self._times[stream] = time
        if stream == "system":
            event = decode_event(text)
            if isinstance(event, Gap):
                report.gaps.append(FoundGap(sequence, event))
            elif isinstance(event, Notice) and event.code in MAY_LACK:
                report.notices.append(FoundNotice(sequence, event))
            return
        # Where retention removed the beginning, the first fragment may continue what is no longer kept.
        if character in CONTINUATIONS and not self._continuable[stream] and report.first == 1:
            self._problem(f"entry {sequence} goes on with a line that was complete")
        self._continuable[stream] = len(text.encode()) >= MIN_CONTINUED_BYTES

    def _problem(self, sentence: str) -> None:
        if len(self.report.problems) < MAX_PROBLEMS:
            self.report.problems.append(sentence)
        else:
            self.report.more_problems += 1
