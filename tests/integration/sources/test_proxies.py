"""Test readers behind a proxy in front of the engine's socket that allows what docs/docker-engines.md lists."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from tests.integration.sources.conftest import Watcher
from tests.support.engines import Engine, wait_for
from tests.support.rechunking_proxy import rechunking_proxy

from logferry_local.checkout import find_checkout

PAGE = (find_checkout().root / "docs" / "docker-engines.md").read_text()
HAPROXY = re.search(r"^```haproxy\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
TECNATIVA = r"/(containers|info|events|version|_ping).*"
"""Paths that docker-socket-proxy passes on with the variables that the page names."""
LABELS = {f"traefik.http.routers.shop-{number}.rule": "Host(`shop.example.com`)" * 3 for number in range(80)}
"""With these labels, a container's event is longer than any usual chunk."""

pytestmark = pytest.mark.engine


def allowed_paths() -> str:
    """Return the paths of the page's HAProxy configuration as an expression, without the version prefix."""
    assert HAPROXY is not None
    found = re.search(r"path_reg \^\(/v\[0-9\.\]\+\)\?(\S+)\$", HAPROXY[1])
    assert found is not None
    return found[1]


@pytest.mark.parametrize(
    ("source", "allow"),
    [
        pytest.param("api", allowed_paths(), id="api behind haproxy"),
        pytest.param("file", allowed_paths(), id="files behind haproxy", marks=pytest.mark.slow),
        pytest.param("api", TECNATIVA, id="api behind docker-socket-proxy", marks=pytest.mark.slow),
    ],
)
def test_short_container_with_long_events_is_read_through_a_proxy(
    engine: Engine, watch: Watcher, prefix: str, tmp_path: Path, source: str, allow: str
) -> None:
    """Each event spans several chunks, and only the documented paths are requested."""
    asked: set[str] = set()
    with rechunking_proxy(engine.socket, tmp_path, (4_096, 1), allow=allow, asked=asked.add) as address:
        seen = watch(source, docker_host=address)
        container = engine.run("echo big; sleep 0.3; printf bye", name=prefix + "a", labels=LABELS)
        log = seen.ended(container.id)
        assert log.lines() == ["big", "bye"]
        assert log.names()[-2:] == ["started", "exited"]
        seen.stop()
    assert not [path for path in asked if not re.fullmatch(allowed_paths(), path)]
    assert {"/version", "/events", "/containers/json"} <= asked


@pytest.mark.slow
def test_documented_haproxy_passes_everything(
    engine: Engine, watch: Watcher, prefix: str, tmp_path: Path, source: str
) -> None:
    """The page's configuration with other sockets and seconds instead of ten minutes, so streams are cut often."""
    haproxy = shutil.which("haproxy", path=f"{os.environ['PATH']}:/usr/sbin")
    if haproxy is None:
        pytest.skip("haproxy is not installed (apt-get install haproxy)")
    assert HAPROXY is not None
    socket = tmp_path / "docker.sock"
    configuration = (
        HAPROXY[1]
        .replace("/run/logferry/docker.sock", str(socket))
        .replace("/var/run/docker.sock", engine.socket)
        .replace("10m", "2s")
    )
    (tmp_path / "haproxy.cfg").write_text(configuration)
    with subprocess.Popen([haproxy, "-db", "-f", str(tmp_path / "haproxy.cfg")]) as running:
        try:
            wait_for(socket.exists, "haproxy listens")
            seen = watch(source, docker_host=f"unix://{socket}")
            container = engine.run("echo one; sleep 7; seq 2000; printf bye", name=prefix + "a", labels=LABELS)
            log = seen.ended(container.id)
            assert log.lines() == ["one", *map(str, range(1, 2001)), "bye"]
            assert log.names()[-2:] == ["started", "exited"]
            ask = [
                "curl",
                "--silent",
                "--unix-socket",
                str(socket),
                "--write-out",
                "%{http_code}",
                "--output",
                "/dev/null",
            ]
            archive = f"http://engine/v1.41/containers/{container.id}/archive?path=/etc"
            forbidden = subprocess.run([*ask, archive], capture_output=True, check=True)
            assert forbidden.stdout == b"403"
            seen.stop()
        finally:
            running.terminate()
