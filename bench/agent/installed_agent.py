"""Run the agent as its image does: with the image's packages only, as development packages would be imported too."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[2]
KEY = "lfa_" + "0" * 12 + "_" + "0" * 43


def make_python(folder: Path) -> Path:
    """Create an environment of requirements/agent.txt with this checkout's agent and protocol; return its interpreter.

    It is compiled in advance, as in the image (agent/Dockerfile), whose read-only root keeps a start from writing
    bytecode.
    """
    uv, python = ROOT / ".venv-tools/bin/uv", folder / "bin/python"
    subprocess.run([uv, "venv", "--quiet", "--python", sys.executable, folder], check=True)
    wanted = ROOT / "requirements/agent.txt"
    sync = [str(uv), "pip", "sync", "--quiet", "--python", str(python), "--require-hashes", str(wanted)]
    subprocess.run(sync, check=True)
    packages = next((folder / "lib").glob("python3*/site-packages"))
    for package in ("agent/logferry_agent", "protocol/logferry_protocol"):
        shutil.copytree(ROOT / package, packages / Path(package).name, ignore=shutil.ignore_patterns("__pycache__"))
    subprocess.run([python, "-m", "compileall", "-q", folder / "lib"], check=True)
    return python


@contextmanager
def agent(python: Path, url: str, spool: str, settings: Mapping[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """Run an agent that ships to `url`, with these settings (without their prefix), for the length of a block."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("LOGFERRY_")}
    # As in its image (agent/Dockerfile).
    environment["MALLOC_ARENA_MAX"] = "2"
    usual = {"AGENTS_URL": url, "AGENT_KEY": KEY, "SPOOL_DIR": spool, "LOG_LEVEL": "error"}
    environment |= {f"LOGFERRY_{key}": value for key, value in {**usual, **settings}.items()}
    process = subprocess.Popen([python, "-m", "logferry_agent"], env=environment)
    try:
        yield process
    finally:
        process.terminate()
        process.wait()


def docker(*words: str) -> str:
    """Return the output of a docker command."""
    return subprocess.run(["docker", *words], check=True, capture_output=True, text=True).stdout


def memory_kib(pid: int, field: str) -> int:
    """Return VmRSS (now) or VmHWM (the peak so far) of a process."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1])
    return 0


def peak_kib(pid: int) -> int:
    """Return the sum of the peak memory of a process and its present children."""
    children = [int(child) for task in Path(f"/proc/{pid}/task").iterdir() for child in _children(task)]
    return sum(memory_kib(one, "VmHWM") for one in (pid, *children))


def _children(task: Path) -> list[str]:
    return (task / "children").read_text().split()


def cpu_seconds(pid: int) -> float:
    """Return the CPU time that a process has used so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
