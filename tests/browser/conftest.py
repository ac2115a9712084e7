"""Share the built viewer and one Chromium among the viewer's browser tests."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright
from tests.support.page_waits import PATIENCE_MS
from tests.support.viewer_service import ViewerService

WEB = Path(__file__).parents[2] / "web"
CHROMIUM = "/usr/bin/chromium"

# Playwright's default of five seconds is too short on a busy machine.
expect.set_options(timeout=PATIENCE_MS)


@pytest.fixture(scope="session")
def viewer_dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the viewer from the current sources in its own folder."""
    folder = tmp_path_factory.mktemp("viewer")
    built = subprocess.run(
        ["npx", "vite", "build", "--outDir", str(folder), "--emptyOutDir", "--logLevel", "error"],
        cwd=WEB,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert built.returncode == 0, built.stdout + built.stderr
    return folder


# Per module: while Playwright runs, its event loop occupies this thread, and no test could have its own.
@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Provide one Chromium for a module's tests; each opens its own context."""
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        try:
            yield launched
        finally:
            launched.close()


@pytest.fixture
def cloud(viewer_dist: Path) -> Iterator[ViewerService]:
    """Provide a fake cloud for this test, which serves the built viewer."""
    with ViewerService(viewer_dist) as running:
        yield running


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """Provide a page in its own context, on a screen with a device pixel ratio of 2."""
    context = browser.new_context(viewport={"width": 1280, "height": 800}, device_scale_factor=2)
    context.set_default_timeout(PATIENCE_MS)
    try:
        yield context.new_page()
    finally:
        context.close()
