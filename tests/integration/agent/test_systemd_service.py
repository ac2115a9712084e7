"""Test `logferry agent install` with a real systemd as process 1, and the machine's own Docker Engine."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.engines import wait_for
from tests.support.fake_ingest import FakeIngestProcess, wait_until
from tests.support.systemd_machine import SystemdMachine, why_no_machine

from logferry_local import images
from logferry_local.checkout import find_checkout

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(why_no_machine() is not None, reason=f"no systemd: {why_no_machine()}"),
]

KEY = "lfa_" + "a" * 12 + "_" + "b" * 43
LOGFERRY = str(Path(sys.executable).with_name("logferry"))
WRITE = "i=0; while [ $i -lt 3000 ]; do echo line $i; i=$((i+1)); done; while :; do sleep 1; done"
IMAGE = """
mkdir -p /run/image/bin
cp "$1" /run/image/bin/sh
ln -s sh /run/image/bin/sleep
tar -cC /run/image . | docker import - box
"""


@pytest.fixture(scope="module", name="machine")
def _machine() -> Iterator[SystemdMachine]:
    busybox = images._busybox(find_checkout())
    if busybox is None:
        pytest.skip("the containers' program comes from a Debian package")
    with SystemdMachine() as machine:
        machine.run("sh", "-euc", IMAGE, "sh", str(busybox))
        yield machine


@pytest.fixture(name="sink")
def _sink() -> Iterator[FakeIngestProcess]:
    with FakeIngestProcess() as sink:
        yield sink


def install(machine: SystemdMachine, *words: str, stdin: str = "", check: bool = True) -> str:
    return machine.run(LOGFERRY, "agent", "install", *words, stdin=stdin, check=check)


def container(machine: SystemdMachine) -> str:
    return machine.run("docker", "run", "-d", "--network=none", "box", "/bin/sh", "-c", WRITE).strip()


def property_of(machine: SystemdMachine, name: str) -> str:
    return machine.run("systemctl", "show", "logferry-agent", "--value", "--property", name).strip()


def test_service_ships_comes_back_and_is_removed(machine: SystemdMachine, sink: FakeIngestProcess) -> None:
    """Every line once, from the log files, across a kill and a repeated installation."""
    job = container(machine)
    settings = ["--agents-url", sink.url, "--start-at", "beginning", "--flush-interval", "0.2"]
    said = install(machine, *settings, "--key-file", "-", stdin=KEY)
    assert "The agent runs as root and is connected" in said
    wait_until(lambda: sink.tip(job) >= 3_001)
    assert sink.lives()["lives"][job]["life"]["source"] == "file"

    first = property_of(machine, "MainPID")
    machine.run("kill", "-9", first)
    wait_for(lambda: property_of(machine, "MainPID") not in {"0", first}, "systemd starts it again")
    assert "is connected" in install(machine, "--rate-limit", "1000000"), "the key and the other settings stay"
    second = container(machine)
    wait_until(lambda: sink.tip(second) >= 3_001)
    for one in (job, second):
        lines = [text for _, _, stream, text in sink.entries(one) if stream != "s"]
        assert lines == [f"line {index}" for index in range(3_000)]
    assert property_of(machine, "LimitNOFILE") == "65536"

    said = machine.run(LOGFERRY, "agent", "uninstall", "--purge", "--yes")
    assert said.startswith("The service is removed.")
    assert property_of(machine, "ActiveState") == "inactive"
    assert (
        machine.run(
            "ls", "/etc/logferry", "/var/lib/logferry", "/etc/systemd/system/logferry-agent.service", check=False
        ).count("No such file")
        == 3
    )


def test_service_of_another_user_reads_through_the_api(machine: SystemdMachine, sink: FakeIngestProcess) -> None:
    """The user is made, owns the key and the spool, and has the group of the engine's socket."""
    # The tests' Python may be in a home that only root may enter.
    for folder in [Path(sys.executable).resolve().parent, *Path(sys.executable).resolve().parents]:
        machine.run("chmod", "o+x", str(folder), check=False)
    job = container(machine)
    settings = ["--agents-url", sink.url, "--start-at", "beginning", "--flush-interval", "0.2"]
    install(machine, *settings, "--user", "logs", "--key-file", "-", stdin=KEY)
    wait_until(lambda: sink.tip(job) >= 3_001)
    assert sink.lives()["lives"][job]["life"]["source"] == "api"
    owners = machine.run(
        "stat", "-c", "%U %a", "/etc/logferry/agent-key", "/etc/logferry/agent.env", "/var/lib/logferry"
    )
    assert owners.split("\n")[:3] == ["logs 600", "root 600", "logs 700"]
    machine.run(LOGFERRY, "agent", "uninstall", "--purge", "--yes")


def test_refused_key_is_said_at_once(machine: SystemdMachine, sink: FakeIngestProcess) -> None:
    """The service stays and keeps trying."""
    sink.faults(keys=[])
    settings = ["--agents-url", sink.url, "--key-file", "-"]
    said = install(machine, *settings, stdin=KEY, check=False)
    assert "the agent does not work yet: the cloud does not accept the agent's key" in said
    assert property_of(machine, "ActiveState") == "active"
    machine.run(LOGFERRY, "agent", "uninstall", "--purge", "--yes")
