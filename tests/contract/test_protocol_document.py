"""Test that PROTOCOL.md, the JSON Schema and the code agree, and that ARCHITECTURE.md names every folder."""

import json
import re
import subprocess
import typing
from pathlib import Path

from logferry_protocol import batch, errors, events, limits, messages
from logferry_protocol.schema import schema

ROOT = Path(__file__).parents[2]
PROTOCOL = ROOT / "protocol"
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


MIRRORS = ("tests/unit/", "tests/integration/", "web/tests/")
"""Folders below these need no line of their own: the map says what they mirror."""


def _folders() -> set[str]:
    """Folders with files that git keeps, or would keep once they are added."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    return {str(Path(file).parent) + "/" for file in listed if (ROOT / file).exists()} - {"./"}


def test_architecture_map_names_every_folder_and_no_other() -> None:
    page = (ROOT / "ARCHITECTURE.md").read_text()
    named = set(re.findall(r"^\| `([^`]+/)` \|", page, re.MULTILINE))
    folders = _folders()
    missing = {one for one in folders - named if not any(one.startswith(mirror) for mirror in MIRRORS)}
    assert missing == set(), "ARCHITECTURE.md, The folders: add a line for each"
    assert {one for one in named if not (ROOT / one).is_dir()} == set()


def test_architecture_names_files_that_exist() -> None:
    """Every path in the table "Find the code"."""
    section = (ROOT / "ARCHITECTURE.md").read_text().split("## Find the code", 1)[1].split("\n## ", 1)[0]
    for row in section.splitlines():
        paths = re.findall(r"`([\w./]+\.(?:py|ts|tsx))`", row)
        for path in paths:
            assert (ROOT / path).is_file(), path
    assert section.count(".py`") >= 10
