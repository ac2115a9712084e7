"""Test how the agent and the protocol use regular expressions."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from logferry_protocol.job import split_job_id

ROOT = Path(__file__).resolve().parents[2]
SOURCES = sorted(
    path for folder in ("agent/logferry_agent", "protocol/logferry_protocol") for path in (ROOT / folder).rglob("*.py")
)


def _names_of_anchored_patterns() -> set[str]:
    """Return the module constants, of all sources, whose text ends in `$`, and those compiled from one.

    RE2's `$` is the end of the text only.
    """
    found: set[str] = set()
    for _ in range(2):
        for path in SOURCES:
            for name, value in _constants(ast.parse(path.read_text())):
                texts = [node.value for node in ast.walk(value) if isinstance(node, ast.Constant)]
                names = [node.id for node in ast.walk(value) if isinstance(node, ast.Name)]
                if "re2" in names:
                    continue
                if any(isinstance(text, str) and text.endswith("$") for text in texts) or found & set(names):
                    found.add(name)
    return found


def _constants(tree: ast.Module) -> Iterator[tuple[str, ast.expr]]:
    for node in tree.body:
        if isinstance(node, ast.AnnAssign | ast.Assign) and node.value is not None:
            target = node.target if isinstance(node, ast.AnnAssign) else node.targets[0]
            if isinstance(target, ast.Name):
                yield target.id, node.value


def test_anchored_patterns_are_matched_whole() -> None:
    r"""Python's `$` allows one trailing newline.

    `match` and `search` would accept `x\n` for `x`.
    """
    anchored = _names_of_anchored_patterns()
    assert {"OWNER_PATTERN", "_JOB"} <= anchored
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                called, owner = node.func.attr, node.func.value
                if called in {"match", "search", "findall", "finditer"} and isinstance(owner, ast.Name):
                    assert owner.id not in anchored, f"{path.name}:{node.lineno} matches {owner.id} up to a newline"
                    assert owner.id != "re" or not _anchored_text(node), f"{path.name}:{node.lineno}"


def _anchored_text(call: ast.Call) -> bool:
    first = call.args[0] if call.args else None
    return isinstance(first, ast.Constant) and isinstance(first.value, str) and first.value.endswith("$")


@pytest.mark.parametrize("job", ["x." + "0" * 64 + "\n", "x\n." + "0" * 64, "x." + "0" * 63 + "\n", "x." + "0" * 65])
def test_job_id_with_a_newline_is_invalid(job: str) -> None:
    """Nor is one of another length valid."""
    assert re.fullmatch(r"x\.0{64}", job) is None
    with pytest.raises(ValueError, match="not a job id"):
        split_job_id(job)
