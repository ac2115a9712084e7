"""Run everything together: a local cloud from the real template, real agents, containers and commands.

The strict gateway stands in front of the cloud: frames, idle times, concurrency and route responses are as AWS
documents them, not as the emulator has them.
"""

from __future__ import annotations

import json
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import docker
import docker.errors
import httpx
import pytest
from docker.models.containers import Container
from tests.support.gateway.process import GatewayProcess

from logferry_local import viewer_process
from logferry_local.checkout import find_checkout
from logferry_local.images import make_sample_image
from logferry_protocol.batch import decode_body
from logferry_protocol.messages import BatchFacts
from logferry_state.processes import ProcessTable, stop
from logferry_state.state import LocalKeys, LocalState, load_keys, load_state, save_state

PATIENCE_S = 180.0
"""Seconds to wait for any condition: generous, as the machine may be busy."""

T = TypeVar("T")
LOGFERRY = Path(sys.executable).parent / "logferry"


def wait_for(find: Callable[[], T | None], what: str) -> T:
    """Return what `find` returns, once it is truthy."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        if found := find():
            return found
        time.sleep(0.1)
    pytest.fail(f"{what} did not come within {PATIENCE_S:.0f} s")


@dataclass(frozen=True)
class Cloud:
    """The local cloud of this session. The addresses of its state are the gateway's."""

    folder: Path
    state: LocalState
    keys: LocalKeys
    gateway: GatewayProcess

    def environment(self, **more: str) -> dict[str, str]:
        """Return the environment in which a command finds this cloud and no other."""
        around = {name: value for name, value in os.environ.items() if not name.startswith(("LOGFERRY_", "AWS_"))}
        return around | {"LOGFERRY_STATE": str(self.folder)} | more

    def logferry(self, *words: str, check: bool = True, **more: str) -> subprocess.CompletedProcess[bytes]:
        """Run a command to its end."""
        done = subprocess.run(
            [LOGFERRY, *words], capture_output=True, env=self.environment(**more), stdin=subprocess.DEVNULL, check=False
        )
        assert not check or done.returncode == 0, done.stderr.decode()
        return done

    def get(self, path: str, **query: Any) -> Any:
        """Return the HTTP API's answer to the local viewer."""
        headers = {"Authorization": f"Bearer {self.keys.viewer_key}"}

        def ask() -> httpx.Response | None:
            # On a busy machine the emulator sometimes times a function out, as AWS does; readers retry.
            try:
                answer = httpx.get(f"{self.state.http_url}{path}", params=query, headers=headers, timeout=60)
            except httpx.TransportError:
                return None
            return None if answer.status_code >= 500 else answer

        answer = wait_for(ask, f"an answer to {path}")
        answer.raise_for_status()
        return answer.json()

    def job_of(self, name: str) -> str:
        """Return the job of a container, once it exists."""

        def find() -> str | None:
            jobs = self.get("/api/jobs", name=name)["jobs"]
            return jobs[0]["job"] if jobs else None

        return wait_for(find, f"the job of {name}")

    def tip(self, job: str) -> int:
        """Return the job's last stored sequence."""
        return int(self.get(f"/api/jobs/{job}/batches", before=2**53 - 1, limit=1)["tip"])

    def ended(self, name: str) -> str:
        """Return the job of a container, once the end of its run is stored."""
        job = self.job_of(name)

        def is_over() -> bool:
            batches = self.get(f"/api/jobs/{job}/batches", before=2**53 - 1, limit=1)["batches"]
            if not batches:
                return False
            columns = decode_body(BatchFacts.model_validate_json(json.dumps(batches[-1])).body)
            return columns.streams[-1] == "s" and '"exited"' in columns.texts[-1]

        wait_for(is_over, f"the end of {name}")
        return job

    def exported(self, name: str) -> list[dict[str, Any]]:
        """Return the job as `logferry export --format jsonl` writes it."""
        return [json.loads(line) for line in self.logferry("export", name, "--format", "jsonl").stdout.splitlines()]


@pytest.fixture(scope="session")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    """Provide one local cloud for all tests here, as `logferry up` makes it, without an agent, behind the gateway."""
    folder = tmp_path_factory.mktemp("cloud")
    around = {name: value for name, value in os.environ.items() if not name.startswith(("LOGFERRY_", "AWS_"))}
    environment = around | {"LOGFERRY_STATE": str(folder)}
    try:
        up = subprocess.run(
            [LOGFERRY, "up", "--detach", "--no-agent"], capture_output=True, text=True, env=environment, check=False
        )
        assert up.returncode == 0, up.stderr
        with gateway_before(folder, load_state(folder)) as gateway:
            yield Cloud(folder, load_state(folder), load_keys(folder), gateway)
    finally:
        subprocess.run([LOGFERRY, "down"], capture_output=True, env=environment, check=False)


@contextmanager
def gateway_before(folder: Path, direct: LocalState) -> Iterator[GatewayProcess]:
    """Run a strict gateway whose addresses replace the emulator's for every command and the viewer's page.

    The functions' DynamoDB calls go through it as well.
    """
    gateway = GatewayProcess(direct.endpoint_url, "--tables", "--concurrency", "2", access_key=direct.access_key)
    try:
        state = direct.model_copy(
            update={
                "agents_url": gateway.addresses["Agents"],
                "viewers_url": gateway.addresses["Viewers"],
                "http_url": direct.http_url.replace(direct.endpoint_url, gateway.url),
            }
        )
        save_state(folder, state)
        viewer, port = ProcessTable(folder).running(viewer_process.ROLE), urlsplit(direct.viewer_url).port
        assert viewer is not None
        assert port is not None
        stop(viewer)
        viewer_process.start(
            viewer_process.command(find_checkout(), port, state.http_url, state.viewers_url), folder, port
        )
        yield gateway
    finally:
        gateway.stop()


