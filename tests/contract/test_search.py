"""Test the service's side of tests/contract/search.json: RE2 gives the viewer's query the viewer's meaning."""

import json
from pathlib import Path
from typing import Any

import pytest

from logferry_protocol.batch import encode_body
from query.search import SearchQuery, search

CASES: list[dict[str, Any]] = json.loads((Path(__file__).parent / "search.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("case", [case for case in CASES if case["server"]], ids=lambda case: str(case["what"]))
def test_service_finds_what_the_viewer_finds(case: dict[str, Any]) -> None:
    """Colours and a carriage return at a line's end are not part of it, on either side."""
    asked = case["server"]
    wanted = SearchQuery.of({"q": asked["q"], "regex": "1", "ignore_case": "1" if asked["ignoreCase"] else "0"})
    assert [line for line in case["matches"] if not wanted.matches(line)] == []
    assert [line for line in case["others"] if wanted.matches(line)] == []


@pytest.mark.parametrize("size", [1, 2, 100])
@pytest.mark.parametrize(
    ("asked", "case"),
    [(case["server"], one) for case in CASES for one in case.get("entries", [])],
    ids=lambda value: str(value.get("what", "")),
)
def test_service_finds_the_lines_that_the_viewer_finds(asked: dict[str, Any], case: dict[str, Any], size: int) -> None:
    """Entries are (stream, count of "x", text); whatever batches they are in, each line is found once."""
    entries = [(stream, "x" * times + text) for stream, times, text in case["entries"]]
    batches = []
    for at in range(0, len(entries), size):
        streams, texts = zip(*entries[at : at + size], strict=True)
        batches.append((at + 1, len(texts), 1, encode_body(range(len(texts)), "".join(streams), texts)))
    wanted = SearchQuery.of({"q": asked["q"], "regex": "1", "ignore_case": "1" if asked["ignoreCase"] else "0"})
    assert [match["line"] for match in search(wanted, batches, lambda _: [])["matches"]] == case["found"]
