"""Test which files the wheel's build hook adds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from infra.release.build_hook import CARRIED, STACK, StackHook, carried_files


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Provide a tree with a file in every carried folder, and what runs and builds leave."""
    for name in CARRIED:
        path = tmp_path / name
        path = path if path.suffix else path / "file"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    (tmp_path / "web" / "dist" / "index.html").touch()
    (tmp_path / "web" / "dist" / "config.json").touch()
    (tmp_path / "functions" / "__pycache__").mkdir()
    (tmp_path / "functions" / "__pycache__" / "file.pyc").touch()
    return tmp_path


def hook(root: Path) -> StackHook:
    unused: Any = None
    return StackHook(str(root), {}, unused, unused, str(root), "wheel")


def test_wheel_gets_a_copy_of_every_carried_file(tree: Path) -> None:
    """The copy is gone when the wheel is written."""
    made, data = hook(tree), {"force_include": dict[str, str]()}
    made.initialize("standard", data)
    [(copy, target)] = data["force_include"].items()
    copied = sorted(path.relative_to(copy).as_posix() for path in Path(copy).rglob("*") if path.is_file())
    assert (target, copied) == (STACK, carried_files(tree))
    made.finalize("standard", data, "")
    assert not Path(copy).exists()


def test_what_runs_and_builds_leave_is_not_carried(tree: Path) -> None:
    assert not [name for name in carried_files(tree) if "config.json" in name or "__pycache__" in name]


def test_installation_in_place_gets_no_copy(tree: Path) -> None:
    """It would grow stale."""
    made, data = hook(tree), {"force_include": dict[str, str]()}
    made.initialize("editable", data)
    made.finalize("editable", data, "")
    assert data == {"force_include": {}}


@pytest.mark.parametrize("name", ["web/dist/index.html", "template.yaml"])
def test_missing_file_fails_the_build(tree: Path, name: str) -> None:
    (tree / name).unlink()
    with pytest.raises(FileNotFoundError, match=f"carries {name}, which is missing"):
        hook(tree).initialize("standard", {"force_include": {}})
