"""Test that docs/aws.md, the register of what we rely on from AWS, is complete and names existing tests."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "aws.md").read_text()
ROWS = [
    [cell.strip() for cell in line.strip("|").split(" | ")]
    for line in PAGE.splitlines()
    if line.startswith("| ") and not line.startswith("| what we rely on |")
]
NOT_PROVEN = "not proven"
AWS_PAGE = re.compile(r"\[[^\]]+\]\(https://(docs\.aws\.amazon\.com|aws\.amazon\.com|repost\.aws)/[^\s)]+\)")
TEST = re.compile(r"`([\w/.]+\.(?:py|ts))::([^`]+)`")


def test_register_is_long_enough_and_repeats_nothing() -> None:
    """A row that is said twice is not counted twice."""
    reliances = [row[0] for row in ROWS]
    assert len(reliances) >= 60
    assert sorted(set(reliances)) == sorted(reliances)


@pytest.mark.parametrize("row", ROWS, ids=[row[0] for row in ROWS])
def test_row_has_awss_page_and_an_existing_test(row: list[str]) -> None:
    """No cell is empty, and only `not proven` stands in a test's place."""
    assert len(row) == 3
    reliance, page, held_by = row
    assert reliance
    assert AWS_PAGE.fullmatch(page), page
    if held_by == NOT_PROVEN:
        return
    named = TEST.findall(held_by)
    assert named
    assert TEST.sub("", held_by).strip() == ""
    for file, name in named:
        assert name in names_of_tests(file), f"{file} has no {name}"


@cache
def names_of_tests(file: str) -> frozenset[str]:
    """Return the names of a file's tests: functions of Python, titles of TypeScript."""
    if file.endswith(".ts"):
        return frozenset(re.findall(r"\btest\(\"([^\"]+)\"", (ROOT / file).read_text()))
    tree = ast.parse((ROOT / "tests" / file).read_text())
    functions = (node for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))
    return frozenset(node.name for node in functions)


def test_missing_test_would_be_noticed() -> None:
    """The check itself."""
    assert "test_missing_test_would_be_noticed" in names_of_tests("contract/test_aws.py")
    assert "test_of_nothing" not in names_of_tests("contract/test_aws.py")
