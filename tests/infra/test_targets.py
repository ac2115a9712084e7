"""Test that packages are built for the runtime and processor that the template's parameters name."""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import pytest
import yaml
from tests.support.compiled_files import assert_bytecode_needs_no_check, assert_libraries_are_for

from logferry_local.checkout import find_checkout

ROOT: Final = Path(__file__).parents[2]
SCRIPT: Final = ROOT / "infra" / "targets" / "package.sh"
HERE: Final = f"python{sys.version_info.major}.{sys.version_info.minor}-x86_64"
Document = dict[str, Any]


def targets() -> list[str]:
    """Return each pair of values that PythonRuntime and Architecture allow."""
    text = (ROOT / "template.yaml").read_text().split("\nRules:")[0]
    parameters = yaml.safe_load(text[text.index("\nParameters:") :])["Parameters"]
    both = (parameters[name]["AllowedValues"] for name in ("PythonRuntime", "Architecture"))
    return ["-".join(pair) for pair in itertools.product(*both)]


def package(
    target: str, resource: str, sources: Path, folder: Path, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run the script as the target's Makefile does."""
    return subprocess.run(
        ["sh", SCRIPT, target, resource, folder],
        cwd=sources,
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": os.environ["PATH"], "HOME": str(folder.parent), **environment},
    )


def content(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_every_allowed_pair_of_parameters_has_a_target() -> None:
    """And no folder is left from a value that is not allowed."""
    assert sorted(path.parent.name for path in SCRIPT.parent.glob("*/Makefile")) == sorted(targets())
    assert len({path.read_text() for path in SCRIPT.parent.glob("*/Makefile")}) == 1


def test_every_package_is_built_by_the_target_of_the_parameters(resources: dict[str, Document]) -> None:
    """A package without this would be built for one target, whatever the parameters are."""
    built = {n: r for n, r in resources.items() if r["Type"].startswith("AWS::Serverless::") and "Metadata" in r}
    assert {"Protocol", "Connect", "Publish"} <= set(built)
    for name, resource in resources.items():
        if resource["Type"] in ("AWS::Serverless::Function", "AWS::Serverless::LayerVersion"):
            metadata = built[name]["Metadata"]
            assert metadata["ContextPath"] == {"Fn::Sub": "infra/targets/${PythonRuntime}-${Architecture}"}, name
            assert metadata["BuildMethod"] == "makefile", name


def test_python_that_lambda_runs_on_an_old_c_library_is_refused_on_aws(template: Document) -> None:
    """Only local clouds may use python3.11: no wheels of google-re2 are for Amazon Linux 2."""
    rule = template["Rules"]["RuntimeOfLambda"]
    assert rule["RuleCondition"] == {"Fn::Equals": [{"Ref": "GatewayBase"}, ""]}
    assert rule["Assertions"][0]["Assert"] == {"Fn::Not": [{"Fn::Equals": [{"Ref": "PythonRuntime"}, "python3.11"]}]}


def test_functions_package_has_bytecode_and_is_the_same_each_time(tmp_path: Path) -> None:
    """Otherwise an unchanged function would deploy as a changed one."""
    folders = tmp_path / "one", tmp_path / "two"
    for seed, folder in enumerate(folders):
        done = package(HERE, "Connect", ROOT / "functions", folder, PYTHONHASHSEED=str(seed))
        assert done.returncode == 0, done.stderr
        assert_bytecode_needs_no_check(folder)
    assert content(folders[0]) == content(folders[1])


def test_package_for_a_python_that_is_not_there_has_no_bytecode(tmp_path: Path) -> None:
    """Bytecode of another version would only be ballast; the build says so and passes."""
    done = package("python3.99-arm64", "Connect", ROOT / "functions", tmp_path / "out")
    assert (done.returncode, done.stderr) == (0, "")
    assert "no Python 3.99 on this machine" in done.stdout
    assert not list((tmp_path / "out").rglob("*.pyc"))


def test_publish_without_the_built_viewer_fails_with_what_to_run(tmp_path: Path) -> None:
    """Otherwise the deployment would fail at its very end."""
    sources = tmp_path / "sources"
    (sources / "functions").mkdir(parents=True)
    (sources / "functions" / "module.py").write_text("")
    done = package(HERE, "Publish", sources, tmp_path / "out")
    assert done.returncode != 0
    assert "`npm ci && npm run build`" in done.stderr
    assert package(HERE, "Publish", sources, tmp_path / "local", WITHOUT_VIEWER="1").returncode == 0
    (sources / "web" / "dist").mkdir(parents=True)
    for name in ("index.html", "config.json"):
        (sources / "web" / "dist" / name).write_text(name)
    done = package(HERE, "Publish", sources, tmp_path / "full")
    assert done.returncode == 0, done.stderr
    assert {"module.py", "viewer/index.html"} <= set(content(tmp_path / "full"))
    assert content(tmp_path / "full")["target"].decode().strip() == HERE
    assert "viewer/config.json" not in content(tmp_path / "full"), "the deployment writes its own"


def test_layer_without_uv_fails_with_what_to_install(tmp_path: Path) -> None:
    """`make setup` installs one, so the script is copied away from this checkout."""
    programs = tmp_path / "programs"
    programs.mkdir()
    for name in ("sh", "dirname", "mkdir"):
        (programs / name).symlink_to(str(shutil.which(name)))
    script = shutil.copy(SCRIPT, tmp_path / "package.sh")
    done = subprocess.run(
        [programs / "sh", script, HERE, "Protocol", tmp_path / "out"],
        env={"PATH": str(programs), "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    assert "uv is not on the path" in done.stderr
    assert "pipx install uv" in done.stderr


@pytest.mark.cloud
@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("target", targets())
def test_plain_build_makes_packages_for_the_parameters(target: str, tmp_path: Path) -> None:
    """As a user calls it: `sam build --parameter-overrides …`, from a folder whose name has a space."""
    runtime, architecture = target.rsplit("-", 1)
    checkout = find_checkout()
    folder = tmp_path / "a checkout"
    folder.mkdir()
    for name in ("template.yaml", "protocol", "functions", "infra"):
        (folder / name).symlink_to(ROOT / name)
    (folder / "web" / "dist").mkdir(parents=True)
    (folder / "web" / "dist" / "index.html").write_text("")
    overrides = [f"PythonRuntime={runtime}", f"Architecture={architecture}"]
    done = subprocess.run(
        [checkout.sam, "build", "--parameter-overrides", *overrides],
        cwd=folder,
        env={**os.environ, "PATH": f"{checkout.tools}:{os.environ['PATH']}", "SAM_CLI_TELEMETRY": "0"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    layer = folder / ".aws-sam" / "build" / "Protocol"
    assert_libraries_are_for(layer, runtime.removeprefix("python"), architecture)
    if runtime == HERE.rsplit("-", 1)[0]:
        assert_bytecode_needs_no_check(layer)
