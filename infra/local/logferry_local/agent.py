"""Start the agent on this machine's engine, for `logferry up`."""

from __future__ import annotations

import os
import socket
import sys
import urllib.error
import urllib.request
from functools import partial
from pathlib import Path

from pydantic import ValidationError

from logferry_local import engine
from logferry_local.polling import wait_until
from logferry_state.errors import StepFailedError
from logferry_state.private_files import UMASK, replace_private_file
from logferry_state.processes import ProcessTable, is_running, spawn
from logferry_state.state import LocalKeys, LocalState, ProcessIdentity

ROLE = "agent"
STARTED_FILE = "agent.json"
READY_WITHIN_S = 60.0
# unix(7); the agent makes no socket with a longer path either.
MAX_SOCKET_PATH = 107


def environment(folder: Path, state: LocalState, keys: LocalKeys, metrics_port: int) -> dict[str, str]:
    """Return the agent's environment.

    The user's own LOGFERRY_* settings hold, except for those that connect it to this cloud.
    """
    # AWS_* are the local cloud's here; this agent needs none of them.
    around = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    if "DOCKER_HOST" not in around and (address := engine.address()) is not None:
        around["DOCKER_HOST"] = address  # the docker command's context, which the agent does not read
    if _socket(folder) is None:
        around["LOGFERRY_METRICS_ADDRESS"] = f"127.0.0.1:{metrics_port}"
    return {
        **around,
        "LOGFERRY_STATE": str(folder.absolute()),
        "LOGFERRY_AGENTS_URL": state.agents_url,
        "LOGFERRY_AGENT_KEY": keys.agent_key,
        "LOGFERRY_SPOOL_DIR": str((folder / "agent").absolute()),
        "PYTHONUNBUFFERED": "1",
    }


def start(folder: Path, state: LocalState, keys: LocalKeys, metrics_port: int) -> ProcessIdentity:
    """Start the agent and wait until it is connected to the engine and the cloud.

    Raises:
        StepFailedError: It ended, or was not connected in time.
    """
    log = folder / "logs" / "agent.log"
    command = [sys.executable, "-m", "logferry_agent"]
    process = spawn(command, log=log, env=environment(folder, state, keys, metrics_port), umask=UMASK)
    ProcessTable(folder).add(ROLE, process)
    replace_private_file(folder / STARTED_FILE, process.model_dump_json().encode() + b"\n")
    ready = partial(is_ready, folder, metrics_port)
    wait_until(lambda: ready() or not is_running(process), timeout_s=READY_WITHIN_S, every_s=0.1)
    if not is_running(process):
        sentence = f"The agent ended immediately: {last_line(log)}"
        raise StepFailedError(sentence, f"See its log: {log}. Use `logferry up --no-agent` to run without an agent.")
    if not ready():
        raise StepFailedError(f"The agent was not ready within {READY_WITHIN_S:.0f} s.", f"See its log: {log}.")
    return process


def last_line(log: Path) -> str:
    """Return the last line of a log."""
    lines = log.read_text(encoding="utf-8", errors="replace").split("\n")
    return next((line.strip()[:300] for line in reversed(lines) if line.strip()), "it said nothing")


def is_ready(folder: Path, metrics_port: int) -> bool:
    """Return whether the agent reports that it is connected to the engine and the cloud."""
    path = _socket(folder)
    try:
        if path is None:
            with urllib.request.urlopen(f"http://127.0.0.1:{metrics_port}/readyz", timeout=2) as answer:
                return bool(answer.status == 200)
        with socket.socket(socket.AF_UNIX) as asked:
            asked.settimeout(2)
            asked.connect(path)
            asked.sendall(b"GET /readyz HTTP/1.0\r\n\r\n")
            return asked.recv(64).split()[1:2] == [b"200"]
    except (OSError, urllib.error.URLError):
        return False


def is_private(folder: Path) -> bool:
    """Return whether `start` of this version started the running agent; those of 0.1.0 answer everyone on a port."""
    try:
        started = ProcessIdentity.model_validate_json((folder / STARTED_FILE).read_bytes())
    except (FileNotFoundError, ValidationError):
        return False
    return started == ProcessTable(folder).running(ROLE)


def _socket(folder: Path) -> str | None:
    """Return the path of the agent's private socket; None in a folder too deep for one, where it has a port."""
    path = str((folder / "agent" / "agent.sock").absolute())
    return path if len(path.encode()) < MAX_SOCKET_PATH else None
