"""Test the wheel and the sdist of this tree, and the command alone, as installed from the wheel.

This is the short form of `make dist`, which also installs with uv and pipx, with every extra, and with the lowest
versions.
"""

from __future__ import annotations

import os
import shutil
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
from infra.release.artefacts import ROOT, UV, Artefacts, build, build_wheel, copy_tree
from infra.release.build_hook import STACK, carried_files
from infra.release.clean_environments import Installation, check_local_cloud, clean_environment, with_uv
from infra.release.leaks import environment_words, leaks, names
from infra.release.programs import run
from tests.support.clouds import ministack

from logferry_local import viewer_files
from logferry_local.checkout import find_checkout
from logferry_local.deployment import parameters_of, this_machine
from logferry_protocol import __version__

PACKAGES = ("protocol/logferry_protocol", "agent/logferry_agent", "cli/logferry_cli", "cli/logferry_state")


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a copy of this tree with the viewer built."""
    folder = tmp_path_factory.mktemp("dist") / "tree"
    copy_tree(folder)
    checkout = find_checkout()
    viewer_files.build(checkout)
    shutil.copytree(checkout.viewer_files, folder / "web" / "dist")
    return folder


@pytest.fixture(scope="module")
def artefacts(tree: Path) -> Artefacts:
    """Return the sdist of the tree, and the wheel of the sdist."""
    return build(tree, tree.parent / "made")


@pytest.fixture(scope="module")
def installed(artefacts: Artefacts, tree: Path) -> Installation:
    """Return the command alone, with the locked versions of its requirements."""
    folder = tree.parent / "installed"
    # The cache that `make setup` filled, so that the index is hardly asked.
    cache = run([UV, "cache", "dir"], env=os.environ).strip()
    environment = clean_environment(tree.parent / "home") | {"UV_CACHE_DIR": cache}
    run([UV, "venv", "--quiet", folder], env=environment)
    locked = ("--constraints", ROOT / "requirements" / "dev.txt", "--python", folder / "bin" / "python")
    run([UV, "pip", "install", "--quiet", *locked, artefacts.wheel], env=environment)
    return Installation(folder / "bin", environment, "")


def test_sdist_and_tree_give_the_same_wheel(artefacts: Artefacts, tree: Path) -> None:
    direct = build_wheel(tree, tree.parent / "direct")
    assert direct.read_bytes() == artefacts.wheel.read_bytes()


def test_wheel_has_every_package_and_the_stack(artefacts: Artefacts, tree: Path) -> None:
    """Nothing else is in it, and the stack's files are those of the tree."""
    packages = [
        path.relative_to(folder.parent).as_posix()
        for folder in (tree / name for name in (*PACKAGES, "infra/local/logferry_local"))
        for path in folder.rglob("*")
        if path.is_file()
    ]
    found = [name for name in names(artefacts.wheel) if ".dist-info/" not in name]
    assert found == sorted([*packages, *(f"{STACK}/{name}" for name in carried_files(tree))])
    with zipfile.ZipFile(artefacts.wheel) as wheel:
        for name in carried_files(tree):
            assert wheel.read(f"{STACK}/{name}") == (tree / name).read_bytes(), name


def test_artefacts_name_nothing_of_this_machine(artefacts: Artefacts, tree: Path) -> None:
    words = environment_words((ROOT, tree, Path.home()), "")
    assert [leaks(artefact, words) for artefact in (artefacts.sdist, artefacts.wheel)] == [[], []]


def test_command_alone_runs_without_extras(installed: Installation) -> None:
    assert installed.run("logferry --version") == f"logferry {__version__}\n"
    assert "Not installed: needs the extra" in installed.run("logferry --help")
    assert "logferry up" in installed.refusal("logferry jobs")


@pytest.mark.parametrize("command", ["logferry agent", "logferry-agent"])
def test_command_of_an_extra_says_how_to_install_it(
    command: str, installed: Installation, artefacts: Artefacts
) -> None:
    assert installed.refusal(command).endswith(f"'logferry[agent] @ {artefacts.wheel.as_uri()}'`.")


def test_command_alone_finds_the_stack_that_its_wheel_carries(installed: Installation) -> None:
    program = (
        "from logferry_cli.stack_sources import find_stack_sources as find; found = find();"
        "print(found.is_checkout, found.missing(), found.root)"
    )
    done = run([installed.programs / "python", "-c", program], env=installed.environment).split()
    assert done[:2] == ["False", "[]"]
    assert Path(done[2]).is_relative_to(installed.programs.parent)


@pytest.mark.cloud
def test_stack_builds_from_what_the_wheel_carries(artefacts: Artefacts, tmp_path: Path) -> None:
    """The built viewer is part of the function that publishes it."""
    with zipfile.ZipFile(artefacts.wheel) as wheel:
        wheel.extractall(tmp_path / "site-packages")
    stack = tmp_path / "site-packages" / STACK
    checkout = find_checkout()
    overrides = [f"{name}={value}" for name, value in parameters_of(this_machine(checkout)).items()]
    sam = (checkout.sam, "build", "--template", stack / "template.yaml", "--build-dir", tmp_path / "built")
    with_uv = {"PATH": f"{checkout.tools}:{os.environ['PATH']}", "SAM_CLI_TELEMETRY": "0"}
    run(
        [*sam, "--parameter-overrides", *overrides],
        cwd=tmp_path,
        env={**os.environ, **with_uv},
    )
    assert (tmp_path / "built" / "Publish" / "viewer" / "index.html").is_file()
    assert (tmp_path / "built" / "Protocol" / "python" / "logferry_protocol" / "messages.py").is_file()


@pytest.mark.slow
@pytest.mark.cloud
def test_command_alone_deploys_and_destroys(installed: Installation, tmp_path: Path) -> None:
    """With the SAM CLI, make and uv on the path, from nothing but the wheel."""
    checkout, home = find_checkout(), tmp_path / "home"
    path = f"{checkout.sam.parent}:{checkout.tools}:{installed.environment['PATH']}"
    account = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_REGION": "us-east-1"}
    with ministack() as url:
        own = clean_environment(home) | {"PATH": path, "LOGFERRY_STACK": "wheel", "AWS_ENDPOINT_URL": url} | account
        operator = replace(installed, environment=own)
        parameters = parameters_of(this_machine(checkout)) | {"GatewayBase": f"{url}/_aws/execute-api"}
        chosen = " ".join(f"--parameter {name}={value}" for name, value in parameters.items())
        operator.run(f"logferry deploy --endpoint-url {url} --yes --keys {home / 'keys'} {chosen}")
        assert "viewer admin: subject admin, admin" in operator.run("logferry keys list")
        operator.run(f"logferry destroy --endpoint-url {url} --yes --delete-data")
        assert "wheel" in operator.refusal("logferry keys list")


@pytest.mark.slow
@pytest.mark.cloud
def test_local_cloud_runs_from_the_wheel(artefacts: Artefacts, tmp_path: Path) -> None:
    """With the emulator and the SAM CLI that it installs into the user's cache. Its own files stay as they were."""
    installed = with_uv(artefacts.wheel, "local", tmp_path / "home")
    tools = tmp_path / "home" / ".local" / "share" / "uv" / "tools"
    before = files_of(tools)
    check_local_cloud(installed, tmp_path / "state")
    assert files_of(tools) == before
    assert (tmp_path / "home" / ".cache" / "logferry" / ".venv-sam").is_dir()


def files_of(folder: Path) -> set[Path]:
    return {path for path in folder.rglob("*") if path.is_file() and path.suffix != ".pyc"}
