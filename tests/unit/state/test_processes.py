"""Test that processes of the local cloud are recognised, stopped, and never mistaken for others."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from logferry_local.polling import wait_until
from logferry_state.processes import ProcessTable, began, is_running, spawn, stop
from logferry_state.state import ProcessIdentity

ENDS_WHEN_ASKED = "import time; print('ready', flush=True); time.sleep(600)"
IGNORES_SIGTERM = (
    "import signal, subprocess, sys, time; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
    "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)']);"
    "print('ready', child.pid, flush=True); time.sleep(600)"
)
LEAVES_A_CHILD = (
    "import subprocess, sys, time;"
    "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)']);"
    "print('ready', child.pid, flush=True); time.sleep(600)"
)


@pytest.fixture
def started(tmp_path: Path) -> Iterator[list[ProcessIdentity]]:
    """Collect processes that are killed at the end, whatever the test did."""
    processes: list[ProcessIdentity] = []
    yield processes
    for process in processes:
        stop(process, grace_s=0)


def start(program: str, log: Path, started: list[ProcessIdentity]) -> ProcessIdentity:
    process = spawn([sys.executable, "-c", program], log=log, env=os.environ)
    started.append(process)
    assert wait_until(lambda: log.read_text().startswith("ready"), timeout_s=60)
    return process


def test_stopped_process_is_gone(tmp_path: Path, started: list[ProcessIdentity]) -> None:
    """Stopping ends the process that was started."""
    process = start(ENDS_WHEN_ASKED, tmp_path / "log", started)
    assert is_running(process)
    assert stop(process)
    assert not is_running(process)
    assert not stop(process)


def test_process_with_a_reused_id_is_left_alone(tmp_path: Path, started: list[ProcessIdentity]) -> None:
    """An id alone identifies nobody: the start time must match too."""
    process = start(ENDS_WHEN_ASKED, tmp_path / "log", started)
    earlier = process.model_copy(update={"began": "another-boot:1"})
    assert not is_running(earlier)
    assert not stop(earlier, grace_s=0)
    assert is_running(process)


def test_process_that_ignores_sigterm_is_killed_with_its_children(
    tmp_path: Path, started: list[ProcessIdentity]
) -> None:
    """After the grace time the whole session is killed."""
    process = start(IGNORES_SIGTERM, tmp_path / "log", started)
    child = int((tmp_path / "log").read_text().split()[1])
    assert stop(process, grace_s=0.2)
    assert not is_running(process)
    assert wait_until(lambda: began(child) is None, timeout_s=60)


def test_orphaned_children_are_killed_too(tmp_path: Path, started: list[ProcessIdentity]) -> None:
    """The emulator exits when asked, but may leave a function's worker that it started meanwhile."""
    process = start(LEAVES_A_CHILD, tmp_path / "log", started)
    child = int((tmp_path / "log").read_text().split()[1])
    assert began(child) is not None
    assert stop(process, grace_s=30)
    assert wait_until(lambda: began(child) is None, timeout_s=60)


def test_zombie_does_not_count_as_running() -> None:
    """It keeps its id until it is waited for."""
    child = subprocess.Popen([sys.executable, "-c", ""])
    stat = Path(f"/proc/{child.pid}/stat")
    if stat.exists():
        assert wait_until(lambda: " Z " in stat.read_text(), timeout_s=60)
        assert began(child.pid) is None
    child.wait()


def test_process_is_identified_by_its_start_time() -> None:
    """Two processes of one boot with different start times have different identities."""
    mine = began(os.getpid())
    time.sleep(0.05)  # two clock ticks, the kernel's unit
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    assert mine is not None
    assert began(child.pid) not in (None, mine)
    child.communicate(b"\n")


def test_ledger_remembers_until_removed(tmp_path: Path) -> None:
    """An entry is there for another command, and gone once removed."""
    me = ProcessIdentity(pid=os.getpid(), began=began(os.getpid()) or "")
    gone = me.model_copy(update={"began": "never"})
    ProcessTable(tmp_path).add("cloud", me)
    ProcessTable(tmp_path).add("viewer", gone)
    assert ProcessTable(tmp_path).running("cloud") == me
    assert ProcessTable(tmp_path).running("viewer") is None
    assert ProcessTable(tmp_path).running("agent") is None
    ProcessTable(tmp_path).remove("cloud")
    assert ProcessTable(tmp_path).read() == {"viewer": gone}


def test_damaged_ledger_is_an_empty_one(tmp_path: Path) -> None:
    """A truncated file must not keep `up` from starting."""
    (tmp_path / "processes.json").write_text('{"cloud": {"pid"')
    assert ProcessTable(tmp_path).read() == {}
