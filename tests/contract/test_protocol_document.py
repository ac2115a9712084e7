"""Test that PROTOCOL.md, the JSON Schema and the code agree."""

import json
import re
import typing
from pathlib import Path

from logferry_protocol import batch, errors, events, limits, messages
from logferry_protocol.schema import schema

PROTOCOL = Path(__file__).parents[2] / "protocol"
PAPER = (PROTOCOL / "PROTOCOL.md").read_text()


def _table(heading: str) -> list[list[str]]:
    section = PAPER.split(heading, 1)[1]
    rows = re.findall(r"^\| `(.+)$", section.split("\n## ", 1)[0], re.MULTILINE)
    return [[cell.strip(" `") for cell in row.split("|")] for row in rows]


def test_every_documented_limit_equals_the_codes() -> None:
    paper = {row[0]: int(row[1].replace(",", "")) for row in _table("## Limits")}
    assert paper == {name: value for name, value in vars(limits).items() if name.isupper()}


def test_every_error_code_is_documented_with_its_retry() -> None:
    paper = {row[0]: row[1] == "yes" for row in _table("## Errors")}
    assert paper == errors.RETRYABLE
    assert set(typing.get_args(errors.ErrorCode)) | set(typing.get_args(errors.RejectReason)) == set(paper)


def test_every_message_type_has_a_section_or_is_named_as_an_answer() -> None:
    for family in messages.FAMILIES.values():
        for name in family.json_schema()["discriminator"]["mapping"]:
            assert f"`{name}`" in PAPER or f'"{name}"' in PAPER, name


def test_every_stream_character_gap_reason_and_event_is_documented() -> None:
    words = [*batch.STREAM_OF, *typing.get_args(events.GapReason), "started", "restarted", "exited", "gap", "notice"]
    assert [word for word in words if f"`{word}`" not in PAPER] == []


def test_committed_schema_is_the_models_schema() -> None:
    committed = json.loads((PROTOCOL / "schema.json").read_text())
    assert committed == schema(), "run: make generate"
