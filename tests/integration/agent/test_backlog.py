"""Test an agent that starts late: a second process reads the container's backlog by the megabyte, exactly."""

from __future__ import annotations

import secrets
import signal
from collections.abc import Iterator
from pathlib import Path
from urllib.request import urlopen

import pytest
from prometheus_client.parser import text_string_to_metric_families
from tests.support.agents import AgentProcess
from tests.support.engines import Engine
from tests.support.fake_ingest import FakeIngestProcess, wait_until
from tests.support.numbered_lines import program

from logferry_agent.edge.preencode_pool import PreencodePool
from logferry_local.ports import free_port

pytestmark = [
    pytest.mark.engine,
    pytest.mark.skipif(not PreencodePool.is_useful(), reason="with one processor there is no second process"),
]

LINES = 50_000


@pytest.fixture
def job(machine: Engine) -> Iterator[tuple[str, str]]:
    """Provide the name and id of a container that wrote and exited before any agent started."""
    name = f"lf-backlog-{secrets.token_hex(4)}"
    container = machine.run_command(program(LINES), name=name, network_mode="none")
    container.wait()
    yield name, str(container.id)
    container.remove(force=True)


def counted(port: int, name: str) -> float:
    with urlopen(f"http://127.0.0.1:{port}/metrics", timeout=30) as answer:
        page = answer.read().decode()
    families = text_string_to_metric_families(page)
    return sum(sample.value for family in families for sample in family.samples if sample.name == name)


def test_backlog_is_shipped_exactly_through_the_preencode_process(
    sink: FakeIngestProcess, job: tuple[str, str], tmp_path: Path
) -> None:
    """Every line arrives once and in order, between start and exit. Some went through the second process."""
    name, container = job
    port = free_port()
    with AgentProcess(sink, tmp_path / "spool", name, metrics_address=f"127.0.0.1:{port}") as agent:
        wait_until(lambda: sink.tip(container) >= LINES + 2)
        assert counted(port, "logferry_agent_received_events_total") == LINES + 2
        assert counted(port, "logferry_agent_pressed_events_total") > 0
        assert agent.process is not None
        children = Path(f"/proc/{agent.process.pid}/task/{agent.process.pid}/children")
        workers = [Path("/proc", pid) for pid in children.read_text().split()]
        assert agent.end(signal.SIGTERM) == 0
    wait_until(lambda: not any(worker.exists() for worker in workers))
    entries = sink.entries(container)
    assert [letter for _, _, letter, _ in entries] == ["s", *"o" * LINES, "s"]
    assert [int(text.split(" ")[0]) for _, _, _, text in entries[1:-1]] == list(range(1, LINES + 1))
    assert "pool" not in agent.log, "nothing went wrong with it"
