"""Test the agent with a real Podman: it is refused, or its jobs say that they are not read."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest
from tests.integration.sources.conftest import Watcher
from tests.support.engines import IMAGE, Engine, wait_for
from tests.support.memory_sink import MemorySink

from logferry_agent.edge import docker_client as connection
from logferry_protocol.events import Notice

pytestmark = [pytest.mark.engine, pytest.mark.slow]

CONFIGURATION = """[containers]
default_ulimits = ["nofile=1024:1024", "nproc=4096:4096"]
"""


@pytest.fixture(name="podman")
def _podman(engine: Engine) -> Iterator[str]:
    """Provide Podman's service with the tests' image in its own folders; return its socket path."""
    program = shutil.which("podman")
    if program is None or os.geteuid() != 0:
        pytest.skip("podman is not installed (apt-get install --no-install-recommends podman), or this is not root")
    folder = Path(tempfile.mkdtemp(prefix="lfp-", dir="/tmp"))  # its path may have 50 characters
    (folder / "containers.conf").write_text(CONFIGURATION)
    environment = {**os.environ, "CONTAINERS_CONF": str(folder / "containers.conf")}
    folders = ["--root", str(folder / "root"), "--runroot", str(folder / "run"), "--cgroup-manager", "cgroupfs"]
    image = folder / "image.tar"
    image.write_bytes(b"".join(engine.client.images.get(IMAGE).save(named=True)))
    subprocess.run([program, *folders, "load", "--input", str(image)], env=environment, check=True, capture_output=True)
    socket = folder / "podman.sock"
    command = [program, *folders, "system", "service", "--time=0", f"unix://{socket}"]
    with subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL) as service:
        wait_for(socket.exists, "Podman listens")
        yield str(socket)
        subprocess.run([program, *folders, "rm", "--all", "--force", "--time", "0"], env=environment, check=False)
        service.terminate()
    for line in reversed(Path("/proc/self/mounts").read_text().splitlines()):
        if (mount := line.split(" ")[1]).startswith(str(folder)):
            subprocess.run(["umount", "--lazy", mount], check=False)
    shutil.rmtree(folder, ignore_errors=True)


def test_agent_does_not_start_on_podman(podman: str, tmp_path: Path) -> None:
    """It exits with status 1, and its log says what to do."""
    environment = {
        **os.environ,
        "DOCKER_HOST": f"unix://{podman}",
        "LOGFERRY_AGENTS_URL": "ws://127.0.0.1:9/live",
        "LOGFERRY_AGENT_KEY": "lfa_" + "a" * 12 + "_" + "b" * 43,
        "LOGFERRY_SPOOL_DIR": str(tmp_path / "spool"),
    }
    ended = subprocess.run(
        [sys.executable, "-m", "logferry_agent"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 1
    assert "this is Podman" in ended.stdout + ended.stderr


def test_podman_replacing_the_engine_is_reported_and_loses_nothing(
    podman: str, engine: Engine, watch: Watcher, prefix: str, tmp_path: Path
) -> None:
    """While the agent runs, its socket switches to Podman and back."""
    here = tmp_path / "docker.sock"
    own = engine.socket

    def lead_to(socket: str) -> None:
        (tmp_path / "next").symlink_to(socket)
        (tmp_path / "next").rename(here)
        stream = seen.readers._discovery._stream
        if stream is not None:
            stream.close()
        for loop in seen.readers.api_loops():
            loop.cut()

    here.symlink_to(own)
    seen = watch("api", docker_host=f"unix://{here}")
    container = engine.run("for i in $(seq 400); do echo line $i; sleep 0.02; done", name=prefix + "a")
    log = seen.log(str(container.id))
    seen.sink.until(lambda: "line 20" in log.lines(), "it is read")
    lead_to(podman)
    seen.sink.until(lambda: any("this is Podman" in problem for problem in log.problems), "the job says so")
    assert log.jobs[-1].life.state == "running"
    lead_to(own)
    assert seen.ended(container.id).lines() == [f"line {number}" for number in range(1, 401)]
    assert log.names() == ["started", "exited"]


def test_unrecognised_podman_never_looks_read(
    podman: str, watch: Watcher, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing identifies Podman, but its log does: times in whole seconds are not exact."""
    monkeypatch.setattr(connection, "_PODMAN", "nothing")
    monkeypatch.setattr(connection, "_PODMAN_SERVER", "nothing")
    client = docker.DockerClient(base_url=f"unix://{podman}")
    seen = watch("api", docker_host=f"unix://{podman}", sink=MemorySink())
    containers = [
        client.containers.run(
            f"localhost/{IMAGE}", ["sh", "-c", script], name=prefix + name, tty=tty, network_mode="none", detach=True
        )
        for name, script, tty in (("plain", "echo hello; sleep 1; echo bye", False), ("tty", "printf 'prompt> '", True))
    ]
    for container in containers:
        log = seen.log(str(container.id))
        seen.sink.until(lambda log=log: "notice" in log.names(), "the job says so")  # type: ignore[misc]
        assert log.lines() == []
        assert [event.code for event in log.events() if isinstance(event, Notice)] == ["unreadable"]
        assert any("without a time to the nanosecond" in problem for problem in log.problems)
    seen.stop()
    client.close()
