"""Test the agent's image, built without a registry and run as documented."""

from __future__ import annotations

import os
import shlex
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.support.engines import machine_host
from tests.support.fake_ingest import ROOT, FakeIngestProcess, wait_until
from tests.support.sts import SignatureCheckingSts, metadata_server, random_credentials

from connect.aws_identity import SignedRequest, caller, parse
from connect.core import Caller
from logferry_protocol import __version__

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
    subprocess.run(
        ["docker", "image", "prune", "-f", "--filter", "label=logferry.stage=build"], check=False, capture_output=True
    )


def documented(name: str, image: str, folder: Path, sink: FakeIngestProcess) -> list[str]:
    """Return the documented `docker run` with this test's names and host paths, and the address of a local cloud."""
    text = (ROOT / "infra" / "agent" / "README.md").read_text().replace("\\\n", " ")
    line = next(line for line in text.splitlines() if line.strip().startswith("docker run --detach"))
    words = shlex.split(line)[1:]
    words[words.index("--name") + 1] = name
    words[-1:] = ["--network=host", "--env", f"LOGFERRY_INCLUDE_NAMES={name}-*", image]
    for index, word in enumerate(words):
        if word.startswith("LOGFERRY_AGENTS_URL="):
            words[index] = f"LOGFERRY_AGENTS_URL={sink.url}"
        for place in ("/etc/logferry", "/var/lib/logferry"):
            if word.startswith(f"{place}:"):
                words[index] = f"{folder}{word}"
    for place in ("etc/logferry", "var/lib/logferry"):
        (folder / place).mkdir(parents=True)
    (folder / "etc/logferry/agent-key").write_text(KEY)
    return words


@contextmanager
def removed(*names: str) -> Iterator[None]:
    """Remove containers after the block."""
    try:
        yield
    finally:
        for name in names:
            subprocess.run(["docker", "rm", "-fv", name], check=False, capture_output=True)


LINES = 3_000
WRITE = f"import sys; [print('line', i, file=(sys.stdout, sys.stderr)[i % 3 == 0]) for i in range({LINES})]"


def shipped_container(sink: FakeIngestProcess, image: str, agent: str, name: str) -> str:
    """Run a container whose lines an agent ships, check them, and return its id."""
    # The image asks not to be shipped, so this container of it asks for the opposite.
    label = "--label=logferry.enable=true"
    job = docker("run", "-d", "--name", name, label, "--entrypoint=python", image, "-uc", WRITE)
    # started, the lines, exited
    wait_until(lambda: sink.tip(job) >= LINES + 2 or not running(agent), 120)
    assert running(agent), docker("logs", agent)
    texts = [text for _, _, stream, text in sink.entries(job) if stream != "s"]
    assert sorted(texts, key=lambda text: int(text.split()[1])) == [f"line {index}" for index in range(LINES)]
    return job


@pytest.mark.timeout(600)
def test_documented_command_ships_a_container_exactly(image: str, tmp_path: Path) -> None:
    """All capabilities are dropped, the root is read-only, the key is a file. The agent does not ship itself."""
    name = f"{TAG}-{tmp_path.name[-8:]}".replace("_", "-")
    with FakeIngestProcess() as sink, removed(name, f"{name}-job"):
        docker(*documented(name, image, tmp_path, sink))
        job = shipped_container(sink, image, name, f"{name}-job")
        assert sink.lives()["lives"][job]["life"]["source"] == "file"
        assert list(sink.counts()["jobs"]) == [job]
        assert docker("exec", name, "python", "-m", "logferry_agent", "health") == "ok"
        assert job[:12] in docker("exec", name, "python", "-m", "logferry_agent", "status")
        docker("stop", name)
        assert docker("inspect", "-f", "{{.State.ExitCode}}", name) == "0"


