"""Test `logferry deploy` and `destroy` as operators use them: unattended, through the real SAM CLI, on the emulator."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import boto3
import httpx
import pytest
from playwright.sync_api import expect, sync_playwright
from tests.e2e.conftest import (
    LOGFERRY,
    PATIENCE_S,
    Agent,
    Cloud,
    Containers,
    assert_complete,
    numbered,
    wait_for,
)
from tests.support import previous_release
from tests.support.clouds import ministack
from tests.support.previous_release import Release
from tests.support.root_proxy import root_proxy

from logferry_local import deployment
from logferry_local.checkout import find_checkout
from logferry_local.cloud import websocket_address
from logferry_local.ports import free_port
from logferry_state.state import LocalKeys, LocalState, Tables, save_keys, save_state

pytestmark = [pytest.mark.cloud, pytest.mark.timeout(900)]

ROOT = Path(__file__).parents[2]
REGION = "eu-west-1"
STACK = "logs"
SAM_STACK = "aws-sam-cli-managed-default"


@dataclass(frozen=True)
class Operator:
    """Somebody with a shell, AWS credentials and a home folder."""

    address: str
    home: Path

    @property
    def environment(self) -> dict[str, str]:
        """Return the environment of the shell."""
        around = {name: value for name, value in os.environ.items() if not name.startswith(("LOGFERRY_", "AWS_"))}
        return around | {
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_REGION": REGION,
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "XDG_CONFIG_HOME": str(self.home / "config"),
            "XDG_STATE_HOME": str(self.home / "state"),
            "LOGFERRY_STACK": STACK,
        }

    def run(self, *words: str | Path, check: bool = True, **more: str) -> subprocess.CompletedProcess[str]:
        """Run a command of Logferry to its end."""
        done = subprocess.run(
            [LOGFERRY, *words],
            env=self.environment | more,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        assert not check or done.returncode == 0, done.stderr + done.stdout
        return done

    def deploy(self, *words: str | Path, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Deploy for the emulator's Python and processor."""
        target = deployment.parameters_of(deployment.this_machine(find_checkout()))
        given = [word for name, value in target.items() for word in ("--parameter", f"{name}={value}")]
        return self.run("deploy", "--yes", "--endpoint-url", self.address, *given, *words, check=check)

    def destroy(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Remove the deployment."""
        return self.run("destroy", "--yes", "--endpoint-url", self.address, *words)

    def client(self, service: str) -> Any:
        """Return a client of the emulator."""
        return cast(Any, boto3).client(
            service,
            endpoint_url=self.address,
            region_name=REGION,
            aws_access_key_id="test",
            aws_secret_access_key="test",
        )

    def outputs(self) -> dict[str, str]:
        """Return the stack's outputs."""
        (stack,) = self.client("cloudformation").describe_stacks(StackName=STACK)["Stacks"]
        return {one["OutputKey"]: one["OutputValue"] for one in stack["Outputs"]}

    def reads(self, key: str) -> httpx.Response:
        """Ask the deployed HTTP API who reads with this key."""
        return httpx.get(f"{self.outputs()['HttpUrl']}/api/me", headers={"Authorization": f"Bearer {key}"}, timeout=60)

    def settle(self) -> None:
        """Wait until archive has erased doctor's job: the emulator logs that at the end, and makes a group for it."""
        logs = self.client("logs")
        groups = [one["logGroupName"] for one in logs.describe_log_groups()["logGroups"]]
        (archive,) = (name for name in groups if "ArchiveLog" in name)
        wait_for(lambda: logs.describe_log_streams(logGroupName=archive)["logStreams"], "archive's first run")

    def left(self) -> dict[str, list[str]]:
        """Return everything in the account that costs money or holds data, but the SAM CLI's own bucket."""
        stacks = self.client("cloudformation").describe_stacks()["Stacks"]
        buckets = [one["Name"] for one in self.client("s3").list_buckets()["Buckets"]]
        sams = [one["OutputValue"] for one in stacks if one["StackName"] == SAM_STACK for one in one["Outputs"]]
        uploads = [
            one["Key"]
            for name in buckets
            if name in sams
            for one in self.client("s3").list_objects_v2(Bucket=name).get("Contents", ())
        ]
        return {
            "stacks": [one["StackName"] for one in stacks if one["StackName"] != SAM_STACK],
            "tables": self.client("dynamodb").list_tables()["TableNames"],
            "buckets": [name for name in buckets if name not in sams],
            "uploads": uploads,
            "functions": [one["FunctionName"] for one in self.client("lambda").list_functions()["Functions"]],
            "layers": [one["LayerName"] for one in self.client("lambda").list_layers()["Layers"]],
            "log groups": [one["logGroupName"] for one in self.client("logs").describe_log_groups()["logGroups"]],
            "APIs": [one["Name"] for one in self.client("apigatewayv2").get_apis()["Items"]],
            "roles": [one["RoleName"] for one in self.client("iam").list_roles()["Roles"]],
            "rules": [one["Name"] for one in self.client("events").list_rules()["Rules"]],
        }


NOTHING: dict[str, list[str]] = {
    name: []
    for name in (
        "stacks",
        "tables",
        "buckets",
        "uploads",
        "functions",
        "layers",
        "log groups",
        "APIs",
        "roles",
        "rules",
    )
}


@pytest.fixture
def operator(tmp_path: Path) -> Iterator[Operator]:
    """Provide an operator with an empty account."""
    with ministack() as address:
        yield Operator(address, tmp_path)


def key_in(path: Path) -> str:
    """Return a key that was written to a private file."""
    assert path.stat().st_mode & 0o077 == 0
    return path.read_text().strip()


def test_deployment_is_made_changed_destroyed_and_made_again_over_its_data(operator: Operator) -> None:
    """The short form, without an agent; `doctor --deep` in each deployment sends a line through."""
    refused = operator.deploy("--parameter", "BatchRetentionDays=1", check=False)
    assert refused.returncode == 1
    assert "BatchRetentionDays is 1, but must be at least 2" in refused.stderr
    assert operator.left() == NOTHING

    keys = operator.home / "keys"
    first = operator.deploy("--keys", keys, "--parameter", "BatchRetentionDays=14")
    admin = key_in(keys / "admin-key")
    assert admin not in first.stdout + first.stderr
    assert "stream and broadcast" in first.stdout
    assert f"--agents-url {operator.outputs()['AgentsUrl']} --key-file {keys / 'agent-key'}" in first.stdout
    assert operator.reads(admin).json()["admin"] is True
    data = {name: operator.outputs()[name] for name in ("LogTable", "RegistryTable", "ArchiveBucket")}

    operator.settle()
    destroyed = operator.destroy()
    left = operator.left()
    assert sorted([*left.pop("tables"), *left.pop("buckets")]) == sorted(data.values())
    assert left == {name: [] for name in left}
    assert all(name in destroyed.stdout for name in data.values())

    again = operator.deploy("--adopt", "--keys", keys)
    assert {name: operator.outputs()[name] for name in data} == data
    assert [path.name for path in keys.iterdir() if path.name != "agent-key"] == ["admin-key"]
    assert "stream and broadcast" in again.stdout
    assert operator.reads(admin).json()["admin"] is True
    ingest = operator.client("lambda").list_functions()["Functions"]
    days = {one["Environment"]["Variables"].get("BATCH_RETENTION_DAYS") for one in ingest}
    assert "14" in days, "the choice was forgotten"

    operator.settle()
    operator.destroy("--delete-data")
    assert operator.left() == NOTHING
    assert json.loads(next((operator.home / "config").rglob("*.json")).read_text())["kept"] is None


BROKEN = """Resources:
  Broken:
    Type: Custom::Broken
    Properties: {ServiceToken: !Sub "arn:aws:lambda:${AWS::Region}:${AWS::AccountId}:function:no-such"}
"""


def copy_of_checkout(folder: Path) -> Path:
    """Copy what git keeps of this checkout, with the environments beside it."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True)
    for name in listed.stdout.split("\0")[:-1]:
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    for name in (".venv-sam", ".venv-tools"):
        (folder / name).symlink_to(ROOT / name)
    return folder


@pytest.mark.slow
def test_failed_deployment_names_its_cause_and_the_next_one_clears_it(operator: Operator, tmp_path: Path) -> None:
    """A resource fails while the stack is created: the stack rolls back, and keeps no empty tables."""
    copy = copy_of_checkout(tmp_path / "copy")
    whole = (copy / "template.yaml").read_text()
    (copy / "template.yaml").write_text(whole.replace("Resources:\n", BROKEN, 1))
    target = deployment.parameters_of(deployment.this_machine(find_checkout()))
    words = ["deploy", "--yes", "--endpoint-url", operator.address]
    words += [word for name, value in target.items() for word in ("--parameter", f"{name}={value}")]
    program = [sys.executable, "-c", "from logferry_cli.app import main; main()"]
    environment = operator.environment | {"PYTHONPATH": f"{copy / 'cli'}:{copy / 'protocol'}"}

    def deploy() -> subprocess.CompletedProcess[str]:
        return subprocess.run([*program, *words], env=environment, capture_output=True, text=True, check=False)

    failed = deploy()
    assert failed.returncode == 1
    (problem,) = (line for line in failed.stderr.splitlines() if line.startswith("logferry: "))
    assert "ended with ROLLBACK_COMPLETE: Broken (Custom::Broken): " in problem
    assert "no-such" in problem
    assert operator.left()["tables"] == []

    (copy / "template.yaml").write_text(whole)
    mended = deploy()
    assert mended.returncode == 0, mended.stderr
    assert "Removing what a failed creation left behind" in mended.stderr
    operator.settle()
    operator.destroy("--delete-data")
    assert operator.left() == NOTHING


CHROMIUM = "/usr/bin/chromium"


def install_previous(operator: Operator, release: Release) -> None:
    """Deploy the previous release as its README says: `sam build && sam deploy`."""
    checkout = find_checkout()
    target = deployment.this_machine(checkout)
    parameters = {**deployment.parameters_of(target), "GatewayBase": f"{operator.address}/_aws/execute-api"}
    overrides = ["--parameter-overrides", *(f"{name}={value}" for name, value in parameters.items())]
    built = operator.home / "previous"
    more = {
        "PATH": f"{checkout.tools}:{os.environ['PATH']}",
        "LAYER_PYTHON": target.python,
        "LAYER_ARCH": {"arm64": "aarch64"}.get(target.architecture, target.architecture),
        "AWS_ENDPOINT_URL": operator.address,
        "AWS_DEFAULT_REGION": REGION,
        "SAM_CLI_TELEMETRY": "0",
        "SAM_CLI_POLL_DELAY": "0.1",
    }
    build: list[str | Path] = ["build", "--template", release.root / "template.yaml", "--build-dir", built]
    deploy: list[str | Path] = [
        "deploy",
        "--template-file",
        built / "template.yaml",
        "--stack-name",
        STACK,
        "--resolve-s3",
    ]
    deploy += [
        "--capabilities",
        "CAPABILITY_IAM",
        "CAPABILITY_AUTO_EXPAND",
        "--no-confirm-changeset",
        "--no-progressbar",
    ]
    for words in ([*build, *overrides], [*deploy, *overrides]):
        done = subprocess.run(
            [checkout.sam, *words],
            env=operator.environment | more,
            cwd=operator.home,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr


def cloud_of(operator: Operator, keys: LocalKeys, viewer_port: int) -> Cloud:
    """Return the deployed stack as the helpers of these tests know a cloud."""
    outputs, folder = operator.outputs(), operator.home / "cloud"
    folder.mkdir(exist_ok=True)
    state = LocalState(
        endpoint_url=operator.address,
        region=REGION,
        embedded=False,
        stack=STACK,
        agents_url=websocket_address(outputs["AgentsUrl"]),
        viewers_url=websocket_address(outputs["ViewersUrl"]),
        http_url=outputs["HttpUrl"],
        viewer_url=f"http://127.0.0.1:{viewer_port}",
        viewer_bucket=outputs["ViewerBucket"],
        tables=Tables(log=outputs["LogTable"], registry=outputs["RegistryTable"]),
        pids={},
    )
    save_state(folder, state)
    save_keys(folder, keys)
    return Cloud(folder, state, keys, cast(Any, None))


def open_gate(containers: Containers, name: str, gate: str) -> None:
    """Release a container that waits for `/gate`."""
    containers.engine.containers.get(name).exec_run(["/bin/sh", "-c", f": > /{gate}"])


def part(first: int, last: int, gate: str) -> str:
    """Return a script that waits for `/gate` and then writes lines `first` to `last`."""
    return f"until [ -e /{gate} ]; do sleep 0.1; done; {numbered(last, pause_every=50).replace('i=1;', f'i={first};')}"


@pytest.mark.slow
@pytest.mark.engine
@pytest.mark.browser
def test_whole_life_of_a_deployment_with_its_agent(operator: Operator, containers: Containers, tmp_path: Path) -> None:
    """0.1.0 with a running agent, its upgrade, a change, a browser, a removal, and a new stack over the kept data."""
    release, port = previous_release.check_out(tmp_path), free_port()
    install_previous(operator, release)
    before, plain = operator.outputs(), operator.left()["uploads"]
    made = [
        operator.run("keys", "create", *words, AWS_ENDPOINT_URL=operator.address).stdout.strip()
        for words in (("agent", "hosts"), ("viewer", "me", "--admin"))
    ]
    keys = LocalKeys(agent_key=made[0], viewer_key=made[1])
    cloud = cloud_of(operator, keys, port)
    name = containers.run("life", f"{numbered(100)}; {part(101, 200, 'b')}; {part(201, 300, 'c')}; exit 3")
    agent = Agent(cloud, operator.home, containers.prefix)
    agent.start(**release.environment)
    try:
        job = cloud.job_of(name)
        wait_for(lambda: cloud.tip(job) >= 50, "entry 50")

        upgraded = operator.deploy("--parameter", f"ViewerOrigins=http://127.0.0.1:{port}")
        assert "Admin and agents have keys already" in upgraded.stderr
        same = ("LogTable", "RegistryTable", "ArchiveBucket", "AgentsUrl", "ViewersUrl", "HttpUrl")
        assert {one: operator.outputs()[one] for one in same} == {one: before[one] for one in same}
        open_gate(containers, name, "b")
        wait_for(lambda: cloud.tip(job) >= 150, "entry 150, from the previous release's agent")

        changed = ("ViewerHosting=api", "BatchRetentionDays=14")
        operator.deploy(*(word for one in changed for word in ("--parameter", one)))
        refused = operator.deploy("--parameter", "ExistingLogTable=other", check=False)
        assert "ExistingLogTable of a deployed stack must stay empty" in refused.stderr
        with root_proxy(cloud.state.http_url, port), sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
            page = browser.new_page()
            page.set_default_timeout(PATIENCE_S * 1000)
            page.goto(f"http://127.0.0.1:{port}/#key={keys.viewer_key}")
            page.locator(f"[data-job='{job}'] a").first.click()
            expect(page.get_by_text("00200")).to_be_visible(timeout=PATIENCE_S * 1000)
            browser.close()

        operator.destroy()
        agent.kill()
        operator.deploy("--adopt")
        after = operator.outputs()
        assert [after[one] for one in same[:3]] == [before[one] for one in same[:3]]
        assert after["AgentsUrl"] != before["AgentsUrl"]
        cloud = cloud_of(operator, keys, port)
        agent.start(PYTHONPATH="", LOGFERRY_AGENTS_URL=cloud.state.agents_url)
        open_gate(containers, name, "c")
        assert cloud.ended(name) == job
        assert_complete(cloud.exported(name), 300)
    finally:
        agent.stop()
    operator.settle()
    operator.destroy("--delete-data")
    assert operator.left() == NOTHING | {"uploads": plain}, "what plain `sam deploy` uploaded has no name of a stack"
