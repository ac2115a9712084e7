"""However many logs there are, the agent keeps descriptors for the engine, the cloud and the spool."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest
from tests.support.copier import Copier, JsonFile
from tests.support.sink import MemorySink

from logferry_agent.edge import descriptors, file_loop
from logferry_agent.edge.file_chain import open_chain
from logferry_agent.edge.file_loop import FileLoop

from .test_file_loop import add


def limited(monkeypatch: pytest.MonkeyPatch, room: int) -> None:
    """Make the limit such that logs may have so many more files open."""
    lowest = os.open(os.devnull, os.O_RDONLY)
    os.close(lowest)
    limit = lowest + room + 2
    monkeypatch.setattr(descriptors, "RESERVED", 2)
    monkeypatch.setattr(resource, "getrlimit", lambda _: (limit, limit))


def test_logs_wait_for_descriptors_and_say_so_and_are_read_when_others_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is not read yet says in its job what to raise; nothing of it is lost."""
    monkeypatch.setattr(file_loop, "_SAFETY_S", 0.05)
    sink = MemorySink()
    loop = FileLoop(tmp_path, sink, max_deleted_bytes=1 << 30)
    loop.start()
    try:
        limited(monkeypatch, 0)
        container = "a" * 64
        JsonFile(tmp_path / container / f"{container}-json.log").write(Copier().write("o", b"one\n"))
        with pytest.raises(OSError, match="raise its limit"):
            open_chain(tmp_path / container / f"{container}-json.log")
        add(loop, sink, tmp_path, container, read=lambda: None)
        sink.until(lambda: "raise its limit" in str(sink.logs[container].problems), "it is said")
        limited(monkeypatch, 10)
        sink.until(lambda: sink.logs[container].lines() == ["one"], "it is read")
    finally:
        loop.stop(5)


def test_chain_that_cannot_be_opened_whole_leaves_nothing_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is tried again and again: each time a file would stay open."""
    for name in ("x-json.log", "x-json.log.1", "x-json.log.2"):
        (tmp_path / name).write_text("{}\n")
    limited(monkeypatch, 2)
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(3):
        with pytest.raises(OSError, match="too few"):
            open_chain(tmp_path / "x-json.log")
    assert len(os.listdir("/proc/self/fd")) == before


def test_soft_limit_is_raised_to_the_hard_one() -> None:
    """In a process of its own, as it cannot be lowered for this one alone."""
    script = (
        "import resource; from logferry_agent.edge.descriptors import raise_limit; "
        "hard = min(resource.getrlimit(resource.RLIMIT_NOFILE)[1], 4096); "
        "resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard)); "
        "assert raise_limit() == hard == resource.getrlimit(resource.RLIMIT_NOFILE)[0]"
    )
    assert resource.getrlimit(resource.RLIMIT_NOFILE)[1] > 256
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)
