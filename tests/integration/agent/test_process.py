"""Test the agent as a process: what it reports, how it exits, and when it refuses to start."""

from __future__ import annotations

import secrets
import signal
import socket
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest
from prometheus_client.parser import text_string_to_metric_families
from tests.support.agents import KEY, AgentProcess
from tests.support.engines import Engine
from tests.support.fake_ingest import FakeIngestProcess, wait_until

from logferry_local.ports import free_port

pytestmark = pytest.mark.engine

LINES = 200
SCRIPT = f"for i in $(seq {LINES}); do echo line $i; done; exec sleep 1000"


@pytest.fixture
def job(machine: Engine) -> Iterator[tuple[str, str]]:
    """Provide the name and id of a container that wrote and keeps running."""
    name = f"lf-process-{secrets.token_hex(4)}"
    container = machine.run(SCRIPT, name=name, network_mode="none")
    yield name, str(container.id)
    container.remove(force=True)


def page(port: int, path: str) -> tuple[int, str]:
    try:
        with urlopen(f"http://127.0.0.1:{port}{path}", timeout=30) as answer:
            return answer.status, answer.read().decode()
    except HTTPError as error:
        return error.code, error.read().decode()


def samples(port: int) -> dict[tuple[str, str], float]:
    """Return every sample of /metrics by its name and first label value."""
    families = text_string_to_metric_families(page(port, "/metrics")[1])
    return {
        (sample.name.removeprefix("logferry_agent_"), next(iter(sample.labels.values()), "")): sample.value
        for family in families
        for sample in family.samples
    }


def test_agent_reports_its_health(sink: FakeIngestProcess, job: tuple[str, str], tmp_path: Path) -> None:
    """Metrics, health, readiness and status: healthy, then refused by the cloud, then healthy again."""
    name, container = job
    port = free_port()
    with AgentProcess(sink, tmp_path / "spool", name, metrics_address=f"127.0.0.1:{port}") as agent:
        wait_until(lambda: sink.tip(container) == LINES + 1)
        wait_until(lambda: samples(port)["acknowledged_events_total", ""] == LINES + 1)
        assert page(port, "/healthz") == (200, "ok\n")
        assert page(port, "/readyz") == (200, "ready\n")
        assert agent.ask("health") == (0, "ok\n")
        found = samples(port)
        assert found["received_events_total", "file"] == LINES + 1
        assert found["sent_events_total", ""] >= LINES + 1
        assert found["acknowledged_bytes_total", ""] == found["received_bytes_total", "file"] > 0
        assert found["sent_bytes_total", ""] > 0
        assert (found["spool_bytes", ""], found["spool_age_seconds", ""]) == (0, 0)
        assert found["lag_seconds", container[:12]] == 0
        assert (found["connection_established_total", ""], found["connected", ""]) == (1, 1)
        status, said = agent.ask("status")
        row = next(line.split() for line in said.splitlines() if line.startswith(container[:12]))
        assert (status, row[1:7]) == (0, [name[:26], "running", "file", str(LINES + 1), "0", "-"])

        sink.faults(keys=[])
        sink.cut()
        wait_until(lambda: page(port, "/healthz")[0] == 503)
        assert "does not accept the agent's key" in page(port, "/healthz")[1]
        assert page(port, "/readyz")[0] == 503
        status, said = agent.ask("status")
        assert status == 1
        assert "TROUBLE  the cloud does not accept the agent's key: create a new one" in said
        assert samples(port)["connection_failed_total", ""] >= 1
        assert agent.ask("health")[0] == 1
        assert agent.ask("health", "--live") == (0, "alive\n"), "a restart would not help"

        sink.faults()
        wait_until(lambda: page(port, "/healthz") == (200, "ok\n"))
        assert samples(port)["connection_established_total", ""] == 2
        assert agent.end(signal.SIGTERM) == 0
    assert KEY not in agent.log
    assert agent.ask("status")[0] == 3


def test_agent_keeps_unacknowledged_entries_on_sigterm(
    sink: FakeIngestProcess, job: tuple[str, str], tmp_path: Path
) -> None:
    """It exits with 0 without an answer. The next start delivers, though the log is gone."""
    name, container = job
    sink.faults(ignore=1.0)
    agent = AgentProcess(sink, tmp_path / "spool", name)
    with agent:
        wait_until(lambda: sink.counts().get("envelopes", 0) > 0)
        assert agent.end(signal.SIGTERM) == 0
    assert "the rest is in the spool" in agent.log
    assert sink.tip(container) == 0
    sink.faults()
    with agent:
        wait_until(lambda: sink.tip(container) == LINES + 1)
    texts = [text for _, _, letter, text in sink.entries(container) if letter == "o"]
    assert texts == [f"line {number}" for number in range(1, LINES + 1)]


def test_second_agent_on_a_spool_is_refused(sink: FakeIngestProcess, job: tuple[str, str], tmp_path: Path) -> None:
    """It says what to do; the first agent is unaffected."""
    first, second = (AgentProcess(sink, tmp_path / "spool", job[0]) for _ in range(2))
    with first:
        wait_until(lambda: sink.tip(job[1]) > 0)
        with second:
            assert second.process is not None
            assert second.process.wait(60) == 1
        assert "another agent (process" in second.log
        assert "Traceback" not in second.log
        first.require_alive()


def test_occupied_address_is_reported(sink: FakeIngestProcess, job: tuple[str, str], tmp_path: Path) -> None:
    """One sentence names the setting."""
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with AgentProcess(sink, tmp_path / "spool", job[0], metrics_address=address) as agent:
            assert agent.process is not None
            assert agent.process.wait(60) == 1
    assert f"metrics_address: {address} cannot be served" in agent.log
    assert "Traceback" not in agent.log
