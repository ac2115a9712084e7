"""Test in a real browser on the deployed cloud that all lines are shown, live and from history."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any, Final

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright
from tests.e2e.conftest import PATIENCE_S, Agent, Cloud, Containers, assert_complete, numbered

pytestmark = [pytest.mark.engine, pytest.mark.cloud, pytest.mark.browser, pytest.mark.timeout(600)]

CHROMIUM = "/usr/bin/chromium"
PATIENCE_MS = PATIENCE_S * 1000
STREAMS = {"o": "stdout", "O": "stdout", "e": "stderr", "E": "stderr", "s": "system"}


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Provide one Chromium for the tests here."""
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        try:
            yield launched
        finally:
            launched.close()


def opened(browser: Browser, url: str) -> Page:
    """Open a page in a new context, where nobody is logged in."""
    page = browser.new_context(viewport={"width": 1280, "height": 800}).new_page()
    page.set_default_timeout(PATIENCE_MS)
    page.goto(url)
    return page


def seen(page: Page, job: str) -> list[dict[str, Any]]:
    """Return the entries that the page holds, in the form of an export."""
    entries = page.evaluate(
        "async job => { const l = window.logferry.lines(job); return await window.logferry.entries(job, 1, l.last) }",
        job,
    )
    return [
        {"sequence": entry["sequence"], "stream": STREAMS.get(entry["stream"], entry["stream"]), "line": entry["text"]}
        for entry in entries
    ]


def wait_until_whole(page: Page, job: str, last: int) -> dict[str, Any]:
    """Wait until the page knows the entry `last`, and make it fetch what it has not shown yet."""
    page.wait_for_function(
        "([job, last]) => { const l = window.logferry?.lines(job); return l && l.last >= last && l.caughtUp }",
        arg=[job, last],
    )
    page.evaluate("job => window.logferry.whole(job)", job)
    page.wait_for_function(
        "([job, last]) => { const l = window.logferry.lines(job); return l.problem || l.received >= last }",
        arg=[job, last],
    )
    lines: dict[str, Any] = page.evaluate("job => window.logferry.lines(job)", job)
    return lines


def test_browser_shows_every_line_live_and_from_history(
    cloud: Cloud, containers: Containers, make_agent: Callable[..., Agent], browser: Browser
) -> None:
    """One page opens before the container starts, one after it ended."""
    make_agent()
    early = opened(browser, f"{cloud.state.viewer_url}/#key={cloud.keys.viewer_key}")
    expect(early.locator("[data-connection-state=open]").first).to_be_attached(timeout=PATIENCE_MS)
    assert "lfv_" not in early.evaluate("() => location.href")
    rest = numbered(pause_every=250).replace("i=1;", "i=201;")
    name = containers.run("seen", f"{numbered(200)}; until [ -e /go ]; do sleep 0.1; done; {rest}")
    job = cloud.job_of(name)
    early.locator(f"[data-job='{job}'] a").first.click()
    early.wait_for_selector("[data-seq]")
    early.wait_for_function("job => window.logferry.lines(job)?.caughtUp", arg=job)
    containers.engine.containers.get(name).exec_run(["/bin/sh", "-c", ": > /go"])
    assert cloud.ended(name) == job
    last = cloud.tip(job)

    late = opened(browser, f"{cloud.state.viewer_url}/?job={job}#key={cloud.keys.viewer_key}")
    exported = cloud.exported(name)
    assert_complete(exported)
    assert len(exported) == last
    wanted = [{"sequence": entry["sequence"], "stream": entry["stream"], "line": entry["line"]} for entry in exported]
    live, history = wait_until_whole(early, job, last), wait_until_whole(late, job, last)
    for lines in (live, history):
        assert (lines["first"], lines["last"], lines["received"]) == (1, last, last)
        assert lines["holes"] == []
    assert live["live"] > 0
    assert history["live"] == 0
    assert seen(early, job) == wanted
    assert seen(late, job) == wanted
    for page in (early, late):
        shown = page.locator(f"[data-seq='{last - 1}']")
        expect(shown).to_contain_text("05000 farbe 5000 äöü 日本語 🚢", timeout=PATIENCE_MS)
        expect(page.locator("[data-stream=stderr]").first).to_be_visible(timeout=PATIENCE_MS)


