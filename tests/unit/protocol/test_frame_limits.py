"""Test that any record within its limits fits a frame."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from logferry_protocol import limits, messages
from logferry_protocol.job import Container, JobRecord, LifeCycle

HOSTILE = ["\x00", "\x1f", "\n", '"', "\\", "é", "\u2028", "\uffff", "🚢", "x"]
"""Characters that JSON writes with 1 to 6 bytes; some take 4 in UTF-8."""


def texts(most: int) -> st.SearchStrategy[str]:
    """Generate texts at and below a length in characters, of one kind of character or mixed."""
    whole = st.sampled_from(HOSTILE).map(lambda one: one * most)
    return whole | st.text(st.sampled_from(HOSTILE), max_size=most)


@st.composite
def labels(draw: st.DrawFn) -> dict[str, str]:
    """Generate labels up to their limits of number, characters and UTF-8 bytes."""
    kept: dict[str, str] = {}
    left = limits.MAX_LABELS_BYTES
    key_chars = draw(st.integers(2, limits.MAX_LABEL_KEY_CHARS))
    value_chars = draw(st.integers(0, limits.MAX_LABEL_VALUE_CHARS))
    one, other = draw(st.sampled_from(HOSTILE)), draw(st.sampled_from(HOSTILE))
    for number in range(limits.MAX_LABELS):
        key, value = f"{number:02d}" + one * (key_chars - 2), other * value_chars
        left -= len(key.encode()) + len(value.encode())
        if left < 0:
            break
        kept[key] = value
    return kept


def record(container: Container, problem: str) -> JobRecord:
    """Return a record with every other field at its longest."""
    life = LifeCycle(
        state="restarting",
        created=limits.MAX_TIME_MS,
        started=limits.MAX_TIME_MS,
        ended=limits.MAX_TIME_MS,
        exit_code=limits.MIN_EXIT_CODE,
        oom=False,
        restarts=limits.MAX_RESTARTS,
        source="none",
        problem=problem,
    )
    return JobRecord(
        job="p" * 63 + "." + "f" * 64,
        owner="o" * 128,
        principal="p" * 63,
        instance="i" * 128,
        container=container,
        life=life,
        tip=limits.MAX_SEQUENCE,
        bytes=limits.MAX_COUNT,
        gaps=limits.MAX_COUNT,
        last=limits.MAX_TIME_MS,
        seen=limits.MAX_TIME_MS,
    )


def container_of(names: str, image: str, driver: str, given_labels: dict[str, str]) -> Container:
    fields: dict[str, Any] = dict.fromkeys(("name", "host", "project", "service", "task"), names)
    return Container(image=image, driver=driver, labels=given_labels, owner="o" * 128, **fields)


WORST = container_of(
    "\x01" * limits.MAX_NAME_CHARS,
    "\x01" * limits.MAX_IMAGE_CHARS,
    "\x01" * limits.MAX_DRIVER_CHARS,
    {f"{number:02d}": "\x01" * 254 for number in range(16)},
)


def frames_of(container: Container, problem: str) -> list[str]:
    """Return every message that carries a container."""
    found = record(container, problem)
    quoted = '"' * limits.MAX_ID_CHARS
    job = messages.OpenJob(job="f" * 64, container=container, life=found.life)
    return [
        messages.encode(messages.JobMessage(record=found, deleted=False)),
        messages.encode(messages.Subscribed(id=quoted, job=found.job, tip=limits.MAX_SEQUENCE, record=found)),
        messages.encode(messages.Open(id=quoted, instance="i" * 128, jobs=[job])),
    ]


def test_record_of_the_longest_fields_fits_a_frame() -> None:
    """All of them control characters, of which each takes six bytes."""
    frames = frames_of(WORST, "\x01" * limits.MAX_MESSAGE_CHARS)
    assert 30_000 < max(len(frame.encode()) for frame in frames) <= limits.MAX_FRAME_BYTES


@settings(max_examples=60, deadline=None, database=None)
@given(
    names=texts(limits.MAX_NAME_CHARS),
    image=texts(limits.MAX_IMAGE_CHARS),
    driver=texts(limits.MAX_DRIVER_CHARS),
    given_labels=labels(),
    problem=texts(limits.MAX_MESSAGE_CHARS),
)
def test_record_of_hostile_texts_fits_a_frame(
    names: str, image: str, driver: str, given_labels: dict[str, str], problem: str
) -> None:
    """`encode` raises if it does not."""
    container = container_of(names, image, driver, given_labels)
    frames_of(container, problem)
    assert len(json.dumps(container.labels, separators=(",", ":"), ensure_ascii=False)) <= limits.MAX_LABELS_JSON_BYTES


@given(labels())
@settings(max_examples=60, deadline=None, database=None)
def test_labels_lose_values_before_keys_and_only_if_necessary(given_labels: dict[str, str]) -> None:
    """Labels that fit are unchanged; otherwise all keys stay until every value is gone."""
    kept = Container(labels=given_labels).labels
    size = len(json.dumps(given_labels, separators=(",", ":"), ensure_ascii=False).encode())
    assert (kept == given_labels) == (size <= limits.MAX_LABELS_JSON_BYTES)
    assert set(kept.items()) <= {*given_labels.items(), *((key, "") for key in given_labels)}
    if len(kept) < len(given_labels):
        assert not any(kept.values())


@pytest.mark.parametrize("character", ["\x01", "é", "🚢", '"', "\\"])
def test_equal_labels_keep_as_many_values_as_fit(character: str) -> None:
    """The longest are removed first, so that short ones, such as a project's name, stay."""
    wide = character * (limits.MAX_LABEL_VALUE_CHARS // len(character.encode()))
    given_labels = {f"wide{number}": wide for number in range(15)} | {"com.docker.compose.project": "shop"}
    kept = Container(labels=given_labels).labels
    assert kept["com.docker.compose.project"] == "shop"
    assert set(kept) == set(given_labels)
    assert sum(value == wide for value in kept.values()) == (10 if character == "\x01" else 15)
