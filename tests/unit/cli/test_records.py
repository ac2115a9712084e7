"""Test that records and batches are read one at a time: a damaged one leaves the others readable."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from logferry_cli.jobs import json_of, state_of
from logferry_cli.reader import Damaged
from logferry_cli.records import DamagedRecord, read_batches, read_record
from logferry_protocol.batch import encode_body
from logferry_protocol.encoding import digest_of
from logferry_protocol.job import JobRecord
from logferry_protocol.messages import BatchFacts

JOB = "local." + "0" * 64
RECORD: dict[str, Any] = {
    "job": JOB,
    "owner": "local",
    "principal": "local",
    "instance": "ENGINE",
    "container": {"name": "web", "image": "x", "host": "h", "labels": {"a": "b"}},
    "life": {"state": "exited", "created": 1, "exit_code": 1},
    "tip": 7,
    "seen": 5,
}
PLACES: tuple[tuple[str, ...], ...] = (
    *(("job",), ("owner",), ("principal",), ("instance",), ("container",), ("life",), ("tip",), ("bytes",), ("gaps",)),
    *(("last",), ("seen",), ("container", "name"), ("container", "labels"), ("container", "labels", "a")),
    *(("container", "project"), ("life", "state"), ("life", "created"), ("life", "exit_code"), ("life", "restarts")),
)
ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=9)
    | st.just(2**60)
    | st.just("x" * 9999),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=4,
)


def test_intact_record_is_unchanged() -> None:
    """Including unknown fields of a newer cloud."""
    record = read_record({**RECORD, "newer": 1})
    assert record == JobRecord.model_validate(RECORD)
    assert not isinstance(record, DamagedRecord)


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("life", "restarts"), "many"),
        (("life", "exit_code"), "none"),
        (("tip",), 2**70),
        (("container", "labels"), {"": 1}),
    ],
)
def test_damaged_field_is_omitted_and_named(place: tuple[str, ...], value: object) -> None:
    """Every other field of the record is shown."""
    document = copy.deepcopy(RECORD)
    holder: Any = document
    for part in place[:-1]:
        holder = holder[part]
    holder[place[-1]] = value
    record = read_record(document)
    assert isinstance(record, DamagedRecord)
    assert (record.job, record.container.name, record.life.created) == (JOB, "web", 1)
    assert record.damage.startswith(".".join(place))
    assert state_of(record) == "damaged"
    assert '"damage"' in json_of([record])


@given(st.lists(st.tuples(st.sampled_from(PLACES), ANYTHING), max_size=4))
def test_any_record_can_be_listed(changes: list[tuple[tuple[str, ...], object]]) -> None:
    """Whatever it contains, nothing is raised and it can be printed."""
    document = copy.deepcopy(RECORD)
    for place, value in changes:
        holder: Any = document
        for part in place[:-1]:
            holder = holder.get(part) if isinstance(holder, dict) else None
        if isinstance(holder, dict):
            holder[place[-1]] = value
    record = read_record(document)
    assert json_of([record])
    assert state_of(record)


@given(ANYTHING)
def test_any_value_is_at_worst_a_damaged_record(document: object) -> None:
    """Even a list element that is no object."""
    assert json_of([read_record(document)])


def stored(at: int, **wrong: object) -> dict[str, Any]:
    """Return a batch of three entries as an answer has it."""
    body = encode_body([1000] * 3, "o" * 3, ["x"] * 3)
    facts: dict[str, Any] = {"first": at, "count": 3, "start": 1000, "end": 1000, "raw": 3, "digest": digest_of(body)}
    whole = BatchFacts.model_construct(**facts, body=body)
    return whole.model_dump(mode="json") | wrong


@pytest.mark.parametrize(
    ("wrong", "damaged"),
    [
        ({"digest": "short"}, (4, 6)),
        ({"start": -(2**70)}, (4, 6)),
        ({"body": "no base64!"}, (4, 6)),
        ({"count": 2**60}, (4, 6)),
        ({"first": "four", "raw": -1}, (4, 6)),
        ({"first": None, "count": None}, (4, 6)),
    ],
)
def test_damaged_batch_keeps_its_position_between_the_others(
    wrong: dict[str, object], damaged: tuple[int, int]
) -> None:
    """By its own fields where they are credible, else by its neighbours."""
    before, found, after = read_batches([stored(1), stored(4, **wrong), stored(7)], 0, 9, more=False)
    assert isinstance(found, Damaged)
    assert (before.last, (found.first, found.last), after.first) == (3, damaged, 7)
    assert set(wrong) & set(found.detail.replace(":", " ").split())


def test_damaged_batch_without_an_end_reaches_to_the_next() -> None:
    """At the job's end to its tip; at a page's end one entry is given up, and the next page decides."""
    [last] = read_batches([stored(4, count=0)], 3, 9, more=False)
    assert (last.first, last.last) == (4, 9)
    [last] = read_batches([stored(4, count=0)], 3, 9, more=True)
    assert (last.first, last.last) == (4, 4)
    [nothing] = read_batches([17], 3, 9, more=False)
    assert (nothing.first, nothing.last) == (4, 9)
