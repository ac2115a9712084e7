"""Test that the agent keeps descriptors for the engine, the cloud and the spool, however many logs there are."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest
from tests.support.docker_log import DockerLogWriter, JsonFile
from tests.support.memory_sink import MemorySink

from logferry_agent.edge import descriptors, file_loop
from logferry_agent.edge.file_chain import open_chain
from logferry_agent.edge.file_loop import FileLoop

from .test_file_loop import add


def limited(monkeypatch: pytest.MonkeyPatch, room: int) -> None:
    """Set the limit so that logs may open this many more files."""
    lowest = os.open(os.devnull, os.O_RDONLY)
    os.close(lowest)
    limit = lowest + room + 2
    monkeypatch.setattr(descriptors, "RESERVED", 2)
    monkeypatch.setattr(resource, "getrlimit", lambda _: (limit, limit))


def test_logs_wait_for_descriptors_report_it_and_are_read_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The job of an unread log says what to raise; nothing of it is lost."""
    monkeypatch.setattr(file_loop, "_SAFETY_S", 0.05)
    sink = MemorySink()
    loop = FileLoop(tmp_path, sink, max_deleted_bytes=1 << 30)
    loop.start()
    try:
        limited(monkeypatch, 0)
        container = "a" * 64
        JsonFile(tmp_path / container / f"{container}-json.log").write(DockerLogWriter().write("o", b"one\n"))
        with pytest.raises(OSError, match="raise its limit"):
            open_chain(tmp_path / container / f"{container}-json.log")
        add(loop, sink, tmp_path, container, read=lambda: None)
        sink.until(lambda: "raise its limit" in str(sink.logs[container].problems), "it is said")
        limited(monkeypatch, 10)
        sink.until(lambda: sink.logs[container].lines() == ["one"], "it is read")
    finally:
        loop.stop(5)


def test_partly_opened_chain_is_closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is retried repeatedly: otherwise each attempt would leak a file."""
    for name in ("x-json.log", "x-json.log.1", "x-json.log.2"):
        (tmp_path / name).write_text("{}\n")
    limited(monkeypatch, 2)
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(3):
        with pytest.raises(OSError, match="too few"):
            open_chain(tmp_path / "x-json.log")
    assert len(os.listdir("/proc/self/fd")) == before


def test_soft_limit_is_raised_to_the_hard_one() -> None:
    """In its own process, as the limit cannot be lowered for this test only."""
    script = (
        "import resource; from logferry_agent.edge.descriptors import raise_limit; "
        "hard = min(resource.getrlimit(resource.RLIMIT_NOFILE)[1], 4096); "
        "resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard)); "
        "assert raise_limit() == hard == resource.getrlimit(resource.RLIMIT_NOFILE)[0]"
    )
    assert resource.getrlimit(resource.RLIMIT_NOFILE)[1] > 256
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)
