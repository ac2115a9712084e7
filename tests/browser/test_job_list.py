"""Test the job list in a real browser: live updates, thousands of jobs, and states that say what to do next."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect
from tests.support.viewer_cloud import ViewerCloud, job_id

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]

PATIENCE_MS = 60_000
MANY = 3_000


def test_empty_list_says_how_to_fill_it_and_shows_a_new_job_live(page: Page, cloud: ViewerCloud) -> None:
    """Without a reload: the job appears, then its end."""
    page.goto(cloud.page())
    expect(page.locator("[data-notice=empty]")).to_contain_text("logferry agent", timeout=PATIENCE_MS)
    cloud.add_job("web-1")
    cloud.tell("web-1")
    row = page.locator(f"[data-job='{job_id('web-1')}']")
    expect(row).to_contain_text("running", timeout=PATIENCE_MS)
    cloud.tell("web-1", state="exited", exit_code=137, oom=True)
    expect(row).to_contain_text("exited 137 out of memory", timeout=PATIENCE_MS)
    row.get_by_role("link").click()
    expect(page.get_by_role("heading", name="web-1")).to_be_visible(timeout=PATIENCE_MS)
    expect(page).to_have_url(f"{cloud.url}?job={job_id('web-1')}")


def test_thousands_of_jobs_are_scrolled_and_filtered(page: Page, cloud: ViewerCloud) -> None:
    """The page holds few rows at any time; the last one is reachable, and typing finds one in thousands."""
    for number in range(MANY):
        cloud.add_job(f"web-{number}", project=f"project-{number % 7}")
    page.goto(cloud.page())
    expect(page.locator(".jobs-count")).to_have_text("3,000 jobs", timeout=PATIENCE_MS)
    assert page.locator("[data-job]").count() < 100
    page.locator("[data-at='0'] a").focus()
    page.keyboard.press("End")
    expect(page.locator(f"[data-at='{MANY - 1}'] a")).to_be_focused(timeout=PATIENCE_MS)
    expect(page.locator(f"[data-at='{MANY - 1}']")).to_be_in_viewport()
    page.get_by_label("Filter jobs").fill("web-1234")
    expect(page.locator("[data-job]")).to_have_count(1, timeout=PATIENCE_MS)
    page.get_by_label("Filter jobs").fill("")
    page.get_by_label("Group by").select_option("project")
    expect(page.locator("[data-at='0']")).to_have_text(re.compile(r"project-\d.*jobs"), timeout=PATIENCE_MS)


def test_expired_session_keeps_what_was_read(page: Page, cloud: ViewerCloud) -> None:
    """The page says so and offers to log in; a new key continues in the same state."""
    cloud.add_job("web-1")
    page.goto(cloud.page())
    expect(page.locator("[data-job]")).to_be_visible(timeout=PATIENCE_MS)
    # A pending ticket of the old key would open a connection after the cut.
    expect(page.locator("[data-connection-state=open]").first).to_be_attached()
    cloud.key = "lfv_" + "c" * 12 + "_" + "C" * 43
    cloud.cut()
    ended = page.locator("[data-session=ended]")
    expect(ended).to_be_visible(timeout=PATIENCE_MS)
    expect(page.locator("[data-job]")).to_be_visible()
    ended.get_by_role("button", name="Log in").click()
    page.get_by_label("Viewer key").fill(cloud.key)
    page.get_by_role("button", name="Log in").click()
    expect(page.locator("[data-job]")).to_be_visible(timeout=PATIENCE_MS)
    expect(ended).to_have_count(0)


def test_offline_network_is_reported(page: Page, cloud: ViewerCloud) -> None:
    """The first listing fails and is retried automatically."""
    cloud.add_job("web-1")
    page.route("**/api/jobs*", lambda route: route.abort())
    page.goto(cloud.page())
    expect(page.locator("[data-notice=offline]")).to_contain_text("network", timeout=PATIENCE_MS)
    page.unroute("**/api/jobs*")
    expect(page.locator("[data-job]")).to_be_visible(timeout=PATIENCE_MS)
    expect(page.locator("[data-notice]")).to_have_count(0)
