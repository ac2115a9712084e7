"""Test that everything within the limits fits one frame."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from logferry_protocol import limits, messages
from logferry_protocol.errors import FrameTooLargeError, MalformedMessageError

LONGEST = messages.Batch(
    job="f" * 64,
    first=limits.MAX_SEQUENCE - limits.MAX_BATCH_ENTRIES + 1,
    count=limits.MAX_BATCH_ENTRIES,
    start=limits.MAX_TIME_US,
    end=limits.MAX_TIME_US,
    raw=limits.MAX_DECODED_BYTES,
    digest="f" * 64,
    cursor="~" * limits.MAX_CURSOR_BYTES,
    body=b"\xff" * limits.MAX_BODY_BYTES,
)


def test_longest_batch_fits_a_frame_inbound_and_outbound() -> None:
    ingest = messages.Ingest(id="i" * limits.MAX_ID_CHARS, batches=[LONGEST])
    assert len(messages.encode(ingest)) <= limits.MAX_FRAME_BYTES
    job = "p" * 63 + "." + "f" * 64
    facts = messages.BatchFacts.model_validate(LONGEST.model_dump(exclude={"job", "cursor"}))
    assert len(messages.encode(messages.BatchMessage(job=job, batches=[facts]))) <= limits.MAX_FRAME_BYTES


def test_longest_opened_fits_a_frame() -> None:
    job = messages.OpenedJob(
        job="f" * 64,
        tip=limits.MAX_SEQUENCE,
        digest="f" * 64,
        first=limits.MAX_SEQUENCE,
        cursor="~" * limits.MAX_CURSOR_BYTES,
        watched=messages.Watched(ttl=limits.MAX_DURATION_MS, interval=limits.MAX_DURATION_MS),
    )
    opened = messages.Opened(id="o" * limits.MAX_ID_CHARS, jobs=[job] * limits.MAX_OPEN_JOBS)
    assert len(messages.encode(opened)) <= limits.MAX_FRAME_BYTES


def test_tips_of_all_subscriptions_fit_a_pong() -> None:
    tips = {f"{'p' * 55}{i:08d}.{'f' * 64}": limits.MAX_SEQUENCE for i in range(limits.MAX_SUBSCRIPTIONS)}
    assert len(messages.encode(messages.ViewerPong(id="p" * limits.MAX_ID_CHARS, tips=tips))) <= limits.MAX_FRAME_BYTES


def test_message_over_the_frame_is_reported_as_a_bug() -> None:
    ingest = messages.Ingest(id="i", batches=[LONGEST, LONGEST.model_copy(update={"job": "e" * 64})])
    with pytest.raises(FrameTooLargeError):
        messages.encode(ingest)


@given(st.text(max_size=300))
def test_any_text_raises_only_malformed(text: str) -> None:
    for family in messages.FAMILIES.values():
        try:
            messages.decode(text, family)
        except MalformedMessageError:
            continue
