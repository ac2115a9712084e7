"""Finds lines in a job's log, within budgets: what is not searched in one answer is searched in the next."""

import re
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import re2

from logferry_protocol.batch import STREAM_OF, decode_body
from logferry_protocol.limits import MAX_SEQUENCE

from .core import ParameterError, whole_number

MAX_PATTERN_CHARS: Final = 512
MAX_PATTERN_BYTES: Final = 8 * 1024 * 1024
"""Memory of a compiled pattern. RE2 takes time linear in the text, so a hostile pattern cannot hang a search."""

SEARCH_S: Final = 8.0
SEARCH_RAW_BYTES: Final = 64 * 1024 * 1024
"""Time and text bytes of one answer."""

MATCHES_DEFAULT: Final = 100
MATCHES_MOST: Final = 1_000
CONTEXT_MOST: Final = 10
ANSWER_BYTES: Final = 3_000_000
"""Text bytes of the matches and their context in one answer: with JSON and base64 it stays below Lambda's 6 MB."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is looked for."""

    matches: Callable[[str], bool]
    after: int
    before: int
    limit: int
    context: int

    @classmethod
    def of(cls, query: Mapping[str, str]) -> "Wanted":
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
        ignore_case = query.get("ignore_case") == "1"
        return cls(
            _compiled(pattern if query.get("regex") == "1" else re2.escape(pattern), ignore_case=ignore_case),
            whole_number(query, "after", 0, 0, MAX_SEQUENCE),
            whole_number(query, "before", MAX_SEQUENCE + 1, 1, MAX_SEQUENCE + 1),
            whole_number(query, "limit", MATCHES_DEFAULT, 1, MATCHES_MOST),
            whole_number(query, "context", 0, 0, CONTEXT_MOST),
        )


def _compiled(pattern: str, *, ignore_case: bool) -> Callable[[str], bool]:
    options = re2.Options()
    options.max_mem = MAX_PATTERN_BYTES
    options.log_errors = False
    options.case_sensitive = not ignore_case
    try:
        compiled = re2.compile(pattern, options=options)
    except (re2.error, re.error, OverflowError, UnicodeError) as error:
        raise ParameterError(f"q is no regular expression of RE2: {str(error)[:200]}") from None
    return lambda text: any(compiled.search(reading) is not None for reading in readings(text))


_ESCAPE: Final = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b[PX^_][^\x1b]*\x1b\\|\x1b[ -/]+[0-~]|\x1b[0-~]?"
)
_SHOWN: Final = {
    **dict.fromkeys([*range(0x20), *range(0x7F, 0xA0)], ""),
    **dict.fromkeys([*range(0x202A, 0x202F), *range(0x2066, 0x206A)], "\ufffd"),
    **dict.fromkeys([0x0A, 0x2028, 0x2029], "\u2424"),
    0x09: "\t",
}


def readings(text: str) -> list[str]:
    """An entry as a terminal and the viewer show it: colours and other escape sequences are not searched.

    What comes after a carriage return is written over what was before it: each is a reading of its own.
    """
    if text.isprintable():
        return [text]
    return [_ESCAPE.sub("", part).translate(_SHOWN) for part in text.removesuffix("\r").split("\r")]


@dataclass(slots=True)
class _Match:
    entry: dict[str, Any]
    before: list[dict[str, Any]]
    after: list[dict[str, Any]] = field(default_factory=list)


def search(
    wanted: Wanted, batches: Iterable[tuple[int, int, bytes]], clock: Callable[[], float] = time.monotonic
) -> dict[str, Any]:
    """Searches entries after `wanted.after`, ascending.

    Args:
        wanted: what is looked for.
        batches: first sequence, raw bytes and body of the batches with entries after `wanted.after`, ascending.
        clock: seconds.

    Returns:
        `matches` (each an entry with `before` and `after`), `next`: the sequence after which to go on, None at the end
        of what is stored or asked for; `since`: time of the first entry looked at, None without one; `searched`: text
        bytes looked at. Context does not reach over an answer's end.
    """
    deadline, raw, size, last = clock() + SEARCH_S, 0, 0, wanted.after
    since: int | None = None
    found: list[_Match] = []
    recent: deque[dict[str, Any]] = deque(maxlen=wanted.context)
    open_matches: list[_Match] = []
    for first, batch_raw, body in batches:
        if raw >= SEARCH_RAW_BYTES or size >= ANSWER_BYTES or clock() >= deadline:
            return _answer(found, last, since, raw)
        raw += batch_raw
        for sequence, us, character, text in decode_body(body).rows(first):
            if sequence <= wanted.after:
                continue
            if sequence >= wanted.before:
                return _answer(found, None, since, raw)
            since = us if since is None else since
            stream = STREAM_OF[character]
            hit = stream != "system" and wanted.matches(text)
            if hit and len(found) == wanted.limit:
                return _answer(found, sequence - 1, since, raw)
            if hit or wanted.context:
                entry = {"sequence": sequence, "time": us, "stream": stream, "text": text}
                for match in open_matches:
                    match.after.append(entry)
                    size += len(text)
                open_matches = [match for match in open_matches if len(match.after) < wanted.context]
                if hit:
                    found.append(_Match(entry, list(recent)))
                    size += len(text) + sum(len(one["text"]) for one in recent)
                    if wanted.context:
                        open_matches.append(found[-1])
                recent.append(entry)
            last = sequence
    return _answer(found, None, since, raw)


def _answer(found: list[_Match], resume: int | None, since: int | None, raw: int) -> dict[str, Any]:
    matches = [{**match.entry, "before": match.before, "after": match.after} for match in found]
    return {"matches": matches, "next": resume, "since": since, "searched": raw}