FURTHER = """([job, opened, last]) => {
  const connection = window.logferry.connection(), lines = window.logferry.lines(job);
  // As when somebody looks at the page again: no need to wait for the longest pauses of the backoff.
  if (connection.kind === "waiting") document.dispatchEvent(new Event("visibilitychange"));
  return connection.opened > opened && connection.kind === "open" && lines.subscribed && lines.last > last;
}"""
"""The page has reconnected, subscribed, and knows of more entries than before."""

DISTURBED: Final = {"lose_push": 0.2, "repeat_push": 0.2, "delay_push_s": 0.3, "repeat_answer": 0.1, "delay_s": 0.1}
"""Broadcasts are lost, repeated and reordered while connections are cut."""


def disconnected_repeatedly(cloud: Cloud, containers: Containers, browser: Browser, *, times: int) -> dict[str, Any]:
    """Open a page whose WebSocket is cut `times` times while a container writes; return the page's entries.

    The gateway cuts it as a network does, without a close frame, while messages are in transit.
    """
    name = containers.run(
        "cut-off",
        "i=0; until [ -e /stop ]; do i=$((i + 1)); echo line $i; [ $((i % 4)) -eq 0 ] && sleep 0.1; done",
    )
    job = cloud.job_of(name)
    page = opened(browser, f"{cloud.state.viewer_url}/?job={job}#key={cloud.keys.viewer_key}")
    page.wait_for_function("job => window.logferry?.lines(job)?.subscribed", arg=job)
    cloud.gateway.faults(**DISTURBED)
    try:
        for _ in range(times):
            before = page.evaluate("job => [window.logferry.connection().opened, window.logferry.lines(job).last]", job)
            cloud.gateway.cut("Viewers")
            page.wait_for_function(FURTHER, arg=[job, *before])
    finally:
        cloud.gateway.faults()
    containers.engine.containers.get(name).exec_run(["/bin/sh", "-c", ": > /stop"])
    assert cloud.ended(name) == job
    last = cloud.tip(job)
    found = wait_until_whole(page, job, last)
    exported = [
        {"sequence": one["sequence"], "stream": one["stream"], "line": one["line"]} for one in cloud.exported(name)
    ]
    written = [one["line"] for one in exported if one["stream"] == "stdout"]
    assert written == [f"line {number}" for number in range(1, len(exported) - 1)]
    assert [one["sequence"] for one in exported] == list(range(1, last + 1))
    assert (found["first"], found["received"], found["holes"]) == (1, last, [])
    assert seen(page, job) == exported
    return {**found, "opened": page.evaluate("() => window.logferry.connection().opened")}


def test_repeatedly_disconnected_browser_misses_and_repeats_nothing(
    cloud: Cloud, containers: Containers, make_agent: Callable[..., Agent], browser: Browser
) -> None:
    """The short form."""
    make_agent()
    found = disconnected_repeatedly(cloud, containers, browser, times=10)
    assert found["opened"] > 10
    assert cloud.gateway.state()["violations"] == []


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_browser_disconnected_a_hundred_times_misses_and_repeats_nothing(
    cloud: Cloud, containers: Containers, make_agent: Callable[..., Agent], browser: Browser
) -> None:
    """The long form."""
    make_agent()
    found = disconnected_repeatedly(cloud, containers, browser, times=100)
    print(
        f"{found['opened'] - 1} reconnects: 0 missing, 0 twice of {found['last']} entries; {found['live']} came live, "
        f"{found['repeats']} batches came again and were left out"
    )
    assert found["opened"] > 100
    assert cloud.gateway.state()["violations"] == []


def test_wrong_key_is_reported_in_the_browser(cloud: Cloud, browser: Browser) -> None:
    """The page says that the key is not valid, and shows nothing."""
    page = opened(browser, f"{cloud.state.viewer_url}/#key=lfv_abcdefghijkl_{'A' * 43}")
    expect(page.locator("[data-refusal]")).to_be_visible(timeout=PATIENCE_MS)


def test_another_owners_job_is_not_found_in_the_browser(
    cloud: Cloud, containers: Containers, make_agent: Callable[..., Agent], browser: Browser
) -> None:
    """The page reports it as if it did not exist."""
    key = cloud.logferry("keys", "create", "viewer", "guest").stdout.decode().strip()
    make_agent()
    job = cloud.ended(containers.run("theirs", "echo secret"))
    page = opened(browser, f"{cloud.state.viewer_url}/?job={job}#key={key}")
    expect(page.locator("[data-problem='404']")).to_be_visible(timeout=PATIENCE_MS)
    assert "secret" not in json.dumps(page.content())
