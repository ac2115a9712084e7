"""Test that `logferry doctor --agent` names what is wrong on an agent's host, by breaking it."""

from __future__ import annotations

import json
import os
import secrets
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.integration.cli.conftest import Run
from tests.integration.cli.test_doctor_network import failures
from tests.support.agents import KEY, AgentProcess
from tests.support.engines import machine_engine
from tests.support.fake_ingest import FakeIngestProcess, wait_until

NOBODY = 65_534


@pytest.fixture
def agent(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[FakeIngestProcess]:
    """Provide a cloud that accepts this host's agent, and set the agent's settings."""
    with FakeIngestProcess() as sink:
        monkeypatch.setenv("LOGFERRY_STATE", str(tmp_path / "none"))
        monkeypatch.setenv("LOGFERRY_AGENTS_URL", sink.url)
        monkeypatch.setenv("LOGFERRY_AGENT_KEY", KEY)
        monkeypatch.setenv("LOGFERRY_SPOOL_DIR", str(tmp_path / "spool"))
        yield sink


@pytest.mark.usefixtures("agent")
def test_engine_that_is_down_is_named(run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Without a socket, and with one that an engine left behind."""
    path = tmp_path / "docker.sock"
    monkeypatch.setenv("DOCKER_HOST", f"unix://{path}")
    said = failures(run, "--agent")
    assert set(said) == {"Docker Engine"}
    assert f"The Docker Engine is down or elsewhere: there is no socket {path}." in said["Docker Engine"]
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path))
    said = failures(run, "--agent")
    assert said["Docker Engine"].startswith(f"The Docker Engine is down: nothing listens at {path}.")
    assert "systemctl start docker" in said["Docker Engine"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become a user without the permission")
@pytest.mark.usefixtures("agent")
def test_missing_permission_on_the_socket_is_named(run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """It says who may not, and which group may."""
    path = tmp_path / "docker.sock"
    monkeypatch.setenv("DOCKER_HOST", f"unix://{path}")
    failures(run, "--agent")  # imports everything: another user may not read this checkout
    with socket.socket(socket.AF_UNIX) as engine:
        engine.bind(str(path))
        engine.listen()
        path.chmod(0o660)
        for folder in (tmp_path, *tmp_path.parents[:2]):
            folder.chmod(0o755)
        groups = os.getgroups()
        os.setgroups([])
        os.setegid(NOBODY)
        os.seteuid(NOBODY)
        try:
            said = failures(run, "--agent")["Docker Engine"]
        finally:
            os.seteuid(0)
            os.setegid(0)
            os.setgroups(groups)
    assert said.startswith(f"The user nobody may not use the Docker Engine's socket {path}.")
    assert "usermod -aG root nobody" in said


def test_refused_key_and_wrong_address_are_named(
    agent: FakeIngestProcess, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The engine's state does not matter for it."""
    agent.faults(keys=[])
    said = failures(run, "--agent")["cloud accepts the agent"]
    assert "the key was refused. It is wrong, revoked or expired" in said
    assert KEY not in said
    monkeypatch.setenv("LOGFERRY_AGENTS_URL", "wss://agents.invalid/live")
    said = failures(run, "--agent")["cloud accepts the agent"]
    assert "the name agents.invalid is not known" in said


def test_settings_come_from_the_installed_agents_file(
    agent: FakeIngestProcess, run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Whoever looks for a cause need not export them."""
    file = tmp_path / "agent.env"
    file.write_text(f'# comment\nLOGFERRY_AGENTS_URL="{agent.url}"\nLOGFERRY_SPOOL_LIMIT=none\n')
    monkeypatch.setenv("LOGFERRY_SPOOL_LIMIT", "")  # the command sets both, and the test's end restores them
    monkeypatch.delenv("LOGFERRY_AGENTS_URL")
    said = failures(run, "--agent", "--agent-env", str(file))
    assert "spool_limit" in said["agent's settings"]
    outcome = run("doctor", "--agent", "--agent-env", str(tmp_path / "missing"))
    assert outcome.status == 1
    assert "missing cannot be read: No such file" in outcome.err


@pytest.mark.engine
def test_full_spool_is_named(agent: FakeIngestProcess, tmp_path: Path) -> None:
    """The cloud takes nothing, so a real agent's spool fills up and it stops reading."""
    agent.faults(ignore=1.0)
    name = f"lf-doctor-{secrets.token_hex(4)}"
    with machine_engine() as machine:
        script = "head -c 3000000 /dev/urandom | od -An -tx1; exec sleep 1000"
        container = machine.run(script, name=name, network_mode="none")
        try:
            with AgentProcess(agent, tmp_path / "spool", name, spool_limit="65536") as process:
                wait_until(lambda: ", full" in process.ask("status")[1])
                done = subprocess.run(
                    [Path(sys.executable).parent / "logferry", "doctor", "--agent", "--json"],
                    env=process.environment, capture_output=True, check=False,
                )  # fmt: skip
        finally:
            container.remove(force=True)
    assert done.returncode == 1
    found = {leg["name"]: leg for leg in json.loads(done.stdout)}
    assert found["Docker Engine"]["outcome"] == "ok"
    assert found["spool"]["outcome"] == "failed"
    assert f"The spool {tmp_path / 'spool'} is full" in found["spool"]["detail"]
    assert "the agent has stopped reading" in found["spool"]["detail"]
