"""Test `edge/endpoint.py`: the engine is where the docker command would find it."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from logferry_agent.edge import endpoint
from logferry_agent.edge.default_socket import DefaultSocket
from logferry_agent.edge.docker_client import connect
from logferry_agent.edge.endpoint import EndpointError, find_endpoint


@pytest.fixture(autouse=True)
def _default_path(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a name, the engine is at Docker's path, whatever this machine has (test_default_socket.py)."""
    monkeypatch.setattr(endpoint, "find_default_socket", lambda _: DefaultSocket(None))


def context(folder: Path, name: str, endpoint: Any, files: tuple[str, ...] = ()) -> None:
    """Write a context as `docker context create` does."""
    identity = hashlib.sha256(name.encode()).hexdigest()
    meta = folder / "contexts" / "meta" / identity
    meta.mkdir(parents=True)
    document = endpoint if isinstance(endpoint, str) else json.dumps({"Name": name, "Endpoints": {"docker": endpoint}})
    (meta / "meta.json").write_text(document)
    tls = folder / "contexts" / "tls" / identity / "docker"
    tls.mkdir(parents=True)
    for file in files:
        (tls / file).write_text("PEM")


def chosen(folder: Path, name: str) -> None:
    (folder / "config.json").write_text(json.dumps({"auths": {}, "currentContext": name}))


def host_of(folder: Path, docker_host: str | None = None, **environment: str) -> str | None:
    return find_endpoint(docker_host, {"DOCKER_CONFIG": str(folder), **environment}).host


def test_endpoint_is_found_in_the_order_of_the_docker_command(tmp_path: Path) -> None:
    """The setting, DOCKER_HOST, DOCKER_CONTEXT, the chosen context, the default socket."""
    assert host_of(tmp_path) is None
    context(tmp_path, "chosen", {"Host": "unix:///run/chosen.sock", "SkipTLSVerify": False})
    context(tmp_path, "named", {"Host": "ssh://me@named"})
    chosen(tmp_path, "chosen")
    assert host_of(tmp_path) == "unix:///run/chosen.sock"
    assert host_of(tmp_path, DOCKER_CONTEXT="named") == "ssh://me@named"
    assert host_of(tmp_path, DOCKER_CONTEXT="default") is None
    assert host_of(tmp_path, DOCKER_CONTEXT="named", DOCKER_HOST="tcp://by-variable:2375") == "tcp://by-variable:2375"
    assert host_of(tmp_path, "unix:///set", DOCKER_HOST="tcp://by-variable:2375", DOCKER_CONTEXT="x") == "unix:///set"


def test_context_needs_no_config_file(tmp_path: Path) -> None:
    """`docker context create` writes none."""
    context(tmp_path, "named", {"Host": "tcp://named:2375"})
    assert host_of(tmp_path, DOCKER_CONTEXT="named") == "tcp://named:2375"


def test_contexts_of_the_home_folder_are_the_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If DOCKER_CONFIG is unset or empty."""
    monkeypatch.setenv("HOME", str(tmp_path))
    context(tmp_path / ".docker", "mine", {"Host": "unix:///run/mine.sock"})
    chosen(tmp_path / ".docker", "mine")
    assert find_endpoint(None, {"DOCKER_CONFIG": ""}).host == "unix:///run/mine.sock"
    assert find_endpoint(None, {}).host == "unix:///run/mine.sock"


@pytest.mark.parametrize("text", ["", "{", "[]", '{"currentContext": 7}', '{"currentContext": ""}', "\ufffd"])
def test_damaged_config_file_counts_as_none(tmp_path: Path, text: str) -> None:
    """As for the docker command, which continues with a warning."""
    (tmp_path / "config.json").write_text(text)
    assert host_of(tmp_path) is None


def test_missing_context_is_refused(tmp_path: Path) -> None:
    """The default one is never used instead: it may be another engine."""
    chosen(tmp_path, "gone")
    with pytest.raises(EndpointError, match=r"'gone' does not exist.*`docker context use`.*docker_host"):
        host_of(tmp_path)
    with pytest.raises(EndpointError, match=r"'away' does not exist"):
        host_of(tmp_path, DOCKER_CONTEXT="away")
    with pytest.raises(EndpointError, match=r"does not exist"):
        host_of(tmp_path, DOCKER_CONTEXT="../../etc")


@pytest.mark.parametrize("document", ["", "{", "[]", "{}", '{"Endpoints": []}', '{"Endpoints": {"docker": 1}}'])
def test_damaged_context_is_refused(tmp_path: Path, document: str) -> None:
    """The sentence names its file."""
    context(tmp_path, "odd", document)
    with pytest.raises(EndpointError, match=r"'odd' cannot be read: .*meta\.json"):
        host_of(tmp_path, DOCKER_CONTEXT="odd")


def test_contexts_certificates_are_used(tmp_path: Path) -> None:
    """An authority only, a client's certificate, and no verification at all."""
    endpoint = {"Host": "tcp://far:2376", "SkipTLSVerify": False}
    context(tmp_path, "ca", endpoint, ("ca.pem",))
    context(tmp_path, "all", endpoint, ("ca.pem", "cert.pem", "key.pem"))
    context(tmp_path, "lax", {**endpoint, "SkipTLSVerify": True})
    context(tmp_path, "half", endpoint, ("cert.pem",))
    tls = {}
    for name in ("ca", "all", "lax"):
        found = find_endpoint(None, {"DOCKER_CONFIG": str(tmp_path), "DOCKER_CONTEXT": name}).tls
        assert found is not None
        tls[name] = found
    assert (tls["ca"].ca_cert or "").endswith("/docker/ca.pem")
    assert tls["ca"].verify is True
    assert [str(path).rpartition("/")[2] for path in tls["all"].cert or ()] == ["cert.pem", "key.pem"]
    assert tls["lax"].verify is False
    with pytest.raises(EndpointError, match=r"only one of cert\.pem and key\.pem"):
        host_of(tmp_path, DOCKER_CONTEXT="half")


def test_connection_uses_the_contexts_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It also decides whether log files may be read."""
    for name in ("DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    context(tmp_path, "far", {"Host": "tcp://far:2376"})
    assert connect().local
    monkeypatch.setenv("DOCKER_CONTEXT", "far")
    assert not connect().local
    assert connect("unix:///run/docker.sock").local
