"""Parse records and batches one at a time, so that a damaged one leaves the others readable.

An agent of another version, or a malicious writer, may have stored what this version's models refuse.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from pydantic import ValidationError

from logferry_cli.reader import Damaged
from logferry_protocol.errors import error_sentence
from logferry_protocol.job import Container, JobRecord, LifeCycle
from logferry_protocol.limits import MAX_BATCH_ENTRIES, MAX_SEQUENCE
from logferry_protocol.messages import BatchFacts

REPAIRS: Final = 8
"""Rounds of removing what is wrong: a part may be wrong only once another is gone."""

DETAIL_CHARS: Final = 200


class DamagedRecord(JobRecord):
    """A record without the parts that could not be read."""

    job: str = ""
    owner: str = ""
    principal: str = ""
    instance: str = ""
    container: Container = Container()
    life: LifeCycle = LifeCycle()
    seen: int = 0
    damage: str = ""
    """What could not be read, and why."""


def read_record(document: object) -> JobRecord:
    """Parse one record. Of a damaged one, return what can be read."""
    try:
        return JobRecord.model_validate_json(json.dumps(document))
    except ValidationError as error:
        wrong = error
    damage = _why(wrong)
    kept = copy.deepcopy(document) if isinstance(document, dict) else {}
    for _ in range(REPAIRS):
        for detail in wrong.errors(include_url=False, include_input=False):
            _remove(kept, detail["loc"])
        try:
            return DamagedRecord.model_validate_json(json.dumps({**kept, "damage": damage}))
        except ValidationError as error:
            wrong = error
    return DamagedRecord(damage=damage)


def read_batches(documents: Sequence[object], after: int, tip: int, *, more: bool) -> list[BatchFacts | Damaged]:
    """Return the batches of a page of history, ascending.

    Args:
        documents: The batches as the answer has them.
        after: The page holds entries after this sequence.
        tip: The job's last stored sequence.
        more: Whether there are batches after these.
    """
    read: list[BatchFacts | Damaged] = []
    for document in documents:
        try:
            read.append(BatchFacts.model_validate_json(json.dumps(document)))
        except ValidationError as error:
            read.append(_damaged(document, max(after, read[-1].last) if read else after, _why(error)))
    # Where its own count is not plausible, a damaged batch ends before the next one. At the end of a page that goes on,
    # one entry is given up at a time: the next page then begins with it.
    for at, batch in enumerate(read):
        if isinstance(batch, Damaged) and batch.last < batch.first:
            following = read[at + 1].first - 1 if at + 1 < len(read) else batch.first if more else tip
            read[at] = Damaged(batch.first, max(following, batch.first), batch.detail)
    return read


def _damaged(document: object, before: int, detail: str) -> Damaged:
    """Return a damaged batch after the sequence `before`; without an end where it does not say its count."""
    facts = document if isinstance(document, Mapping) else {}
    first, count = facts.get("first"), facts.get("count")
    if not isinstance(first, int) or not 1 <= first <= MAX_SEQUENCE:
        first = before + 1
    if not isinstance(count, int) or not 1 <= count <= MAX_BATCH_ENTRIES:
        count = 0
    return Damaged(first, first + count - 1, detail)


def _why(error: ValidationError) -> str:
    details = error.errors(include_url=False, include_input=False)
    return "; ".join(map(error_sentence, details[:3]))[:DETAIL_CHARS]


def _remove(document: Any, place: Sequence[int | str]) -> None:
    """Remove the value at a path, or the innermost part that exists around it."""
    holder, key = None, None
    for part in place:
        if not isinstance(document, dict) or part not in document:
            break
        holder, key, document = document, part, document[part]
    if holder is not None:
        del holder[key]
