"""The agent's image: built without a registry, run as it is documented."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.support.fake_ingest import ROOT, Sink, wait_until
from tests.support.sts import SignatureCheckingSts, made_up, metadata_server

from connect.aws_identity import SignedRequest, caller, parse

TAG = "logferry-agent-test"
KEY = "lfa_" + "a" * 12 + "_" + "b" * 43
HARDENED = ["--cap-drop=ALL", "--security-opt=no-new-privileges", "--read-only", "--network=host"]

pytestmark = pytest.mark.engine


def docker(*arguments: str) -> str:
    return subprocess.run(["docker", *arguments], check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture(scope="module")
def image() -> Iterator[str]:
    built = subprocess.run(["infra/agent/build.sh", TAG], cwd=ROOT, check=False, capture_output=True, text=True)
    assert built.returncode == 0, built.stderr
    yield TAG
    subprocess.run(["docker", "rmi", "-f", TAG, f"{TAG}-base"], check=False, capture_output=True)


@pytest.mark.timeout(600)
def test_the_hardened_image_carries_a_container_exactly(image: str, tmp_path: Path) -> None:
    """Every capability dropped, root file system read-only: and itself it does not ship."""
    name = f"{TAG}-{tmp_path.name[-8:]}".replace("_", "-")
    with Sink() as sink:
        settings = {
            "AGENTS_URL": sink.url,
            "AGENT_KEY": KEY,
            "START_AT": "beginning",
            "INCLUDE_NAMES": f"{name}-*",
        }
        agent = docker(
            *("run", "-d", "--name", f"{name}-agent", *HARDENED),
            *("-v", "/var/run/docker.sock:/var/run/docker.sock"),
            *("-v", "/var/lib/docker/containers:/var/lib/docker/containers:ro"),
            *(part for key, value in settings.items() for part in ("-e", f"LOGFERRY_{key}={value}")),
            image,
        )
        job = None
        try:
            script = "import sys; [print('line', i, file=(sys.stdout, sys.stderr)[i % 3 == 0]) for i in range(3000)]"
            # The image asks not to be shipped, so this container of it asks for the opposite.
            label = "--label=logferry.enable=true"
            job = docker("run", "-d", "--name", f"{name}-job", label, "--entrypoint=python", image, "-uc", script)
            # started, the lines, exited
            wait_until(lambda: sink.tip(job) >= 3_002 or not running(agent), 120)
            assert running(agent), docker("logs", agent)
            texts = [text for _, _, stream, text in sink.entries(job) if stream != "s"]
            assert sorted(texts, key=lambda text: int(text.split()[1])) == [f"line {index}" for index in range(3_000)]
            assert sink.lives()["lives"][job]["life"]["source"] == "file"
            assert list(sink.counts()["jobs"]) == [job]
            assert docker("exec", agent, "python", "-m", "logferry_agent", "health") == "ok"
            assert job[:12] in docker("exec", agent, "python", "-m", "logferry_agent", "status")
            docker("stop", agent)
            assert docker("inspect", "-f", "{{.State.ExitCode}}", agent) == "0"
        finally:
            for container in filter(None, (agent, job)):
                subprocess.run(["docker", "rm", "-fv", container], check=False, capture_output=True)


@pytest.mark.timeout(600)
def test_the_image_signs_as_an_aws_role(image: str) -> None:
    """With what is left of botocore in it, from an ECS task's credentials; STS, computing the signature, agrees."""
    credentials = made_up()
    with metadata_server(credentials) as server:
        script = "from logferry_agent.edge.credential import AwsRole; print(AwsRole('api1', 'eu-west-1').token())"
        variables = [part for pair in server.environment("ecs").items() for part in ("-e", "=".join(pair))]
        words = ["run", "--rm", *HARDENED, *variables, "--entrypoint=python", image, "-c", script]
        request = parse(docker(*words), ("eu-west-1",), datetime.now(UTC))
    assert isinstance(request, SignedRequest)
    role = caller(request, "api1", SignatureCheckingSts([credentials]))
    assert role == "arn:aws:iam::123456789012:role/Fleet"


def running(container: str) -> bool:
    return docker("inspect", "-f", "{{.State.Running}}", container) == "true"
