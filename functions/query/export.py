"""Writes a job's log as text or as JSON lines, in pages."""

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
"""Approximate bytes of text in a page. With JSON around each line and base64 it stays below Lambda's 6 MB."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def timestamp(us: int) -> str:
    """Return a time in RFC 3339, UTC, with microseconds."""
    return (_EPOCH + timedelta(microseconds=us)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def jsonl(job: str, rows: Iterable[Row]) -> Iterator[str]:
    """Yield one JSON object for each entry, as a line."""
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
    fragments: list[str]
    open: bool


@dataclass(slots=True)
class TextLines:
    """Joins entries to whole lines of stdout and stderr, in the order of their first entries.

    A line that may continue in a later batch is held back together with all lines after it. The next page starts with
    it, so nothing appears twice and no line is split.
    """

    _lines: list[_Line] = field(default_factory=list)
    _last: dict[str, _Line] = field(default_factory=dict)
    _sequence: int = 0

    def add(self, rows: Iterable[Row]) -> None:
        """Add the rows of the next batch."""
        for sequence, _time, character, text in rows:
            self._sequence = sequence
            stream = STREAM_OF[character]
            if stream == "system":
                continue
            long = len(text.encode()) >= MIN_CONTINUED_BYTES
            line = self._last.get(stream)
            if character in CONTINUATIONS and line is not None:
                line.fragments.append(text)
                line.open = long
                continue
            if line is not None:
                line.open = False
            self._last[stream] = line = _Line(sequence, [text], long)
            self._lines.append(line)

    def take(self, *, at_end: bool) -> tuple[str, int]:
        """Return the text of all whole lines, and the sequence after which the next page starts.

        Args:
            at_end: whether nothing more is stored.
        """
        cut = None if at_end else next((index for index, line in enumerate(self._lines) if line.open), None)
        whole = self._lines if cut is None else self._lines[:cut]
        resume = self._sequence if cut is None else self._lines[cut].first - 1
        return "".join("".join(line.fragments) + "\n" for line in whole), resume


@dataclass(frozen=True, slots=True)
class ExportPage:
    """A page of a log. `resume` is the sequence after which the next page starts, or None at the end."""

    format: Format
    text: str
    resume: int | None


def page(job: str, form: Format, batches: Iterable[tuple[int, int, bytes]], *, after: int, most: int) -> ExportPage:
    """Return a page of about `most` bytes.

    Args:
        job: the job's id.
        form: the format.
        batches: first sequence, raw bytes and body of the batches with entries after `after`, ascending.
        after: the last sequence that the reader has.
        most: where the page ends. A line that continues is kept whole for up to `PAGE_RAW_BYTES` more, and split there.
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
