"""Test that axe has no serious or critical finding on any page, in both themes, on desktop and phone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect
from tests.support.viewer_cloud import BEGAN_US
from tests.support.viewer_service import ViewerService

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]

PATIENCE_MS = 60_000
# Evaluated as source: the page's Content-Security-Policy refuses a script element.
AXE = (Path(__file__).parents[2] / "web/node_modules/axe-core/axe.min.js").read_text(encoding="utf-8")
SIZES = {"desk": (1280, 800), "phone": (390, 780)}
LINES = [
    "plain",
    "\x1b[31mred\x1b[0m \x1b[90mgrey\x1b[0m \x1b[30mblack\x1b[0m \x1b[97mwhite\x1b[0m \x1b[2mfaint\x1b[0m",
    "\x1b[38;2;250;250;250mnearly white\x1b[0m \x1b[38;5;234mnearly black\x1b[0m \x1b[43mon yellow\x1b[0m",
    "ERROR it failed",
    "WARN it may fail",
    '{"level":"info","message":"folded"}',
    "see https://example.com/a?b=c",
    "Traceback (most recent call last):",
    '  File "/app/main.py", line 1, in <module>',
    "    main()",
    "ValueError: bad",
]
GAP = f'{{"event":"gap","reason":"rotated","count":412,"start":{BEGAN_US},"end":{BEGAN_US + 1},"detail":""}}'


@pytest.fixture(scope="module")
def cloud(viewer_dist: Path) -> Iterator[ViewerService]:
    with ViewerService(viewer_dist) as cloud:
        cloud.add_job("web-1", project="shop", labels={"tier": "front"})
        cloud.add_job("batch-1", state="exited")
        cloud.add_job("lost-1", state="lost")
        cloud.append("web-1", [*LINES, GAP, *LINES], "o" * len(LINES) + "s" + "e" * len(LINES))
        yield cloud


def login(page: Page, cloud: ViewerService) -> None:
    page.goto(cloud.url)
    expect(page.get_by_label("Viewer key")).to_be_visible(timeout=PATIENCE_MS)


def jobs(page: Page, cloud: ViewerService) -> None:
    page.goto(cloud.page())
    expect(page.locator("[data-job]")).to_have_count(3, timeout=PATIENCE_MS)


def grouped_jobs(page: Page, cloud: ViewerService) -> None:
    jobs(page, cloud)
    page.get_by_label("Group by").select_option("project")
    page.locator("[data-job] input").first.check()
    expect(page.locator(".jobs-chosen")).to_be_visible(timeout=PATIENCE_MS)


def no_job_matches(page: Page, cloud: ViewerService) -> None:
    jobs(page, cloud)
    page.get_by_label("Filter jobs").fill("nothing is called that")
    expect(page.locator("[data-notice=nothing]")).to_be_visible(timeout=PATIENCE_MS)


def job(page: Page, cloud: ViewerService) -> None:
    page.goto(cloud.page("web-1"))
    expect(page.get_by_text("ValueError: bad").first).to_be_visible(timeout=PATIENCE_MS)


def palette(page: Page, cloud: ViewerService) -> None:
    job(page, cloud)
    page.keyboard.press("Control+k")
    expect(page.locator("dialog.palette")).to_be_visible(timeout=PATIENCE_MS)


def help_map(page: Page, cloud: ViewerService) -> None:
    job(page, cloud)
    page.keyboard.press("?")
    expect(page.locator("dialog.help")).to_be_visible(timeout=PATIENCE_MS)


def settings(page: Page, cloud: ViewerService) -> None:
    job(page, cloud)
    page.get_by_label("Settings").first.click()
    expect(page.get_by_label("Theme")).to_be_visible(timeout=PATIENCE_MS)


def share(page: Page, cloud: ViewerService) -> None:
    job(page, cloud)
    page.keyboard.press("S")
    page.get_by_role("button", name="Create a link").click()
    expect(page.locator("[data-status=works]").first).to_be_visible(timeout=PATIENCE_MS)


def download(page: Page, cloud: ViewerService) -> None:
    job(page, cloud)
    page.keyboard.press("D")
    expect(page.locator("dialog.export")).to_be_visible(timeout=PATIENCE_MS)


def go_to(page: Page, cloud: ViewerService) -> None:
    job(page, cloud)
    page.locator('[data-seq="3"] .gutter').click()
    page.keyboard.press(":")
    expect(page.get_by_label("Go to a line or a time")).to_be_focused(timeout=PATIENCE_MS)


def merged(page: Page, cloud: ViewerService) -> None:
    page.goto(cloud.page("web-1", "batch-1"))
    expect(page.get_by_text("ValueError: bad").first).to_be_visible(timeout=PATIENCE_MS)


def merged_marked(page: Page, cloud: ViewerService) -> None:
    merged(page, cloud)
    page.locator('[data-seq="3"] .gutter').first.click()
    expect(page.get_by_role("toolbar", name="Marked lines")).to_be_visible(timeout=PATIENCE_MS)


def merged_download(page: Page, cloud: ViewerService) -> None:
    merged_marked(page, cloud)
    page.keyboard.press("D")
    expect(page.get_by_label("All lines of these jobs")).to_be_visible(timeout=PATIENCE_MS)


def side_by_side(page: Page, cloud: ViewerService) -> None:
    merged(page, cloud)
    page.get_by_role("button", name="Side by side").click()
    expect(page.locator("[data-job-page]")).to_have_count(2, timeout=PATIENCE_MS)


PAGES: tuple[Callable[[Page, ViewerService], None], ...] = (
    login,
    jobs,
    grouped_jobs,
    no_job_matches,
    job,
    palette,
    help_map,
    settings,
    share,
    download,
    go_to,
    merged,
    merged_marked,
    merged_download,
    side_by_side,
)
# These have another layout on a phone; the rest differs only in width.
ON_A_PHONE = (jobs, job, settings, share, merged, merged_marked)


def findings(page: Page, rules: list[str] | None = None) -> list[str]:
    """Return the serious and critical findings of axe, one line each with its element."""
    page.evaluate(AXE)
    only = {} if rules is None else {"runOnly": {"type": "rule", "values": rules}}
    found: dict[str, Any] = page.evaluate(
        "options => axe.run(document, options)", {"resultTypes": ["violations"], **only}
    )
    return [
        f"{violation['id']}: {node['html'][:160]} ({node['failureSummary'][:300]})"
        for violation in found["violations"]
        if violation["impact"] in {"serious", "critical"}
        for node in violation["nodes"]
    ]


@pytest.mark.parametrize("size", SIZES)
def test_axe_has_no_serious_finding(browser: Browser, cloud: ViewerService, size: str) -> None:
    """On every page and in every dialog, in the light theme and in the dark one, where only colours differ."""
    width, height = SIZES[size]
    found: dict[str, list[str]] = {}
    for show in PAGES if size == "desk" else ON_A_PHONE:
        context = browser.new_context(
            viewport={"width": width, "height": height}, color_scheme="light", reduced_motion="reduce"
        )
        context.set_default_timeout(PATIENCE_MS)
        try:
            page = context.new_page()
            show(page, cloud)
            found[f"{show.__name__} light"] = findings(page)
            page.emulate_media(color_scheme="dark")
            found[f"{show.__name__} dark"] = findings(page, ["color-contrast"])
        finally:
            context.close()
    assert {name: here for name, here in found.items() if here} == {}


def test_axe_reports_an_unreadable_colour(browser: Browser, cloud: ViewerService) -> None:
    """An unreadable colour is a finding: the tests above can fail."""
    context = browser.new_context()
    try:
        page = context.new_page()
        jobs(page, cloud)
        page.evaluate("document.documentElement.style.setProperty('--muted', '#c8c8c8')")
        assert any("color-contrast" in line for line in findings(page, ["color-contrast"]))
    finally:
        context.close()
