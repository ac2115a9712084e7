"""A job's log as text or as JSON lines, in pages."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final, Literal

from logferry_protocol.batch import CONTINUATIONS, STREAM_OF, decode_body
from logferry_protocol.limits import MIN_CONTINUED_BYTES

Format = Literal["text", "jsonl"]
Row = tuple[int, int, str, str]
"""Sequence, time in microseconds, stream character, text."""

CONTENT_TYPES: Final[dict[Format, str]] = {
    "text": "text/plain; charset=utf-8",
    "jsonl": "application/jsonl; charset=utf-8",
}

PAGE_RAW_BYTES: Final = 2_000_000
"""Text bytes in a page, about: with JSON around each line and base64 around the whole it stays below Lambda's 6 MB."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def timestamp(us: int) -> str:
    """RFC 3339 in UTC with microseconds."""
    return (_EPOCH + timedelta(microseconds=us)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def jsonl(job: str, rows: Iterable[Row]) -> Iterator[str]:
    """One JSON object a line and entry."""
    for sequence, time, character, text in rows:
        entry = {
            "jobId": job,
            "timestamp": timestamp(time),
            "stream": STREAM_OF[character],
            "line": text,
            "sequence": sequence,
        }
        yield json.dumps(entry, ensure_ascii=False, separators=(",", ":")) + "\n"


@dataclass(slots=True)
class _Line:
    first: int
    pieces: list[str]
    open: bool


@dataclass(slots=True)
class TextLines:
    """Whole lines of stdout and stderr, continuation entries joined, in the order of their first entries.

    An entry that may go on in a batch not seen yet is held back with all that comes after it: the next page begins with
    it, so nothing is given twice and no line is cut in two.
    """

    _lines: list[_Line] = field(default_factory=list)
    _last: dict[str, _Line] = field(default_factory=dict)
    _sequence: int = 0

    def add(self, rows: Iterable[Row]) -> None:
        """Takes the rows of the next batch."""
        for sequence, _time, character, text in rows:
            self._sequence = sequence
            stream = STREAM_OF[character]
            if stream == "system":
                continue
            long = len(text.encode()) >= MIN_CONTINUED_BYTES
            line = self._last.get(stream)
            if character in CONTINUATIONS and line is not None:
                line.pieces.append(text)
                line.open = long
                continue
            if line is not None:
                line.open = False
            self._last[stream] = line = _Line(sequence, [text], long)
            self._lines.append(line)

    def take(self, *, at_end: bool) -> tuple[str, int]:
        """The text of all whole lines, and the sequence after which to go on. `at_end`: nothing more is stored."""
        cut = None if at_end else next((index for index, line in enumerate(self._lines) if line.open), None)
        whole = self._lines if cut is None else self._lines[:cut]
        resume = self._sequence if cut is None else self._lines[cut].first - 1
        return "".join("".join(line.pieces) + "\n" for line in whole), resume


@dataclass(frozen=True, slots=True)
class ExportPage:
    """A page of a log; `resume` is the sequence after which the next begins, None at the end of what is stored."""

    format: Format
    text: str
    resume: int | None


def page(job: str, form: Format, batches: Iterable[tuple[int, int, bytes]], *, after: int, most: int) -> ExportPage:
    """A page of about `most` bytes.

    Args:
        job: its id.
        form: what is wanted.
        batches: first sequence, raw bytes and body of the batches with entries after `after`, ascending.
        after: the last sequence that the reader has.
        most: where the page ends; a line that goes on is carried whole up to `PAGE_RAW_BYTES` more, and cut there.
    """
    lines, parts, size, resume = TextLines(), list[str](), 0, after
    for first, raw, body in batches:
        if size >= most:
            if form == "jsonl":
                return ExportPage(form, "".join(parts), resume)
            text, whole = lines.take(at_end=size >= most + PAGE_RAW_BYTES)
            if whole > after:
                return ExportPage(form, text, whole)
        columns = decode_body(body)
        rows = [row for row in columns.rows(first) if row[0] > after]
        size += raw + 64 * len(rows)
        resume = first + len(columns) - 1
        if form == "jsonl":
            parts.extend(jsonl(job, rows))
        else:
            lines.add(rows)
    return ExportPage(form, "".join(parts) if form == "jsonl" else lines.take(at_end=True)[0], None)
