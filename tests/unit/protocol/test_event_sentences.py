"""The sentences of system events."""

import string
import typing

import pytest

from logferry_protocol import events
from logferry_protocol.event_sentences import GAP_REASONS, SENTENCES, Condition


@pytest.mark.parametrize(
    ("event", "sentence"),
    [
        (events.Started(), "container started"),
        (events.Restarted(), "container restarted"),
        (events.Restarted(restarts=3), "container restarted (restart 3)"),
        (events.Exited(), "container exited"),
        (events.Exited(exit_code=0), "container exited with code 0"),
        (
            events.Exited(exit_code=137, oom=True, removed=True),
            "container exited with code 137, out of memory, removed",
        ),
        (events.Gap(reason="quota"), "lines missing: the quota was used up"),
        (events.Gap(reason="quota", count=1), "1 line missing: the quota was used up"),
        (
            events.Gap(reason="spool_full", count=41_200, detail="64 MiB"),
            "41,200 lines missing: the agent's spool was full (64 MiB)",
        ),
        (events.Notice(code="clock_stepped"), "clock stepped"),
        (events.Notice(code="driver", detail="The driver {none} keeps no log."), "The driver {none} keeps no log."),
        (events.decode_event("not json"), "not json"),
    ],
)
def test_event_is_described(event: events.SystemEvent, sentence: str) -> None:
    assert events.describe(event) == sentence


def test_every_event_and_gap_reason_has_a_sentence() -> None:
    assert {kind.model_fields["event"].default for kind in events.EVENT_MODELS} == set(SENTENCES)
    assert set(typing.get_args(events.GapReason)) == set(GAP_REASONS)


def test_sentences_name_known_fields_and_conditions() -> None:
    kinds = {kind.model_fields["event"].default: kind for kind in events.EVENT_MODELS}
    for name, parts in SENTENCES.items():
        for part in parts:
            used = {field for _, field, _, _ in string.Formatter().parse(part.text) if field}
            assert used | {part.field} - {""} <= set(kinds[name].model_fields)
            assert part.when in typing.get_args(Condition)
