"""Test where the local cloud finds its sources, and where it puts what it makes from them."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from logferry_local import checkout as module
from logferry_local.checkout import Checkout, find_checkout, set_up
from logferry_state.errors import LocalCloudError, StepFailedError


@pytest.fixture
def stack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Pretend that this is an installed wheel, and return the folder of the stack that it carries."""
    packages = tmp_path / "lib" / "python3.11" / "site-packages"
    monkeypatch.setattr(module, "__file__", str(packages / "logferry_local" / "checkout.py"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    stack = packages / "logferry_cli" / "stack"
    stack.mkdir(parents=True)
    (stack / "template.yaml").touch()
    return stack


def setup_program(stack: Path, source: str) -> None:
    folder = stack / "infra" / "setup"
    folder.mkdir(parents=True)
    (folder / "__main__.py").write_text(source)


def test_checkout_keeps_everything_in_its_folder() -> None:
    found = find_checkout()
    assert found.template == Path(__file__).parents[3] / "template.yaml"
    assert {path.is_relative_to(found.root) for path in (found.builds, found.sam, found.cloud_python)} == {True}


def test_wheel_keeps_what_it_makes_out_of_its_installation(stack: Path, tmp_path: Path) -> None:
    found = find_checkout()
    assert (found.template, found.viewer_files) == (stack / "template.yaml", stack / "web" / "dist")
    made = (found.builds, found.sam, found.tools, found.cloud_python)
    assert {path.is_relative_to(tmp_path / "cache" / "logferry") for path in made} == {True}


def test_cache_is_in_the_home_folder_where_none_is_named(
    stack: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert find_checkout() == Checkout(stack, tmp_path / "home" / ".cache" / "logferry")


def test_installation_without_a_stack_is_refused(stack: Path) -> None:
    (stack / "template.yaml").unlink()
    with pytest.raises(LocalCloudError, match="carries no template"):
        find_checkout()


def test_wheel_is_set_up_into_its_cache(stack: Path, tmp_path: Path) -> None:
    """By the program that it carries, which knows the cache from the environment."""
    report = "open(os.environ['LOGFERRY_SETUP_FOLDER'] + '.args', 'w').write(' '.join(sys.argv[1:]))"
    setup_program(stack, f"import os, sys; {report}")
    (tmp_path / "cache").mkdir()
    set_up(find_checkout())
    assert (tmp_path / "cache" / "logferry.args").read_text() == "local"


def test_failed_set_up_is_one_line_with_what_it_said(stack: Path) -> None:
    setup_program(stack, "import sys; sys.exit('setup: no index answers.\\nCheck the network.')")
    with pytest.raises(StepFailedError) as failed:
        set_up(find_checkout())
    assert failed.value.sentence.endswith("cannot be installed: setup: no index answers. Check the network.")


def test_checkout_is_not_set_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`make setup` did that."""
    monkeypatch.setattr(sys, "executable", "/nowhere")
    set_up(Checkout(tmp_path))
