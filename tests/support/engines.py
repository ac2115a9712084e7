"""Provide Docker Engines for tests: the machine's own, and others of other versions, each in its own folders."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import docker
from docker.models.containers import Container

from logferry_local.checkout import find_checkout
from logferry_local.images import make_sample_image

IMAGE = "logferry-test-sources"
WAIT_S = 60.0


def wait_for(condition: Callable[[], bool], what: str) -> None:
    """Wait until a condition holds, for a minute at most."""
    limit = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < limit, f"{what} did not come true"
        time.sleep(0.02)


class RunContainer(Container):
    """What the type stubs do not know: a container that was started has an id."""

    @property
    def id(self) -> str:
        """Return the container's id, 64 hexadecimal digits."""
        return str(super().id)


@dataclass
class Engine:
    """An engine, and the containers that a test created on it."""

    client: docker.DockerClient
    host: str | None = None
    made: list[Container] = field(default_factory=list)

    @property
    def socket(self) -> str:
        """The path of the engine's socket."""
        return (self.host or machine_host()).removeprefix("unix://")

    def run(self, script: str, *, image: str = IMAGE, **options: Any) -> RunContainer:
        """Start a container with a shell script, detached."""
        return self.run_command(["sh", "-c", script], image=image, **options)

    def run_command(self, command: list[str], *, image: str = IMAGE, **options: Any) -> RunContainer:
        """Start a container, detached."""
        if self.host is not None:
            options.setdefault("network_mode", "none")  # our own engines have no bridge
        container = self.client.containers.run(image, command, detach=True, **options)
        self.made.append(container)
        return cast(RunContainer, container)

    def remove_all(self) -> None:
        """Remove what the test created."""
        for container in self.made:
            with suppress(docker.errors.APIError):
                container.remove(force=True)


def machine_host() -> str:
    """Return the address of the machine's own engine, as Docker's own programs find it without a context."""
    return os.environ.get("DOCKER_HOST") or "unix:///var/run/docker.sock"


@contextmanager
def machine_engine() -> Iterator[Engine]:
    """Return the machine's own engine."""
    client = docker.from_env(timeout=120)
    if not client.images.list(name=IMAGE):
        make_sample_image(find_checkout(), tag=IMAGE)
    engine = Engine(client)
    try:
        yield engine
    finally:
        engine.remove_all()
        client.close()


def limits(max_size: str, max_file: int, **more: str) -> dict[str, Any]:
    """Return the options of a container whose json-file rotates."""
    options = {"max-size": max_size, "max-file": str(max_file), **more}
    return {"log_config": {"type": "json-file", "config": options}}


@dataclass
class Daemon:
    """An engine beside the machine's own, in its own network namespace, without a bridge."""

    folder: Path
    programs: Path | None = None
    """Folder of an unpacked version; None: the machine's own programs."""
    options: list[str] = field(default_factory=list)
    process: subprocess.Popen[bytes] | None = None

    @property
    def host(self) -> str:
        """Return its DOCKER_HOST."""
        return f"unix://{self.folder}/docker.sock"

    @property
    def root(self) -> Path:
        """Return its data root."""
        return self.folder / "data"

    def start(self) -> None:
        """Start it, and wait until it answers."""
        self.folder.mkdir(parents=True, exist_ok=True)
        path = f"{os.environ['PATH']}:/usr/local/sbin:/usr/sbin:/sbin"
        proxy = []
        if self.programs is not None:
            path = f"{self.programs}/usr/sbin:{self.programs}/usr/bin:{path}"
            proxy = [
                f"--init-path={self.programs}/usr/bin/tini-static",
                f"--userland-proxy-path={self.programs}/usr/sbin/docker-proxy",
            ]
        command = [
            *("unshare", "--net", "--", "sh", "-c", 'ip link set lo up; exec "$@"', "sh", "dockerd"),
            *(f"--data-root={self.root}", f"--exec-root={self.folder}/exec", f"--pidfile={self.folder}/dockerd.pid"),
            *("-H", self.host, f"--cgroup-parent=/{self.folder.name}", "--bridge=none", "--iptables=false"),
            *(*proxy, *self.options),
        ]
        with (self.folder / "dockerd.log").open("ab") as log:
            self.process = subprocess.Popen(
                command, env={**os.environ, "PATH": path}, stdout=log, stderr=log, start_new_session=True
            )
        wait_for(self._answers, f"dockerd answers (its log: {self.folder}/dockerd.log)")

    def stop(self) -> None:
        """Stop it as an administrator would."""
        if self.process is not None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(WAIT_S)
            self.process = None

    def engine(self) -> Engine:
        """Return a client of it; its containers need no network."""
        client = docker.DockerClient(base_url=self.host, timeout=120)
        if not client.images.list(name=IMAGE):
            with machine_engine() as own:
                client.images.load(cast(Any, own.client.images.get(IMAGE).save(named=True)))
        return Engine(client, self.host)

    def _answers(self) -> bool:
        with suppress(docker.errors.DockerException, OSError):
            client = docker.DockerClient(base_url=self.host)
            client.close()
            return bool(client)
        return False


@contextmanager
def daemon(folder: Path, programs: Path | None = None, options: list[str] | None = None) -> Iterator[Daemon]:
    """Run an engine for the length of a block."""
    made = Daemon(folder, programs, options or [])
    made.start()
    try:
        yield made
    finally:
        made.stop()
        for mount in sorted(_mounts_below(folder), reverse=True):
            subprocess.run(["umount", "-l", mount], check=False)
        shutil.rmtree(folder, ignore_errors=True)


def _mounts_below(folder: Path) -> list[str]:
    lines = Path("/proc/self/mounts").read_text().splitlines()
    return [line.split(" ")[1] for line in lines if line.split(" ")[1].startswith(str(folder))]