@dataclass
class Containers:
    """Containers of one test, removed at its end. Their names begin with the test's own prefix."""

    engine: docker.DockerClient
    image: str
    prefix: str = field(default_factory=lambda: f"lf-e2e-{secrets.token_hex(4)}")
    started: list[Container] = field(default_factory=list)

    def run(self, what: str, script: str, **options: Any) -> str:
        """Start a container with a shell script and return its name."""
        name = f"{self.prefix}-{what}"
        command = ["/bin/sh", "-c", script]
        self.started.append(self.engine.containers.run(self.image, command, name=name, detach=True, **options))
        return name

    def remove(self) -> None:
        """Remove all of them."""
        for container in self.started:
            try:
                container.remove(force=True, v=True)
            except docker.errors.NotFound:
                continue


@pytest.fixture(scope="session")
def engine() -> Iterator[tuple[docker.DockerClient, str]]:
    """Provide the Docker Engine and an image with a shell."""
    client = docker.from_env()
    image = f"lf-e2e-{secrets.token_hex(4)}"
    make_sample_image(find_checkout(), image)
    try:
        yield client, image
    finally:
        client.images.remove(image, force=True)
        client.close()


@pytest.fixture
def containers(engine: tuple[docker.DockerClient, str]) -> Iterator[Containers]:
    """Provide the containers of this test."""
    made = Containers(*engine)
    try:
        yield made
    finally:
        made.remove()


class Agent:
    """An agent as a process, for the containers of one test only. It keeps its spool when restarted."""

    def __init__(self, cloud: Cloud, folder: Path, names: str, **settings: str) -> None:
        self._cloud, self._folder, self._names = cloud, folder, names
        self._settings = {"LOGFERRY_AGENT_KEY": cloud.keys.agent_key, "LOGFERRY_AGENTS_URL": cloud.state.agents_url}
        self._settings |= settings
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def log(self) -> str:
        """Return its log so far."""
        return (self._folder / "agent.log").read_text()

    def start(self, **settings: str) -> None:
        """Start it on its old spool, with these settings from now on."""
        self._settings |= settings
        environment = self._cloud.environment(
            LOGFERRY_SPOOL_DIR=str(self._folder / "spool"),
            LOGFERRY_INCLUDE_NAMES=f"{self._names}-*",
            LOGFERRY_LOG_FORMAT="json",
            **({"LOGFERRY_ANSWER_TIMEOUT": "3", "LOGFERRY_FLUSH_INTERVAL": "1"} | self._settings),
        )
        environment.pop("LOGFERRY_STATE")
        with (self._folder / "agent.log").open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "logferry_agent"], env=environment, stdout=log, stderr=log
            )

    def kill(self) -> None:
        """Send SIGKILL, whatever it is doing."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def stop(self) -> None:
        """Send SIGTERM, and SIGKILL when that takes too long."""
        if self._process is None or self._process.poll() is not None:
            return
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


@pytest.fixture
def make_agent(cloud: Cloud, containers: Containers, tmp_path: Path) -> Iterator[Callable[..., Agent]]:
    """Start agents for this test's containers; wait until they are connected, unless `refused` is set."""
    made: list[Agent] = []

    def make(*, refused: bool = False, **settings: str) -> Agent:
        agent = Agent(cloud, tmp_path, containers.prefix, **settings)
        made.append(agent)
        agent.start()
        if not refused:
            wait_for(lambda: '"connected"' in agent.log, "the agent's connection")
        return agent

    try:
        yield make
    finally:
        for agent in made:
            agent.stop()


LINES = 5_000


def line(number: int) -> str:
    """Return the text of a numbered line; some contain Unicode or ANSI colours."""
    return f"{number:05d} \x1b[3{number % 8}mfarbe {number}\x1b[0m äöü 日本語 🚢"


def is_stderr(number: int) -> bool:
    """Report whether a line goes to stderr; one third do."""
    return number % 3 == 0


def numbered(lines: int = LINES, *, pause_every: int = 0, pause_s: float = 0.05) -> str:
    """Return a script that writes `line(1)` to `line(lines)`; the last six slowly, so that both streams end it."""
    pause = f"[ $i -gt {lines - 6} ] && sleep {pause_s}; "
    if pause_every:
        pause += f"[ $((i % {pause_every})) -eq 0 ] && sleep {pause_s}; "
    write = r"printf '%05d \033[3%dmfarbe %d\033[0m äöü 日本語 🚢\n' $i $((i % 8)) $i"
    return (
        f"i=1; while [ $i -le {lines} ]; do "
        f"if [ $((i % 3)) -eq 0 ]; then {write} >&2; else {write}; fi; {pause}i=$((i + 1)); done"
    )


def assert_complete(entries: list[dict[str, Any]], lines: int = LINES) -> None:
    """Check that every line is there once, in its stream's order, and that sequences are 1..n."""
    assert [entry["sequence"] for entry in entries] == list(range(1, len(entries) + 1))
    for stream, wanted in (
        ("stdout", [line(n) for n in range(1, lines + 1) if not is_stderr(n)]),
        ("stderr", [line(n) for n in range(1, lines + 1) if is_stderr(n)]),
    ):
        found = [entry["line"] for entry in entries if entry["stream"] == stream]
        assert len(found) == len(wanted)
        assert found == wanted
    events = [json.loads(entry["line"])["event"] for entry in entries if entry["stream"] == "system"]
    assert events == ["started", "exited"]


@contextmanager
def following(cloud: Cloud, name: str, **more: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run `logferry tail --follow` as a process."""
    process = subprocess.Popen(
        [LOGFERRY, "tail", name, "--follow"],
        env=cloud.environment(**more),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()
