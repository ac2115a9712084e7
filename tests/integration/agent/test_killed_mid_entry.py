"""Test an agent killed while earlier input matters: a held-back entry, a private key, its own cursor."""

from __future__ import annotations

import secrets
import signal
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from docker.errors import NotFound
from tests.support.agents import AgentProcess
from tests.support.engines import Engine
from tests.support.fake_ingest import FakeIngestProcess, wait_until

from logferry_protocol.events import Gap, decode_event

pytestmark = pytest.mark.engine


@pytest.fixture
def name() -> str:
    return f"lf-within-{secrets.token_hex(4)}"


def in_spool(folder: Path, sql: str) -> list[tuple[object, ...]]:
    """Return what a running agent's spool contains."""
    (path,) = folder.glob("spool-*.db")
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as spool:
        return spool.execute(sql).fetchall()


def lines(sink: FakeIngestProcess, job: str) -> list[str]:
    return [text for *_, letter, text in sink.entries(job) if letter != "s"]


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (("first", "Traceback:", "  File a"), ["first", "Traceback:\n  File a"]),
        (("-----BEGIN EC PRIVATE KEY-----", "MHcCAQ"), ["[redacted]", "[redacted]"]),
    ],
)
def test_held_back_entry_survives_agent_and_container(
    machine: Engine, sink: FakeIngestProcess, name: str, tmp_path: Path, written: tuple[str, ...], expected: list[str]
) -> None:
    """With `docker run --rm` the container and its log are gone after the kill. Only the disk has the entry."""
    folder = tmp_path / "spool"
    script = "; ".join(f"echo '{line}'" for line in written) + "; exec sleep 1000"
    agent = AgentProcess(
        sink, folder, name, merge_start=r"^\S", merge_wait="60", redact="private_key", spool_sync="full"
    )
    with agent:
        container = machine.run(script, name=name, network_mode="none", auto_remove=True)
        job = str(container.id)
        try:
            wait_until(lambda: sink.tip(job) == len(expected))  # its start, and all but what is held back
            wait_until(lambda: in_spool(folder, "SELECT job FROM held") == [(job,)])
            assert lines(sink, job) == expected[:-1]
            agent.end(signal.SIGKILL)
        finally:
            container.kill()
            wait_until(lambda: gone(machine, job))
        agent.start()
        wait_until(lambda: lines(sink, job) == expected)
        assert agent.end(signal.SIGTERM) == 0
    assert in_spool(folder, "SELECT job FROM held") == []


def test_cursor_of_another_version_causes_no_duplicates(
    machine: Engine, sink: FakeIngestProcess, name: str, tmp_path: Path
) -> None:
    """A newer agent ran here before this one came back; the container keeps writing meanwhile."""
    folder = tmp_path / "spool"
    script = "for i in $(seq 50); do echo line $i; done; read go; echo line 51; exec sleep 1000"
    with AgentProcess(sink, folder, name) as agent:
        container = machine.run(script, name=name, network_mode="none", stdin_open=True)
        try:
            job = str(container.id)
            wait_until(lambda: sink.tip(job) == 51)
            wait_until(lambda: in_spool(folder, "SELECT tip FROM job") == [(51,)])
            agent.end(signal.SIGKILL)
            (path,) = folder.glob("spool-*.db")
            with closing(sqlite3.connect(path)) as spool, spool:
                changed = spool.execute("UPDATE job SET cursor = '2|what=ever' WHERE cursor LIKE '1|%'").rowcount
            assert changed == 1
            socket: Any = container.attach_socket(params={"stdin": 1, "stream": 1})
            socket._sock.sendall(b"go\n")
            wait_until(lambda: b"line 51" in container.logs())
            socket.close()
            agent.start()
            wait_until(lambda: f"line {51}" in lines(sink, job))
            assert lines(sink, job) == [f"line {number}" for number in range(1, 52)]
            events = [decode_event(text) for *_, letter, text in sink.entries(job) if letter == "s"]
            assert [event.event for event in events] == ["started", "gap"]
            assert isinstance(events[1], Gap)
            assert events[1].reason == "corrupt"
        finally:
            container.remove(force=True)


def gone(machine: Engine, container: str) -> bool:
    try:
        machine.client.containers.get(container)
    except NotFound:
        return True
    return False
