"""Test which copy of the stack's sources a command deploys."""

from __future__ import annotations

from pathlib import Path

import pytest

from logferry_cli.problems import Problem
from logferry_cli.stack_sources import NEEDED, find_stack_sources

ROOT = Path(__file__).parents[3]


def fill(folder: Path, *names: str) -> Path:
    """Make files in a folder."""
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return folder


def test_checkout_comes_before_a_carried_copy(tmp_path: Path) -> None:
    """A copy inside an editable installation would be stale."""
    package = fill(tmp_path, *NEEDED) / "cli" / "logferry_cli"
    fill(package / "stack", *NEEDED, "web/dist/index.html")
    found = find_stack_sources(package)
    assert (found.root, found.is_checkout) == (tmp_path, True)


def test_installed_wheel_uses_its_carried_copy(tmp_path: Path) -> None:
    """Even when a template.yaml happens to lie two folders above."""
    package = tmp_path / "lib" / "site-packages" / "logferry_cli"
    fill(tmp_path / "lib", "template.yaml")
    fill(package / "stack", *NEEDED, "web/dist/index.html")
    found = find_stack_sources(package)
    assert (found.root, found.is_checkout) == (package / "stack", False)


def test_wheel_without_sources_is_reported(tmp_path: Path) -> None:
    with pytest.raises(Problem, match="carries no template"):
        find_stack_sources(fill(tmp_path, "site-packages/logferry_cli/app.py") / "site-packages" / "logferry_cli")


def test_missing_files_are_named(tmp_path: Path) -> None:
    """A wheel needs the built viewer as well, because it cannot build one."""
    package = tmp_path / "site-packages" / "logferry_cli"
    fill(package / "stack", *NEEDED[1:])
    with pytest.raises(Problem, match=r"\(template\.yaml, web/dist/index\.html missing\)"):
        find_stack_sources(package)


def test_these_sources_are_found() -> None:
    """The paths that other commands take from them exist in this checkout."""
    found = find_stack_sources()
    assert found.root == ROOT
    assert [path for path in (found.template, found.samconfig, found.web, found.agent_templates) if path.exists()] == [
        found.template,
        found.samconfig,
        found.web,
        found.agent_templates,
    ]
