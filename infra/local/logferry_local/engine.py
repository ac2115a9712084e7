"""Use the running Docker Engine, or start one (as root, where dockerd is installed) and stop it again.

From the shell: `python -m logferry_local.engine start|stop --state FOLDER`.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from logferry_local.polling import wait_until
from logferry_state.errors import LocalCloudError, StepFailedError
from logferry_state.processes import ProcessTable, is_running, spawn, stop

ROLE = "engine"
READY_WITHIN_S = 45.0
# dockerd gives its containers 15 s to end before it ends itself.
STOP_WITHIN_S = 40.0
SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
PID_FILE = Path("/var/run/docker.pid")
ADVICE = "Start it (Docker Desktop; on Linux `sudo systemctl start docker`) or run `make setup` to see what to install."


def answers() -> bool:
    """Return whether the engine that the `docker` command uses answers."""
    return _ask("version", "--format", "{{.Server.Version}}") is not None


def address() -> str | None:
    """Return the engine's address for programs that do not read docker's contexts; None when it is unknown."""
    if host := os.environ.get("DOCKER_HOST"):
        return host
    return _ask("context", "inspect", "--format", "{{.Endpoints.docker.Host}}")


def start(folder: Path) -> bool:
    """Start an engine, unless one answers.

    Returns:
        Whether it was started.

    Raises:
        LocalCloudError: None runs, and none can be started here.
        StepFailedError: Starting it failed.
    """
    if answers():
        return False
    dockerd = shutil.which("dockerd", path=_path())
    if os.environ.get("DOCKER_HOST") or dockerd is None or os.geteuid() != 0:
        raise LocalCloudError("No Docker Engine answers.", ADVICE)
    log = folder / "logs" / "engine.log"
    for attempt in (1, 2):
        _clear_stale_pid_file()
        process = spawn([dockerd], log=log, env={**os.environ, "PATH": _path()})
        ProcessTable(folder).add(ROLE, process)
        wait_until(lambda: answers() or not is_running(process), timeout_s=READY_WITHIN_S, every_s=0.1)  # noqa: B023
        if answers():
            return True
        stop(process)
        if attempt == 1 and not wait_until(answers, timeout_s=2.0, every_s=0.2):
            continue  # another one was just ending and keeps its lock for a moment
    if answers():
        return False
    raise StepFailedError("The Docker Engine (dockerd) did not start.", f"See its output in {log}.")


def runs_for(folder: Path) -> bool:
    """Return whether an engine runs that `start` started for this folder."""
    return ProcessTable(folder).running(ROLE) is not None


def end(folder: Path) -> bool:
    """Stop the engine that `start` started for this folder. Return whether there was one."""
    processes = ProcessTable(folder)
    process = processes.running(ROLE)
    if process is None:
        return False
    stop(process, grace_s=STOP_WITHIN_S)
    processes.remove(ROLE)
    return True


@contextmanager
def running_engine(folder: Path) -> Iterator[None]:
    """Provide an engine within a block. One that ran before keeps running after it."""
    started = start(folder)
    try:
        yield
    finally:
        if started:
            end(folder)


def _ask(*words: str) -> str | None:
    docker = shutil.which("docker", path=_path())
    if docker is None:
        return None
    try:
        said = subprocess.run(
            [docker, *words], capture_output=True, text=True, timeout=15, stdin=subprocess.DEVNULL, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return said.stdout.strip() if said.returncode == 0 else None


def _path() -> str:
    return f"{os.environ.get('PATH', '')}:{SYSTEM_PATH}"


def _clear_stale_pid_file() -> None:
    """Delete the pid file that dockerd leaves when the machine loses power.

    If another program has that id now, dockerd would not start.
    """
    with suppress(OSError, ValueError):
        pid = int(PID_FILE.read_text())
        if "dockerd" not in Path(f"/proc/{pid}/cmdline").read_text():
            PID_FILE.unlink()


def main() -> int:
    """Run the command line. Return the exit status."""
    words = argparse.ArgumentParser(prog="logferry_local.engine")
    words.add_argument("action", choices=["start", "stop"])
    words.add_argument("--state", type=Path, required=True)
    given = words.parse_args()
    try:
        done = start(given.state) if given.action == "start" else end(given.state)
    except LocalCloudError as error:
        print(error, file=sys.stderr)
        return 1
    print(f"{given.action}: {'done' if done else 'nothing to do'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
