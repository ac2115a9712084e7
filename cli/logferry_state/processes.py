"""Start, recognise and stop processes that outlive the command that started them."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from logferry_state.private_files import open_private_file, replace_private_file
from logferry_state.state import ProcessIdentity

LEDGER_FILE = "processes.json"
_LEDGER = TypeAdapter(dict[str, ProcessIdentity])


def spawn(
    command: Sequence[str | Path], *, log: Path, env: Mapping[str, str], cwd: Path | None = None, umask: int = -1
) -> ProcessIdentity:
    """Start a process in its own session, so that a Ctrl-C here does not reach it.

    Args:
        command: The command line.
        log: The file to which its output is appended.
        env: Its environment.
        cwd: Its working directory; None: this process's.
        umask: Its umask; -1: this process's.
    """
    log.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with open(log, "ab", opener=open_private_file) as output:
        process = subprocess.Popen(
            [str(word) for word in command],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env=dict(env),
            cwd=cwd,
            start_new_session=True,
            umask=umask,
        )
    return ProcessIdentity(pid=process.pid, began=began(process.pid) or "")


def began(pid: int) -> str | None:
    """Return when a process began, in the kernel's form; None when it does not exist or is a zombie."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        # The second field, the name, may contain spaces and parentheses: read on after the last `)`.
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except ProcessLookupError:
        return None
    except FileNotFoundError:
        return None if Path("/proc/self").exists() else _began_by_ps(pid)
    state, start_ticks = fields[0], fields[19]  # fields 3 and 22 of proc(5)
    return None if state in "ZX" else f"{boot}:{start_ticks}"


def _began_by_ps(pid: int) -> str | None:
    """Return when a process began, on systems without /proc (macOS)."""
    said = subprocess.run(
        ["ps", "-o", "stat=,lstart=", "-p", str(pid)],
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    state, _, started = said.stdout.strip().partition(" ")
    return None if not started or state.startswith("Z") else started.strip()


def is_running(process: ProcessIdentity) -> bool:
    """Return whether this process still runs; another one with its id does not count."""
    _reap(process.pid)
    return began(process.pid) == process.began


def stop(process: ProcessIdentity, *, grace_s: float = 10.0) -> bool:
    """Ask the process to end and wait, at most `grace_s` seconds. Then kill what is left of it and its children.

    Returns:
        Whether it was running.
    """
    if not is_running(process):
        return False
    with contextlib.suppress(ProcessLookupError):
        os.kill(process.pid, signal.SIGTERM)
    ended = wait_for_end(process, grace_s)
    with contextlib.suppress(ProcessLookupError, PermissionError):
        # `spawn` makes each process lead its own session, so the group is exactly it and its children. The emulator may
        # start a function's worker while it ends.
        os.killpg(process.pid, signal.SIGKILL)
    if not ended:
        wait_for_end(process, 5.0)
    return True


def wait_for_end(process: ProcessIdentity, timeout_s: float) -> bool:
    """Return whether the process ended within the time."""
    deadline = time.monotonic() + timeout_s
    while is_running(process):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def _reap(pid: int) -> None:
    """Reap a child process that ended, which stays a zombie otherwise.

    Init reaps a process that is not a child of this one.
    """
    with contextlib.suppress(ChildProcessError, ProcessLookupError):
        os.waitpid(pid, os.WNOHANG)


class ProcessTable:
    """The processes of a state folder, by role, written before anything else can fail.

    So `down` finds what a killed `up` left.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / LEDGER_FILE

    def read(self) -> dict[str, ProcessIdentity]:
        """Return all recorded processes; they may have ended since."""
        try:
            return _LEDGER.validate_json(self._path.read_bytes())
        except (FileNotFoundError, ValidationError):
            return {}

    def running(self, role: str) -> ProcessIdentity | None:
        """Return the process of a role if it still runs; None otherwise."""
        process = self.read().get(role)
        return process if process is not None and is_running(process) else None

    def add(self, role: str, process: ProcessIdentity) -> None:
        """Record a process that was just started."""
        self._write({**self.read(), role: process})

    def remove(self, role: str) -> None:
        """Delete the record of a process that was stopped."""
        self._write({name: process for name, process in self.read().items() if name != role})

    def _write(self, processes: dict[str, ProcessIdentity]) -> None:
        replace_private_file(self._path, _LEDGER.dump_json(processes, indent=2))
