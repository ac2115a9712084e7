"""Test `logferry agent install` with a real systemd as process 1, and the machine's own Docker Engine."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.engines import wait_for
from tests.support.fake_ingest import FakeIngestProcess, wait_until
from tests.support.systemd_machine import PATH, ROOT, SystemdMachine, why_no_machine

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
ln -sf sh /run/image/bin/sleep
tar -cC /run/image . | docker -H "$2" import - box
"""
ENGINE = "unix:///run/docker.sock"


PACKAGES = ("rootlesskit", "uidmap", "slirp4netns", "dbus-user-session")
ROOTLESS = """
useradd --create-home --uid 4321 alice
systemctl stop docker
rm -f /run/docker.sock
systemctl start user@4321.service
runuser -u alice -- env XDG_RUNTIME_DIR=/run/user/4321 DBUS_SESSION_BUS_ADDRESS=unix:path=/run/user/4321/bus \
    systemd-run --user --unit rootless --property Delegate=yes --setenv PATH=/usr/sbin:/usr/bin:/sbin:/bin \
    --setenv DOCKERD_ROOTLESS_ROOTLESSKIT_NET=host --setenv DOCKERD_ROOTLESS_ROOTLESSKIT_PORT_DRIVER=none \
    /bin/sh /usr/share/docker.io/contrib/dockerd-rootless.sh --storage-driver=vfs --iptables=false --bridge=none
"""


@pytest.fixture(scope="module", name="machine")
def _machine() -> Iterator[SystemdMachine]:
    busybox = busybox_or_skip()
    with SystemdMachine() as machine:
        machine.run("sh", "-euc", IMAGE, "sh", str(busybox), ENGINE)
        yield machine


def busybox_or_skip() -> Path:
    """Return a static program that a container can run."""
    found = images._busybox(find_checkout())
    if found is None:
        pytest.skip("the containers' program comes from a Debian package")
    return found


@pytest.fixture(name="sink")
def _sink() -> Iterator[FakeIngestProcess]:
    with FakeIngestProcess() as sink:
        yield sink


def install(machine: SystemdMachine, *words: str, stdin: str = "", check: bool = True) -> str:
    return machine.run(LOGFERRY, "agent", "install", *words, stdin=stdin, check=check)


def container(machine: SystemdMachine, engine: str = ENGINE) -> str:
    return machine.run("docker", "-H", engine, "run", "-d", "--network=none", "box", "/bin/sh", "-c", WRITE).strip()


def let_everybody_run_python(machine: SystemdMachine) -> None:
    """Open the folders above the tests' Python, which may be in a home that only root may enter."""
    for folder in Path(sys.executable).resolve().parents:
        machine.run("chmod", "o+x", str(folder), check=False)


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
    let_everybody_run_python(machine)
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


STUBS = """
mkdir -p /run/stubs
for program in dnf aws curl; do
    printf '#!/bin/sh\\necho stub\\n' >/run/stubs/$program
done
cat >/run/stubs/docker <<'STUB'
#!/bin/sh
case $1 in login) cat >/dev/null ;; pull) ;; *) exec /usr/bin/docker "$@" ;; esac
STUB
chmod +x /run/stubs/*
"""
"""What needs Amazon Linux, AWS or a registry. systemctl and the rest of docker are real."""


def test_user_data_of_an_instance_runs_the_agents_container(machine: SystemdMachine) -> None:
    """As the script is, but with an image that only sleeps. A second run replaces the container."""
    machine.run("sh", "-euc", STUBS)
    machine.run(
        "sh",
        "-euc",
        f"""{IMAGE.replace("import - box", "import -c 'CMD sleep 999' - agent:1")}""",
        "sh",
        str(busybox_or_skip()),
        ENGINE,
    )
    script = (ROOT / "infra" / "agent" / "ec2-user-data.sh").read_text()
    script = re.sub("key_parameter=''", "key_parameter=/logferry/key", script)
    script = re.sub("image='.*'", "image=agent:1", script)
    for _ in range(2):
        machine.run("env", f"PATH=/run/stubs:{PATH}", "DOCKER_HOST=unix:///run/docker.sock", "sh", "-s", stdin=script)
    found = json.loads(machine.run("docker", "-H", ENGINE, "inspect", "logferry-agent"))[0]
    host = found["HostConfig"]
    assert (found["State"]["Running"], host["ReadonlyRootfs"], host["CapDrop"]) == (True, True, ["ALL"])
    assert host["RestartPolicy"]["Name"] == "unless-stopped"
    assert "LOGFERRY_AGENT_KEY_FILE=/etc/logferry/agent-key" in found["Config"]["Env"]
    assert machine.run("stat", "-c", "%a %U", "/etc/logferry/agent-key", "/var/lib/logferry").split("\n")[:2] == [
        "600 root",
        "700 root",
    ]
    assert machine.run("cat", "/etc/logferry/agent-key") == "stub\n"
    assert json.loads(machine.run("cat", "/etc/docker/daemon.json"))["log-driver"] == "json-file"
    machine.run("docker", "-H", ENGINE, "rm", "--force", "logferry-agent")
    machine.run("rm", "-r", "/etc/logferry", "/var/lib/logferry")


def test_service_of_a_rootless_engines_user_reads_its_log_files(
    machine: SystemdMachine, sink: FakeIngestProcess
) -> None:
    """The engine's socket and data root are the user's own. This ends the machine's other engine."""
    said = machine.run("apt-get", "install", "-q", "-y", "--no-install-recommends", *PACKAGES, check=False)
    if not machine.run("sh", "-c", "command -v rootlesskit", check=False):
        pytest.skip(f"the packages of rootless Docker cannot be had: {said[-200:]}")
    let_everybody_run_python(machine)
    machine.run("sh", "-euc", ROOTLESS)
    engine = "unix:///run/user/4321/docker.sock"
    wait_for(lambda: "srw" in machine.run("ls", "-l", engine.removeprefix("unix://"), check=False), "the engine is up")
    machine.run("sh", "-euc", IMAGE, "sh", str(busybox_or_skip()), engine)
    job = container(machine, engine)
    settings = ["--agents-url", sink.url, "--start-at", "beginning", "--flush-interval", "0.2"]
    said = install(machine, *settings, "--user", "alice", "--key-file", "-", stdin=KEY)
    assert f"The service reads the rootless engine at {engine}." in said
    wait_until(lambda: sink.tip(job) >= 3_001)
    assert sink.lives()["lives"][job]["life"]["source"] == "file"
    lines = [text for _, _, stream, text in sink.entries(job) if stream != "s"]
    assert lines == [f"line {index}" for index in range(3_000)]
    machine.run(LOGFERRY, "agent", "uninstall", "--purge", "--yes")
