"""Test that docs/docker-cases.md names existing tests."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "docker-cases.md").read_text().split("\n## Further reports", 1)[0]
CASE = re.compile(
    r"## Case (\d+)\. \S.*\n\n\*\*Elsewhere\.\*\* (.+?)\n\n\*\*Logferry\.\*\* (.+?)(?:\n\n\*\*Tests\.\*\*\n\n(.+))?",
    re.S,
)
"""A section: its number, what goes wrong elsewhere, what Logferry does, and the list of tests."""
ROWS = [
    [(part or "").strip() for part in found.groups()] if (found := CASE.fullmatch(section.strip())) else [section]
    for section in re.split(r"\n(?=## )", PAGE)[1:]
]
NOT_OURS = {"22"}


def test_every_case_has_its_row() -> None:
    """In order, no duplicates, no omissions."""
    assert [row[0] for row in ROWS] == [str(number) for number in range(1, len(ROWS) + 1)]
    assert len(ROWS) >= 40
    assert all(len(row) == 4 and row[1] and row[2] for row in ROWS)


@pytest.mark.parametrize("row", ROWS, ids=[row[0] for row in ROWS])
def test_tests_of_a_case_exist(row: list[str]) -> None:
    """By file and name; only cases that do not concern us have none."""
    named = re.findall(r"`([\w/]+\.py)::(\w+)`", row[3])
    assert bool(named) != (row[0] in NOT_OURS)
    assert len(named) == row[3].count("::")
    for file, name in named:
        tree = ast.parse((ROOT / "tests" / file).read_text())
        functions = {node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
        assert name in functions, f"{file} has no {name}"