def test_labels_name_the_version_of_the_agent_inside_and_its_commit(image: str) -> None:
    def label(name: str) -> str:
        return docker("inspect", "-f", f'{{{{index .Config.Labels "org.opencontainers.image.{name}"}}}}', image)

    assert docker("run", "--rm", "--network=none", image, "--version") == label("version") == __version__
    head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=True)
    assert label("revision").removesuffix("-dirty") == head.stdout.strip()
    assert label("base.name") == f"{TAG}-base"


METRICS = """
from pathlib import Path
from logferry_agent.edge.health import ask
print(ask(Path("/var/lib/logferry"), "/metrics")[1].decode())
"""


@pytest.mark.timeout(600)
def test_backlog_goes_through_the_preencode_process(image: str, tmp_path: Path) -> None:
    """The container is hardened as documented; lines from before the agent started are shipped exactly.

    They are many enough to outlast the start of the process, also on a busy machine.
    """
    name, lines = f"{TAG}-{tmp_path.name[-8:]}".replace("_", "-"), 400_000
    with FakeIngestProcess() as sink, removed(name, f"{name}-job"):
        write = f"for i in range({lines}): print('line', i)"
        label = "--label=logferry.enable=true"
        job = docker("run", "-d", "--name", f"{name}-job", label, "--entrypoint=python", image, "-c", write)
        docker("wait", job)
        docker(*documented(name, image, tmp_path, sink))
        wait_until(lambda: sink.tip(job) >= lines + 2 or not running(name), 120)
        assert running(name), docker("logs", name)
        texts = [text for _, _, stream, text in sink.entries(job) if stream == "o"]
        assert texts == [f"line {index}" for index in range(lines)]
        page = docker("exec", name, "python", "-c", METRICS)
        (pressed,) = [line for line in page.splitlines() if line.startswith("logferry_agent_pressed_events_total ")]
        assert float(pressed.split()[1]) > 0


@pytest.mark.timeout(600)
def test_unprivileged_user_reads_through_the_api(image: str, tmp_path: Path) -> None:
    """The documented alternative to uid 0: the socket's group, its own spool, no log folder."""
    name = f"{TAG}-{tmp_path.name[-8:]}".replace("_", "-")
    spool = tmp_path / "spool"
    spool.mkdir()
    os.chown(spool, 65534, 65534)
    socket = machine_host().removeprefix("unix://")
    group = Path(socket).stat().st_gid
    with FakeIngestProcess() as sink, removed(name, f"{name}-job"):
        settings = {"AGENTS_URL": sink.url, "AGENT_KEY": KEY, "INCLUDE_NAMES": f"{name}-*"}
        docker(
            *("run", "-d", "--name", name, *HARDENED, "--user=65534:65534", f"--group-add={group}"),
            *("-v", f"{socket}:/var/run/docker.sock:ro", "-v", f"{spool}:/var/lib/logferry"),
            *(part for key, value in settings.items() for part in ("-e", f"LOGFERRY_{key}={value}")),
            image,
        )
        job = shipped_container(sink, image, name, f"{name}-job")
        assert sink.lives()["lives"][job]["life"]["source"] == "api"


@pytest.mark.timeout(600)
def test_image_signs_as_an_aws_role(image: str) -> None:
    """The image keeps a part of botocore only. Credentials are an ECS task's, and STS accepts the signature."""
    credentials = random_credentials()
    with metadata_server(credentials) as server:
        script = "from logferry_agent.edge.credentials import AwsRole; print(AwsRole('api1', 'eu-west-1').token())"
        variables = [part for pair in server.environment("ecs").items() for part in ("-e", "=".join(pair))]
        words = ["run", "--rm", *HARDENED, *variables, "--entrypoint=python", image, "-c", script]
        request = parse(docker(*words), ("eu-west-1",), datetime.now(UTC))
    assert isinstance(request, SignedRequest)
    found = caller(request, "api1", SignatureCheckingSts([credentials]))
    assert found == Caller("arn:aws:iam::123456789012:role/Fleet", credentials.unique_id)


def running(container: str) -> bool:
    return docker("inspect", "-f", "{{.State.Running}}", container) == "true"
