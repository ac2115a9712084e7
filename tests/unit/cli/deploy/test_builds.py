"""Test which builds are made again."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.support.templates import ROOT

from logferry_cli.deploy import builds, programs
from logferry_cli.problems import Problem
from logferry_cli.stack_sources import StackSources
from logferry_local import deployment
from logferry_local.checkout import Checkout

VALUES = {"PythonRuntime": "python3.13", "Architecture": "arm64"}


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Provide the commands that were run; `sam build` writes a template."""
    commands: list[str] = []

    def run(command: list[str | Path], *_more: object) -> None:
        words = [str(word) for word in command]
        commands.append(" ".join(words[:2]))
        if words[0] == "sam":
            built = Path(words[words.index("--build-dir") + 1])
            built.mkdir(parents=True, exist_ok=True)
            (built / "template.yaml").touch()

    monkeypatch.setattr(programs, "run", run)
    return commands


@pytest.fixture
def sources(tmp_path: Path) -> StackSources:
    """Provide a small checkout."""
    for name in ("template.yaml", "functions/a.py", "web/dist/index.html", "web/src/a.ts"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    return StackSources(tmp_path, is_checkout=True)


def test_unchanged_functions_are_not_built_again(sources: StackSources, made: list[str], tmp_path: Path) -> None:
    """A changed function, another viewer and another processor each make another build."""
    log = tmp_path / "log"
    assert builds.build_functions(sources, VALUES, log)[1] is True
    assert builds.build_functions(sources, VALUES, log)[1] is False
    (tmp_path / "functions" / "a.py").write_text("changed")
    assert builds.build_functions(sources, VALUES, log)[1] is True
    sources.viewer.joinpath("index.html").write_text("changed")
    assert builds.build_functions(sources, VALUES, log)[1] is True
    assert builds.build_functions(sources, {**VALUES, "Architecture": "x86_64"}, log)[1] is True
    assert made == ["sam build"] * 4


def test_failed_build_is_not_taken_for_the_one_before(
    sources: StackSources, made: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`sam build` empties its folder first, so nothing is left of the build before."""
    log, function = tmp_path / "log", tmp_path / "functions" / "a.py"
    builds.build_functions(sources, VALUES, log)
    before, works = function.read_text(), programs.run

    def fail(*_given: object) -> None:
        raise Problem("failed")

    function.write_text("broken")
    monkeypatch.setattr(programs, "run", fail)
    with pytest.raises(Problem):
        builds.build_functions(sources, VALUES, log)
    monkeypatch.setattr(programs, "run", works)
    function.write_text(before)
    assert builds.build_functions(sources, VALUES, log)[1] is True


def test_unchanged_viewer_is_not_built_again(sources: StackSources, made: list[str]) -> None:
    lock(sources.web, "package-lock.json", "1.0.0")
    lock(sources.web, "node_modules/.package-lock.json", "1.0.0")
    assert [builds.build_viewer(sources) for _ in range(2)] == [True, False]
    (sources.web / "src" / "a.ts").write_text("changed")
    assert builds.build_viewer(sources) is True
    assert made == ["npm run"] * 2


def test_packages_of_another_release_are_installed_again(sources: StackSources, made: list[str]) -> None:
    """They would break the build, or become part of the viewer."""
    assert not builds.packages_are_current(sources.web)
    lock(sources.web, "node_modules/.package-lock.json", "1.0.0")
    lock(sources.web, "package-lock.json", "1.0.1")
    builds.build_viewer(sources)
    assert made == ["npm ci", "npm run"]
    lock(sources.web, "node_modules/.package-lock.json", "1.0.1")
    assert builds.packages_are_current(sources.web)


def lock(web: Path, name: str, version: str) -> None:
    """Write a lock file. The installed one lacks what is for other machines."""
    packages = {"": {}, "node_modules/vite": {"version": version}, "node_modules/mac": {"optional": True}}
    kept = {key: one for key, one in packages.items() if not name.startswith("node_modules") or key.endswith("vite")}
    (web / name).parent.mkdir(exist_ok=True)
    (web / name).write_text(json.dumps({"packages": kept}))


def test_wheel_carries_its_viewer_built(sources: StackSources, made: list[str]) -> None:
    assert builds.build_viewer(StackSources(sources.root, is_checkout=False)) is False
    assert made == []


def test_local_cloud_and_deployment_to_an_emulator_share_a_build() -> None:
    """`logferry up` in the same checkout made it, or uses it."""
    sources = StackSources(ROOT, is_checkout=True)
    values = {**VALUES, "GatewayBase": "http://127.0.0.1:4566/_aws/execute-api"}
    assert builds.functions_folder(sources, values) == Checkout(ROOT).builds / "sam-3.13-arm64"
    assert builds.digest_of(ROOT, builds.STACK_FILES) == deployment.digest_of_sources(ROOT)
    assert builds.functions_folder(sources, VALUES).name == "sam-3.13-arm64-viewer"
