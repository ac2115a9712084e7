"""Test `edge/default_socket.py`: the socket that is read where nothing names an engine."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from logferry_agent.__main__ import main
from logferry_agent.edge import default_socket, endpoint
from logferry_agent.edge.default_socket import DefaultSocket, OnlyPodmanError, choose_socket

DOCKER = "/var/run/docker.sock"
ROOTLESS = "/run/user/1000/docker.sock"
PODMAN = "/run/podman/podman.sock"
OWN_PODMAN = "/run/user/1000/podman/podman.sock"


def chosen(*sockets: str, uid: int = 1000, **environment: str) -> DefaultSocket:
    return choose_socket(environment, uid, set(sockets).__contains__, ["/run/user/1000"])


@pytest.mark.parametrize(
    ("sockets", "host"),
    [
        ((DOCKER, ROOTLESS, PODMAN), None),
        ((ROOTLESS, PODMAN, OWN_PODMAN), f"unix://{ROOTLESS}"),
        ((), None),
    ],
)
def test_docker_is_preferred_to_rootless_docker_and_this_to_podman(sockets: tuple[str, ...], host: str | None) -> None:
    """Without any, the agent waits at Docker's default path."""
    assert chosen(*sockets).host == host


def test_rootless_docker_is_where_the_session_says() -> None:
    """XDG_RUNTIME_DIR may be anywhere."""
    assert chosen("/srv/run/docker.sock", XDG_RUNTIME_DIR="/srv/run").host == "unix:///srv/run/docker.sock"


def test_engine_of_another_user_is_named_but_not_read() -> None:
    """The agent reads no engine that nobody named."""
    found = chosen(ROOTLESS, uid=0)
    assert found.host is None
    assert f"set docker_host=unix://{ROOTLESS}" in found.advice


@pytest.mark.parametrize("socket", [PODMAN, OWN_PODMAN])
def test_host_with_podman_alone_is_refused_with_what_to_do(socket: str) -> None:
    """It would wait for ever."""
    with pytest.raises(
        OnlyPodmanError, match=rf"only Podman at {socket}.*Run the containers with Docker Engine.*docker_host"
    ):
        chosen(socket)


def test_agent_ends_where_only_podman_is(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """With a status that lets a supervisor try again."""

    def refuse(_: object) -> DefaultSocket:
        raise OnlyPodmanError(PODMAN)

    for name in [name for name in os.environ if name.startswith(("LOGFERRY_", "DOCKER_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setattr(endpoint, "find_default_socket", refuse)
    key = "lfa_" + "a" * 12 + "_" + "b" * 43
    monkeypatch.setenv("LOGFERRY_AGENT_KEY", key)
    monkeypatch.setenv("DOCKER_CONTEXT", "default")
    assert main(["--agents-url", "ws://127.0.0.1:1/live", "--source", "api"]) == 1
    assert capsys.readouterr().err.startswith(
        f"The agent cannot find the Docker Engine: there is no Docker Engine, only Podman at {PODMAN}"
    )


def test_socket_of_this_machine_is_found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The rules meet the real files."""
    monkeypatch.setattr(default_socket, "SYSTEM", str(tmp_path / "missing"))
    (tmp_path / "docker.sock").touch()
    assert (
        endpoint.find_endpoint(None, {"XDG_RUNTIME_DIR": str(tmp_path), "DOCKER_CONTEXT": "default"}).host
        == f"unix://{tmp_path}/docker.sock"
    )
