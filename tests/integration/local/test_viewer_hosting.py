"""Test the viewer where the HTTP API serves it instead of CloudFront; a running stack changes to it and back."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from playwright.sync_api import expect, sync_playwright
from tests.support.batches import CONTAINER, batch_document
from tests.support.root_proxy import root_proxy
from websockets.sync.client import connect

from logferry_local import deployment, viewer_files, viewer_process
from logferry_local.aws import LocalAws
from logferry_local.checkout import find_checkout
from logferry_state.processes import ProcessTable, stop
from logferry_state.state import LocalKeys, LocalState, load_keys, load_state

pytestmark = [pytest.mark.cloud, pytest.mark.browser, pytest.mark.timeout(600)]

PATIENCE_MS = 60_000
Deploy = Callable[[str], dict[str, str]]


@pytest.fixture
def deploy(folder: Path, tmp_path: Path) -> Deploy:
    """Return how the stack is deployed with a ViewerHosting; it returns the outputs."""
    checkout, state = find_checkout(), load_state(folder)
    aws = LocalAws(state.endpoint_url, state.region, state.access_key)
    target = deployment.this_machine(checkout)
    built, _ = deployment.build(checkout, target, tmp_path / "build.log")
    viewer_files.build(checkout)
    shutil.copytree(built.parent, tmp_path / "built")
    # A local cloud's build leaves the viewer out, as its function `publish` is not deployed otherwise.
    shutil.copytree(checkout.viewer_files, tmp_path / "built" / "Publish" / "viewer", dirs_exist_ok=True)
    parameters = {
        **deployment.parameters_of(target),
        "GatewayBase": f"{state.endpoint_url}/_aws/execute-api",
        "ViewerOrigins": state.viewer_url,
    }

    def deploy(hosting: str) -> dict[str, str]:
        changed = {**parameters, "ViewerHosting": hosting}
        deployment.deploy(checkout, tmp_path / "built" / "template.yaml", aws, changed, tmp_path)
        return deployment.outputs(aws)

    return deploy


@pytest.fixture
def viewer_port(folder: Path) -> Iterator[int]:
    """Free the port whose pages may use the emulator, and let the local cloud serve the viewer there again."""
    state, processes = load_state(folder), ProcessTable(folder)
    port, served = urlsplit(state.viewer_url).port, processes.running(viewer_process.ROLE)
    assert port is not None
    assert served is not None
    stop(served)
    try:
        yield port
    finally:
        command = viewer_process.command(find_checkout(), port, state.http_url, state.viewers_url)
        viewer_process.start(command, folder, port)


def send(state: LocalState, keys: LocalKeys, first: int, *lines: str) -> None:
    """Store lines of one job, as its agent does."""
    opening = {"job": CONTAINER, "container": {"name": "hosted"}, "life": {"state": "running", "created": 1}}
    headers = {"Authorization": f"Bearer {keys.agent_key}"}
    with connect(f"{state.agents_url}?v=1", additional_headers=headers, open_timeout=60) as socket:
        for message in (
            {"type": "open", "id": "o", "instance": "HOSTED", "jobs": [opening]},
            {"type": "ingest", "id": "i", "batches": [batch_document(first, lines)]},
        ):
            socket.send(json.dumps(message))
            assert json.loads(socket.recv(60))["id"] == message["id"]


@pytest.mark.slow
def test_viewer_of_the_api_signs_in_and_shows_live_lines(folder: Path, deploy: Deploy, viewer_port: int) -> None:
    """The change of the parameter publishes the viewer, and the API's routes stay what they were."""
    state, keys = load_state(folder), load_keys(folder)
    by_api = deploy("api")
    assert by_api["ViewerUrl"] == f"{state.http_url}/"
    send(state, keys, 1, "before the page", "was opened")
    origin = f"http://127.0.0.1:{viewer_port}"
    with root_proxy(state.http_url, viewer_port), sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        try:
            page = browser.new_page()
            page.set_default_timeout(PATIENCE_MS)
            problems: list[str] = []
            page.on("pageerror", lambda error: problems.append(str(error)))
            page.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)
            answer = page.goto(f"{origin}/?job=local.{CONTAINER}#key={keys.viewer_key}")
            assert answer is not None
            assert "frame-ancestors 'none'" in (answer.header_value("content-security-policy") or "")
            expect(page.locator("[data-connection-state=open]").first).to_be_attached(timeout=PATIENCE_MS)
            expect(page.get_by_text("was opened")).to_be_visible(timeout=PATIENCE_MS)
            send(state, keys, 3, "while the page is open")
            expect(page.get_by_text("while the page is open")).to_be_visible(timeout=PATIENCE_MS)
            assert problems == []
        finally:
            browser.close()
    assert httpx.get(f"{state.http_url}/api/jobs").status_code == 401


@pytest.mark.slow
def test_stack_changes_back_to_cloudfront(folder: Path, deploy: Deploy) -> None:
    """The API serves no pages any more, and everything else stays."""
    state = load_state(folder)
    by_api = deploy("api")
    assert httpx.get(f"{state.http_url}/").status_code == 200
    back = deploy("cloudfront")
    assert back["ViewerUrl"].startswith("https://")
    assert httpx.get(f"{state.http_url}/").status_code == 404
    assert httpx.get(f"{state.http_url}/index.html").status_code == 401
    assert {name: value for name, value in back.items() if name != "ViewerUrl"} == {
        name: value for name, value in by_api.items() if name != "ViewerUrl"
    }, "no table, bucket or API was replaced"
