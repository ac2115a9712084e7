"""Searches lines in a job's log within a budget. The next answer continues where one ends."""

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from logferry_protocol.batch import decode_body
from logferry_protocol.errors import BatchError
from logferry_protocol.limits import MAX_SEQUENCE
from runtime.answer_size import MAX_TEXT_BYTES, encoded_bytes, to_json

from .core import ParameterError, whole_number
from .expression import Expression, TextTooLongError
from .line_assembler import Batch, Line, LineAssembler
from .visible_text import VisibleText, visible_texts

MAX_PATTERN_CHARS: Final = 512

SEARCH_S: Final = 8.0
"""Seconds of one answer. A line is started only if it takes at most `GRACE_S` more at worst."""
GRACE_S: Final = 1.0
SEARCH_RAW_BYTES: Final = 64 * 1024 * 1024
"""Bytes of text that one answer searches."""

MATCHES_DEFAULT: Final = 100
MATCHES_MOST: Final = 1_000
CONTEXT_MOST: Final = 10
UNSEARCHED_MOST: Final = 1_000
ANSWER_BYTES: Final = 3_000_000
"""Bytes of the matches and their context after which an answer ends, as Lambda counts them. The last line may exceed
it, with its context, up to `MAX_TEXT_BYTES`. The rest of Lambda's limit is for `unsearched`.

One line adds up to 4.7 MB: it is the context of ten earlier matches and has ten lines of context before it. A line
alone needs at most 786,432 (65,536 characters that take 12 each), so every answer has room for one.
"""

TEXT_CHARS: Final = 65_536
"""Characters of a match's text. For a longer line the answer has the part around the match."""
MATCH_BYTES: Final = 40
"""Bytes, at most, of what an answer writes around an entry: a comma, and the names of a match's two lists."""

TRIES: Final = 50
"""Matches that are skipped because they lie completely before a part of a split line."""

CONTEXT_CHARS: Final = 16_384
"""Characters of a line around a match."""


@dataclass(frozen=True, slots=True)
class SearchQuery:
    """What is searched for."""

    expression: Expression
    after: int
    before: int
    limit: int
    context: int

    @classmethod
    def of(cls, query: Mapping[str, str]) -> "SearchQuery":
        """Return the search that a query string asks for.

        Raises:
            ParameterError: there is no pattern, RE2 does not accept it, or a number is out of bounds.
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
        """Return whether a line would be found, however long that takes."""
        line = Line(1, 0, "stdout", text)
        return _find(line, visible_texts(text), self.expression, lambda: float("inf")) is not None


def _find(
    line: Line, visible: Sequence[VisibleText], expression: Expression, time_left: Callable[[], float]
) -> int | None:
    """Return where in a line the first match begins.

    Args:
        line: the line. If it is a part of a split line, the text before it is searched, too.
        visible: the visible texts of both.
        expression: what is searched for.
        time_left: returns the seconds that a call may take at most.

    Raises:
        TextTooLongError: the line could not be searched whole in that time, and the searched part has no match.
    """
    known, too_long = len(line.before), False
    for index, visible_text in enumerate(visible):
        text = visible_text.text
        # Leave one character out at each end, so that the ends of a part do not match as the ends of a line.
        begin = 1 if line.before and index == 0 else 0
        end = max(begin, len(text) - 1) if line.continues and index == len(visible) - 1 else len(text)
        for _ in range(TRIES):
            try:
                span = _span(expression, text, begin, end, time_left)
            except TextTooLongError:
                too_long = True
                break
            if span is None:
                break
            # The last character before the part was left out when the part before it was searched.
            if visible_text.origin(max(span[0], span[1] - 1)) >= known - 1:
                return max(0, visible_text.origin(span[0]) - known)
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
    """Matches whose context after them is not complete."""

    def add(self, line: Line, at: int | None) -> bool:
        """Add a line, and where its match begins if it has one; return False if the answer has no room for it."""
        around = _entry(line, 0, CONTEXT_CHARS) if self.context else None
        match = None if at is None else _Match(_entry(line, at, TEXT_CHARS), list(self.recent))
        size = _size(around) * len(self.incomplete) if around and self.incomplete else 0
        if match:
            size += _size(match.entry) + sum(map(_size, match.before))
        if self.size + size > MAX_TEXT_BYTES and self.size:
            return False
        self.size += size
        if around:
            for earlier in self.incomplete:
                earlier.after.append(around)
            self.incomplete = [earlier for earlier in self.incomplete if len(earlier.after) < self.context]
        if match:
            self.matches.append(match)
            if self.context:
                self.incomplete.append(match)
        if around:
            self.recent.append(around)
            if len(self.recent) > self.context:
                self.recent.popleft()
        return True

    def document(self, resume: int | None) -> dict[str, Any]:
        """Return the answer. `resume` is the sequence after which the next search continues."""
        matches = [{**match.entry, "before": match.before, "after": match.after} for match in self.matches]
        return {
            "matches": matches,
            "next": resume,
            "since": self.since,
            "searched": self.raw,
            "unsearched": self.unsearched,
        }


def _entry(line: Line, at: int, most: int) -> dict[str, Any]:
    """Return a line as the answer shows it: the entry that holds a character, and the text around that character."""
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


def _size(entry: Mapping[str, Any]) -> int:
    return encoded_bytes(to_json(entry)) + MATCH_BYTES


def search(
    wanted: SearchQuery,
    batches: Iterable[Batch],
    earlier: Callable[[int], Iterable[Batch]],
    clock: Callable[[], float] = time.monotonic,
) -> dict[str, Any]:
    """Search the lines that begin after `wanted.after`, in the order in which they begin.

    Every answer searches at least one line, so it gets further than the one before. A line that cannot be searched
    whole in an answer's time is searched in parts as long as the time lasts. It is named if nothing was found.

    Args:
        wanted: what is searched for.
        batches: the batches with entries after `wanted.after`, ascending.
        earlier: returns the batches with entries before a sequence, descending.
        clock: seconds.

    Returns:
        The answer: `matches` (each an entry with its context `before` and `after`, which does not extend over the end
        of an answer), `next` (the sequence after which to continue, None at the end), `since` (the time of the first
        searched entry, if there is one), `searched` (bytes of text), and `unsearched` (where lines begin that were not
        searched whole).
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
        at, whole = None, True
        if line.stream != "system":
            visible = visible_texts(line.before + line.text)
            cost, left = sum(expression.cost(one.text) for one in visible), time_left()
            # A line that fits into an answer of its own waits for it. One that fits into none needs most of an answer.
            if any_line and cost > left and (cost <= SEARCH_S or left < SEARCH_S / 2):
                return answer.document(line.sequence - 1)
            try:
                at = _find(line, visible, expression, time_left)
            except TextTooLongError:
                whole = False
        if (at is not None and len(answer.matches) == wanted.limit) or not answer.add(line, at):
            return answer.document(line.sequence - 1)
        if not whole:
            answer.unsearched.append(line.sequence)
        any_line = True
        answer.since = line.time if answer.since is None else answer.since
    return answer.document(None)


def _completed(lines: LineAssembler, batches: Iterable[Batch], answer: _Answer) -> Iterator[Line | None]:
    """Yield the lines of batches as they become whole, and None before each batch."""
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
