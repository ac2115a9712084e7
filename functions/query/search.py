"""Finds lines in a job's log, within budgets: what is not searched in one answer is searched in the next."""

import json
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from logferry_protocol.batch import decode_body
from logferry_protocol.errors import BatchError
from logferry_protocol.limits import MAX_SEQUENCE

from .core import ParameterError, whole_number
from .expression import Expression, TextTooLongError
from .line_assembler import Batch, Line, LineAssembler
from .visible_text import VisibleText, visible_texts

MAX_PATTERN_CHARS: Final = 512

SEARCH_S: Final = 8.0
"""Time of one answer. A line is begun only if, at worst, it is done within `GRACE_S` more."""
GRACE_S: Final = 1.0
SEARCH_RAW_BYTES: Final = 64 * 1024 * 1024
"""Text bytes of one answer."""

MATCHES_DEFAULT: Final = 100
MATCHES_MOST: Final = 1_000
CONTEXT_MOST: Final = 10
UNSEARCHED_MOST: Final = 1_000
ANSWER_BYTES: Final = 3_000_000
"""Bytes of the matches and their context in one answer, as Lambda counts them: JSON within JSON, 6 MB at most.
The last match may come on top, with its context."""

TEXT_CHARS: Final = 65_536
"""Characters of a match's text. Of a longer line the answer has the part around the match."""
TRIES: Final = 50
"""Matches that are passed over because they lie whole in what stands before a part of an endless line."""

CONTEXT_CHARS: Final = 16_384
"""Characters of a line around a match."""


@dataclass(frozen=True, slots=True)
class SearchQuery:
    """What is looked for."""

    expression: Expression
    after: int
    before: int
    limit: int
    context: int

    @classmethod
    def of(cls, query: Mapping[str, str]) -> "SearchQuery":
        """From a query string.

        Raises:
            ParameterError: no pattern, one that RE2 does not take, or a number out of bounds.
        """
        pattern = query.get("q", "")
        if not 1 <= len(pattern) <= MAX_PATTERN_CHARS:
            raise ParameterError(f"q must have 1 to {MAX_PATTERN_CHARS} characters")
        for name in ("regex", "ignore_case"):
            if query.get(name, "0") not in {"0", "1"}:
                raise ParameterError(f"{name} must be 0 or 1")
        return cls(
            Expression.of(pattern, regex=query.get("regex") == "1", ignore_case=query.get("ignore_case") == "1"),
            whole_number(query, "after", 0, 0, MAX_SEQUENCE),
            whole_number(query, "before", MAX_SEQUENCE + 1, 1, MAX_SEQUENCE + 1),
            whole_number(query, "limit", MATCHES_DEFAULT, 1, MATCHES_MOST),
            whole_number(query, "context", 0, 0, CONTEXT_MOST),
        )

    def matches(self, text: str) -> bool:
        """Whether a line would be found, whatever that takes."""
        line = Line(1, 0, "stdout", text)
        return _find(line, visible_texts(text), self.expression, lambda: float("inf")) is not None


def _find(
    line: Line, ways: Sequence[VisibleText], expression: Expression, time_left: Callable[[], float]
) -> int | None:
    """Where in a line the first match begins.

    Args:
        line: it may be a part of an endless line; what stands before it is searched with it.
        ways: the readings of both.
        expression: what is looked for.
        time_left: seconds that a call may take at most.

    Raises:
        TextTooLongError: the line could not be searched whole in that time, and in what was searched nothing was found.
    """
    known, too_long = len(line.before), False
    for index, reading in enumerate(ways):
        text = reading.text
        # One character more on each side, so that a part's ends are not taken for the line's.
        begin = 1 if line.before and index == 0 else 0
        end = max(begin, len(text) - 1) if line.goes_on and index == len(ways) - 1 else len(text)
        for _ in range(TRIES):
            try:
                span = _span(expression, text, begin, end, time_left)
            except TextTooLongError:
                too_long = True
                break
            if span is None:
                break
            # The last character before the line was left out when what is before it was searched.
            if reading.origin(max(span[0], span[1] - 1)) >= known - 1:
                return max(0, reading.origin(span[0]) - known)
            begin = max(span[1], span[0] + 1)
        else:
            too_long = True
    if too_long:
        raise TextTooLongError
    return None


def _span(
    expression: Expression, text: str, begin: int, end: int, time_left: Callable[[], float]
) -> tuple[int, int] | None:
    if expression.cost(text) <= time_left():
        return expression.find(text, begin, end)
    return expression.find_in_parts(text, begin, end, time_left)


@dataclass(slots=True)
class _Match:
    entry: dict[str, Any]
    before: list[dict[str, Any]]
    after: list[dict[str, Any]] = field(default_factory=list)


