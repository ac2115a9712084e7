"""Decides what a request asks for and what it gets. It has no clock and no network: all facts are arguments."""

import base64
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from logferry_protocol.job import JobRecord
from logferry_protocol.limits import MAX_SEQUENCE, MAX_TIME_MS

PAGE_BYTES: Final = 1_048_576
"""Bytes of bodies in one page of history. With base64 and JSON it stays far below Lambda's 6 MB answer."""

PAGE_BATCHES: Final = 500
"""Batches in one page of history."""

JOBS_DEFAULT: Final = 100
JOBS_MOST: Final = 500
"""Jobs in one page of the list."""

JOBS_BYTES: Final = 3_000_000
"""Bytes of records after which a page ends, as Lambda counts them. A record has at most 160 KB."""

FILTER_CHARS: Final = {"owner": 128, "host": 255, "name": 255, "image": 512, "state": 16, "container": 64}
"""The most characters of each filter of a list. No job has a longer value."""

LABEL_CHARS: Final = 512
"""The most characters of a label filter, `key` or `key=value`."""

TICKET_MS: Final = 30_000
"""How long a ticket may be used to open one WebSocket, in milliseconds."""


class ParameterError(ValueError):
    """A parameter has a wrong value. The message says which one, and what it must be."""


def whole_number(query: Mapping[str, str], name: str, default: int, least: int, most: int) -> int:
    """Return a whole number of the query string.

    Args:
        query: the query string's parameters.
        name: the parameter.
        default: the value without the parameter.
        least: the least value allowed.
        most: the greatest value allowed.

    Raises:
        ParameterError: it is not a whole number, or out of bounds.
    """
    text = query.get(name)
    if text is None:
        return default
    if not (text.isascii() and text.isdigit() and len(text) <= 16) or not least <= int(text) <= most:
        raise ParameterError(f"{name} must be a whole number from {least} to {most}")
    return int(text)


@dataclass(frozen=True, slots=True)
class HistoryRange:
    """The part of a job's history that is asked for: entries after a sequence, or the last ones before it."""

    after: int | None
    before: int | None
    limit: int

    @classmethod
    def of(cls, query: Mapping[str, str]) -> "HistoryRange":
        """Return the range that a query string asks for.

        Raises:
            ParameterError: both ends are given, or one has a wrong value.
        """
        if "after" in query and "before" in query:
            raise ParameterError("give either after or before")
        limit = whole_number(query, "limit", 100, 1, PAGE_BATCHES)
        if "before" in query:
            return cls(None, whole_number(query, "before", 0, 1, MAX_SEQUENCE), limit)
        return cls(whole_number(query, "after", 0, 0, MAX_SEQUENCE), None, limit)


@dataclass(frozen=True, slots=True)
class JobFilter:
    """Which jobs a list holds."""

    owner: str | None = None
    host: str | None = None
    name: str | None = None
    image: str | None = None
    state: str | None = None
    container: str | None = None
    """The beginning of the container's id."""
    after: int | None = None
    """Milliseconds. Jobs that still ran or were heard of at this time or later."""
    before: int | None = None
    """Milliseconds. Jobs that were created before this time."""
    labels: tuple[tuple[str, str | None], ...] = ()
    """The keys of labels, each with a value or, for any value, None."""

    @classmethod
    def of(cls, query: Mapping[str, str], labels: Sequence[str] = ()) -> "JobFilter":
        """Return the filter that a query string asks for.

        Args:
            query: the query string's parameters.
            labels: the values of all its `label` parameters, `key` or `key=value`.

        Raises:
            ParameterError: a value is too long, or a time is not one.
        """
        wanted = []
        for label in labels:
            if len(label) > LABEL_CHARS:
                raise ParameterError(f"label must have at most {LABEL_CHARS} characters")
            key, equals, value = label.partition("=")
            wanted.append((key, value if equals else None))
        plain = {key: query[key] for key in FILTER_CHARS if query.get(key)}
        for key, value in plain.items():
            if len(value) > FILTER_CHARS[key]:
                raise ParameterError(f"{key} must have at most {FILTER_CHARS[key]} characters")
        times = {key: whole_number(query, key, 0, 0, MAX_TIME_MS) for key in ("after", "before") if key in query}
        return cls(**plain, after=times.get("after"), before=times.get("before"), labels=tuple(wanted))

    def matches(self, record: JobRecord) -> bool:
        """Return whether a job is in the list."""
        container = record.container
        return (
            self.owner in (None, record.owner)
            and self.host in (None, container.host)
            and self.name in (None, container.name)
            and self.image in (None, container.image)
            and self.state in (None, record.life.state)
            and (self.container is None or record.job.partition(".")[2].startswith(self.container))
            and (self.after is None or max(record.last or 0, record.life.ended or 0, record.seen) >= self.after)
            and (self.before is None or (record.life.created or 0) < self.before)
            and all(key in container.labels and value in (None, container.labels[key]) for key, value in self.labels)
        )


def batch_document(item: Mapping[str, Any]) -> dict[str, Any]:
    """Return a stored batch as readers get it."""
    facts = {name: item[name] for name in ("first", "count", "start", "end", "raw", "digest")}
    return {**facts, "body": base64.b64encode(item["body"]).decode()}


def last_of(batch: Mapping[str, Any]) -> int:
    """Return the sequence of a batch's last entry."""
    return int(batch["first"]) + int(batch["count"]) - 1


def kept_from(wanted: HistoryRange, batches: Sequence[Mapping[str, Any]], tip: int, *, more: bool) -> int | None:
    """Return the first sequence that is kept, if retention deleted a part of what was asked for; else None.

    Args:
        wanted: what was asked for.
        batches: the page's batches, ascending.
        tip: the job's last sequence.
        more: whether more is kept than the page holds.
    """
    if wanted.before is not None:
        lowest = batches[0]["first"] if batches else min(wanted.before, tip + 1)
        return lowest if not more and lowest > 1 else None
    after = wanted.after or 0
    first = batches[0]["first"] if batches else tip + 1
    return first if first > after + 1 else None


@dataclass(slots=True)
class BatchPage:
    """Collects batches for one answer, up to its size."""

    limit: int
    bytes_left: int = PAGE_BYTES
    items: list[Mapping[str, Any]] = field(default_factory=list)

    def take(self, item: Mapping[str, Any]) -> bool:
        """Add a batch; return False if the page is full without it. Every page takes one batch."""
        if self.items and (len(self.items) >= self.limit or len(item["body"]) > self.bytes_left):
            return False
        self.items.append(item)
        self.bytes_left -= len(item["body"])
        return True


_ORDER: Final = re.compile(r"[0-9]{13,38}#[a-z0-9-]{1,63}\.[0-9a-f]{64}")


def parse_list_next(text: str | None) -> str | None:
    """Check where a list continues: the position of the last job of a page. Its time may have more than 13 digits.

    Raises:
        ParameterError: no list gave this.
    """
    if text is not None and not _ORDER.fullmatch(text):
        raise ParameterError("next must be a value that a list returned")
    return text


_AUDIT_PLACE: Final = re.compile(r"[0-9]{13}#[a-z]+#[a-z0-9-]{1,63}")


def parse_audit_next(text: str | None) -> str | None:
    """Check where a list of audit records continues.

    Raises:
        ParameterError: no list gave this.
    """
    if text is not None and not _AUDIT_PLACE.fullmatch(text):
        raise ParameterError("next must be a value that a list returned")
    return text
