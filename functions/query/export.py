"""Writes a job's log as text or as JSON lines, in pages."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final, Literal

from logferry_protocol.batch import CONTINUATIONS, STREAM_OF, decode_body
from logferry_protocol.limits import MIN_CONTINUED_BYTES
from runtime.answer_size import MAX_TEXT_BYTES, encoded_bytes, to_json

Format = Literal["text", "jsonl"]
Row = tuple[int, int, str, str]
"""Sequence, time in microseconds, stream character, text."""

CONTENT_TYPES: Final[dict[Format, str]] = {
    "text": "text/plain; charset=utf-8",
    "jsonl": "application/jsonl; charset=utf-8",
}

PAGE_RAW_BYTES: Final = 2_000_000
"""About so many bytes of text make a page, with `ROW_BYTES` for each entry."""

ROW_BYTES: Final = 64

NEWLINE_BYTES: Final = 2
"""Bytes of the end of a line in an answer."""

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
        yield to_json(entry) + "\n"


@dataclass(slots=True)
class _Line:
    first: int
    last: int
    """The sequences of its first and last fragment."""
    fragments: list[str]
    open: bool


@dataclass(slots=True)
class TextLines:
    """Joins entries to whole lines of stdout and stderr, in the order of their first entries.

    A line that may continue in a later batch is held back together with all lines after it. The next page starts with
    it, so nothing appears twice and no line is split.
    """

    size: int = 0
    """Bytes of all lines in an answer."""
    _lines: list[_Line] = field(default_factory=list)
    _last: dict[str, _Line] = field(default_factory=dict)
    _sequence: int = 0

    def add(self, row: Row) -> None:
        """Add the next row."""
        self._sequence, _time, character, text = row
        stream = STREAM_OF[character]
        if stream == "system":
            return
        self.size += encoded_bytes(text)
        long = len(text.encode()) >= MIN_CONTINUED_BYTES
        line = self._last.get(stream)
        if character in CONTINUATIONS and line is not None:
            line.fragments.append(text)
            line.last, line.open = self._sequence, long
            return
        if line is not None:
            line.open = False
        self._last[stream] = line = _Line(self._sequence, self._sequence, [text], long)
        self._lines.append(line)
        self.size += NEWLINE_BYTES

    def take(self, *, at_end: bool) -> tuple[str, int]:
        """Return the text of all whole lines, and the sequence after which the next page starts.

        Args:
            at_end: whether nothing more is stored, or the page has to end here, within a line if need be.
        """
        cut = len(self._lines) if at_end else self._whole()
        resume = self._sequence if cut == len(self._lines) else self._lines[cut].first - 1
        return "".join("".join(line.fragments) + "\n" for line in self._lines[:cut]), resume

    def _whole(self) -> int:
        """Return how many lines are whole, and have no fragment after the line that follows them."""
        cut = last = 0
        for index, line in enumerate(self._lines):
            if last < line.first:
                cut = index
            if line.open:
                return cut
            last = max(last, line.last)
        return len(self._lines)


@dataclass(frozen=True, slots=True)
class ExportPage:
    """A page of a log. `resume` is the sequence after which the next page starts, or None at the end."""

    format: Format
    text: str
    resume: int | None


Batches = Iterable[tuple[int, int, bytes]]
"""First sequence, raw bytes and body of the batches with entries after `after`, ascending."""


def page(job: str, form: Format, batches: Batches, *, after: int, most: int) -> ExportPage:
    """Return a page of about `most` bytes. Every page holds at least one entry, and fits into Lambda's answer.

    An entry needs at most 196,608 bytes of `MAX_TEXT_BYTES` (16,384 characters that take 12 each), and a whole batch of
    the worst kind 4.7 MB.

    Args:
        job: the job's id.
        form: the format.
        batches: the stored batches.
        after: the last sequence that the reader has.
        most: where the page ends. A line that continues is kept whole for up to `PAGE_RAW_BYTES` more, and split there.
    """
    write = _jsonl_page if form == "jsonl" else _text_page
    return ExportPage(form, *write(job, batches, after, most))


def _jsonl_page(job: str, batches: Batches, after: int, most: int) -> tuple[str, int | None]:
    parts, size, answer, resume = list[str](), 0, 0, after
    for first, raw, body in batches:
        if size >= most:
            return "".join(parts), resume
        columns = decode_body(body)
        rows = [row for row in columns.rows(first) if row[0] > after]
        lines = list(jsonl(job, rows))
        cost = encoded_bytes("".join(lines))
        if answer + cost > MAX_TEXT_BYTES:
            for row, line in zip(rows, lines, strict=True):
                answer += encoded_bytes(line)
                if parts and answer > MAX_TEXT_BYTES:
                    return "".join(parts), resume
                parts.append(line)
                resume = row[0]
            continue
        parts += lines
        answer += cost
        size += raw + ROW_BYTES * len(rows)
        resume = first + len(columns) - 1
    return "".join(parts), None


def _text_page(_job: str, batches: Batches, after: int, most: int) -> tuple[str, int | None]:
    lines, size = TextLines(), 0
    for first, raw, body in batches:
        if size >= most:
            text, whole = lines.take(at_end=size >= most + PAGE_RAW_BYTES)
            if whole > after:
                return text, whole
        rows = [row for row in decode_body(body).rows(first) if row[0] > after]
        for row in rows:
            if lines.size + encoded_bytes(row[3]) + NEWLINE_BYTES > MAX_TEXT_BYTES:
                text, whole = lines.take(at_end=False)
                return (text, whole) if whole > after else lines.take(at_end=True)
            lines.add(row)
        size += raw + ROW_BYTES * len(rows)
    return lines.take(at_end=True)[0], None