@dataclass(slots=True)
class _Answer:
    """What was found so far."""

    context: int
    matches: list[_Match] = field(default_factory=list)
    unsearched: list[int] = field(default_factory=list)
    since: int | None = None
    raw: int = 0
    size: int = 0
    recent: deque[dict[str, Any]] = field(default_factory=deque)
    incomplete: list[_Match] = field(default_factory=list)
    """Matches of which lines after them are still to come."""

    def add(self, line: Line, at: int | None) -> None:
        """A line, and where its match begins if there is one."""
        if at is None and not self.context:
            return
        if self.context:
            around = _entry(line, 0, CONTEXT_CHARS)
            for match in self.incomplete:
                match.after.append(around)
                self.size += _size(around["text"])
            self.incomplete = [match for match in self.incomplete if len(match.after) < self.context]
        if at is not None:
            match = _Match(_entry(line, at, TEXT_CHARS), list(self.recent))
            self.matches.append(match)
            self.size += _size(match.entry["text"]) + sum(_size(one["text"]) for one in match.before)
            if self.context:
                self.incomplete.append(match)
        if self.context:
            self.recent.append(around)
            if len(self.recent) > self.context:
                self.recent.popleft()

    def document(self, resume: int | None) -> dict[str, Any]:
        """As it is answered; `resume` is the sequence after which to go on."""
        matches = [{**match.entry, "before": match.before, "after": match.after} for match in self.matches]
        return {
            "matches": matches,
            "next": resume,
            "since": self.since,
            "searched": self.raw,
            "unsearched": self.unsearched,
        }


def _entry(line: Line, at: int, most: int) -> dict[str, Any]:
    """A line as it is answered: the entry that holds a character of it, and the text around that character."""
    text, cut = line.text, 0
    if len(text) > most:
        cut = max(0, min(at - most // 4, len(text) - most))
        text = text[cut : cut + most]
    return {
        "sequence": line.entry_at(at),
        "line": line.sequence,
        "time": line.time,
        "stream": line.stream,
        "text": text,
        "cut": len(text) < line.chars,
    }


def _size(text: str) -> int:
    """Bytes of a text in an answer: JSON, in the JSON that Lambda makes of it."""
    return len(json.dumps(json.dumps(text, ensure_ascii=False), ensure_ascii=False).encode())


def search(
    wanted: SearchQuery,
    batches: Iterable[Batch],
    earlier: Callable[[int], Iterable[Batch]],
    clock: Callable[[], float] = time.monotonic,
) -> dict[str, Any]:
    """Search lines that begin after `wanted.after`, in the order in which they begin.

    One answer searches one line at least, so each comes further than the one before. A line that cannot be searched
    whole in an answer's time is searched in parts as far as the time goes, and named if nothing was found.

    Args:
        wanted: what is looked for.
        batches: the batches with entries after `wanted.after`, ascending.
        earlier: the batches with entries before a sequence, descending.
        clock: seconds.

    Returns:
        `matches` (each an entry with `before` and `after`), `next`: the sequence after which to go on, None at the end
        of what is stored or asked for; `since`: time of the first entry looked at, None without one; `searched`: text
        bytes looked at; `unsearched`: where lines begin that were not searched whole. Context does not reach over an
        answer's end.
    """
    deadline = clock() + SEARCH_S
    lines, answer = LineAssembler(wanted.after, earlier), _Answer(wanted.context)
    expression, any_line = wanted.expression, False

    def time_left() -> float:
        return deadline + GRACE_S - clock()

    def is_full() -> bool:
        return answer.size >= ANSWER_BYTES or len(answer.unsearched) >= UNSEARCHED_MOST or clock() >= deadline

    for line in _completed(lines, batches, answer):
        if line is None:
            if lines.resume >= wanted.before - 1:
                break
            if lines.resume > wanted.after and (answer.raw >= SEARCH_RAW_BYTES or is_full()):
                return answer.document(lines.resume)
            continue
        if line.sequence >= wanted.before:
            break
        if any_line and is_full():
            return answer.document(line.sequence - 1)
        at = None
        if line.stream != "system":
            ways = visible_texts(line.before + line.text)
            cost, left = sum(expression.cost(way.text) for way in ways), time_left()
            # What fits into an answer of its own waits for it; what fits into none needs most of one.
            if any_line and cost > left and (cost <= SEARCH_S or left < SEARCH_S / 2):
                return answer.document(line.sequence - 1)
            try:
                at = _find(line, ways, expression, time_left)
            except TextTooLongError:
                answer.unsearched.append(line.sequence)
        if at is not None and len(answer.matches) == wanted.limit:
            return answer.document(line.sequence - 1)
        any_line = True
        answer.since = line.time if answer.since is None else answer.since
        answer.add(line, at)
    return answer.document(None)


def _completed(lines: LineAssembler, batches: Iterable[Batch], answer: _Answer) -> Iterator[Line | None]:
    """The lines of batches as they become whole, and None before each batch."""
    for first, count, raw, body in batches:
        yield None
        answer.raw += raw
        try:
            columns = decode_body(body)
        except BatchError:
            yield from lines.skip(first, count)
            answer.unsearched.append(first)
            continue
        yield from lines.add(first, columns)
    yield from lines.end()
