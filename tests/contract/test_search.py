"""The service's side of tests/contract/search.json: what the viewer sends means to RE2 what it means in the viewer."""

import json
from pathlib import Path
from typing import Any

import pytest

from query.search import Wanted

CASES: list[dict[str, Any]] = json.loads((Path(__file__).parent / "search.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("case", [case for case in CASES if case["server"]], ids=lambda case: str(case["what"]))
def test_the_service_finds_what_the_viewer_finds(case: dict[str, Any]) -> None:
    """Colours and a carriage return at a line's end are no part of it, on either side."""
    asked = case["server"]
    wanted = Wanted.of({"q": asked["q"], "regex": "1", "ignore_case": "1" if asked["ignoreCase"] else "0"})
    assert [line for line in case["matches"] if not wanted.matches(line)] == []
    assert [line for line in case["others"] if wanted.matches(line)] == []
