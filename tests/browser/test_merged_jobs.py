"""Test several jobs merged by time in a real browser: marking, linking and downloading work as for one job."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, Route, expect
from tests.support.page_waits import LATE, wait_until_stable
from tests.support.viewer_cloud import ViewerCloud, job_id

from query import search

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]

WAIT = 60_000
LONG = 70_000
"""Lines that do not compress: more than a tab loads by itself."""


def container(name: str) -> str:
    """Return a job as a link to one of its lines names it."""
    return job_id(name).partition(".")[2][:12]


def long_jobs(cloud: ViewerCloud, *names: str) -> None:
    """Make jobs whose first lines are far from the loaded ones, written at the same moments."""
    for name in names:
        cloud.add_job(name)
        noise = random.Random(name)
        cloud.append(
            name, [f"{name} {number} {noise.randbytes(150).hex()}" for number in range(1, LONG + 1)], batch=100
        )


def texts(page: Page, rows: str) -> list[str]:
    """Return the rows' texts without their long filler."""
    return [" ".join(text.split()[:2]) for text in page.locator(f"{rows} .text").all_inner_texts()]


def received(page: Page, name: str) -> int:
    count: int = page.evaluate("(job) => window.logferry.lines(job).received", job_id(name))
    return count


def clipboard(page: Page, expected: str) -> None:
    """Wait until the clipboard holds this text, which is written once all is fetched."""
    # Awaited in the page: `wait_for_function` would take the promise itself for true.
    found = page.evaluate(
        """async ([expected, patience]) => {
          const until = performance.now() + patience;
          for (;;) {
            const text = await navigator.clipboard.readText();
            if (text === expected || performance.now() > until) return text;
            await new Promise((resolve) => setTimeout(resolve, 50));
          }
        }""",
        [expected, WAIT / 4],
    )
    assert found == expected


def test_link_to_merged_lines_opens_them_in_all_jobs(cloud: ViewerCloud, page: Page) -> None:
    """Far from the tail: the lines around them in both jobs are there, and scrolling loads more."""
    long_jobs(cloud, "one", "two")
    page.goto(cloud.page("one", "two", extra=f"line={container('one')}.5000-{container('one')}.5001"))
    expect(page.locator(".row.marked")).to_have_count(3, timeout=WAIT)
    assert texts(page, ".row.marked") == ["one 5000", "two 5000", "one 5001"]
    expect(page.locator(".row.current .text")).to_have_text(re.compile("^one 5000 "))
    expect(page.locator(".row.current")).to_be_in_viewport()
    expect(page.get_by_role("toolbar", name="Marked lines")).to_contain_text("one line 5,000 to one line 5,001")
    # Scroll past the lines loaded for the link: missing lines are reported and then loaded.
    page.locator(".pane").focus()
    page.keyboard.press("w")
    for _ in range(300):
        if page.locator('.row[data-source="1"][data-seq="6500"]').count() > 0:
            break
        page.keyboard.press("PageDown")
        page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
        expect(page.locator(".hole")).to_have_count(0, timeout=WAIT)
    expect(page.locator('.row[data-source="1"][data-seq="6500"]')).to_have_count(1)
    # The last step may have reached missing lines.
    wait_until_stable(page, "() => [...document.querySelectorAll('.row')].map((row) => row.textContent)")
    expect(page.locator(".hole")).to_have_count(0)
    shown = [text for text in texts(page, ".row") if text]
    begin = int(shown[0].split()[1])
    assert begin > 5_400
    assert (
        shown
        == [f"{name} {at}" for at in range(begin, begin + LONG) for name in ("one", "two")][
            shown[0].startswith("two") :
        ][: len(shown)]
    )
    assert max(received(page, "one"), received(page, "two")) < LONG - 5_000


def test_merged_lines_are_marked_linked_and_copied(cloud: ViewerCloud, page: Page) -> None:
    """A click marks a line, a shift-click a range of the merged order; address, link and copies refer to it."""
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    for name in ("one", "two"):
        cloud.add_job(name)
        cloud.append(name, [f"{name} {number}" for number in range(1, 301)], batch=100)
    page.goto(cloud.page("one", "two"))
    page.locator('.row[data-source="1"][data-seq="300"]').wait_for(timeout=WAIT)
    address = page.evaluate("() => location.href")
    page.locator('.row[data-source="1"][data-seq="297"] .gutter').click()
    expect(page.locator(".row.marked .text")).to_have_text(["two 297"])
    page.locator('.row[data-source="0"][data-seq="296"] .gutter').click(modifiers=["Shift"])
    expect(page.locator(".row.marked .text")).to_have_text(["one 296", "two 296", "one 297", "two 297"])
    # The range extends from the line marked first to the next click.
    page.locator('.row[data-source="0"][data-seq="298"] .gutter').click(modifiers=["Shift"])
    expect(page.locator(".row.marked .text")).to_have_text(["two 297", "one 298"])
    marked = f"{address}&line={container('two')}.297-{container('one')}.298"
    expect(page).to_have_url(marked)
    page.keyboard.press("l")
    clipboard(page, marked)
    page.keyboard.press("y")
    clipboard(page, "two 297\none 298")
    page.keyboard.press("t")
    page.keyboard.press("Y")
    clipboard(page, "2025-11-24T16:00:00.296000Z two | two 297\n2025-11-24T16:00:00.297000Z one | one 298")
    page.keyboard.press("Escape")
    expect(page.locator(".row.marked")).to_have_count(0)
    expect(page).to_have_url(address)


def test_merged_jobs_are_downloaded_whole_and_in_order(cloud: ViewerCloud, page: Page) -> None:
    """All lines of all jobs, loaded or not, by time, each with its job; or only the marked ones."""
    long_jobs(cloud, "one", "two")
    page.goto(cloud.page("one", "two", extra=f"line={container('one')}.7-{container('one')}.8"))
    expect(page.locator(".row.marked")).to_have_count(3, timeout=WAIT)
    page.keyboard.press("D")
    page.get_by_label("All lines of these jobs").check()
    page.locator("[data-form=jsonl]").check()
    with page.expect_download(timeout=WAIT) as download:
        page.locator("[data-save=jsonl]").click()
    lines = download.value.path().read_text().splitlines()
    assert len(lines) == 2 * LONG
    found = [json.loads(line) for line in lines]
    assert [(one["name"], one["sequence"]) for one in found] == [
        (name, number) for number in range(1, LONG + 1) for name in ("one", "two")
    ]
    text = found[3].pop("line")
    assert text.startswith("two 2 ")
    assert found[3] == {
        "jobId": job_id("two"),
        "name": "two",
        "timestamp": "2025-11-24T16:00:00.001000Z",
        "stream": "stdout",
        "sequence": 2,
    }
    page.get_by_role("radio", name="Marked lines").check()
    page.locator("[data-form=text]").check()
    page.get_by_label("Times (also in the pane)").select_option("hidden")
    with page.expect_download(timeout=WAIT) as download:
        page.locator("[data-save=text]").click()
    marked = download.value.path().read_text().splitlines()
    assert [line.split()[:4] for line in marked] == [
        ["one", "|", "one", "7"],
        ["two", "|", "two", "7"],
        ["one", "|", "one", "8"],
    ]


def at_rest(page: Page, *names: str) -> None:
    """Wait until everything that arrives unasked is here."""
    page.wait_for_function(
        """(jobs) => jobs.every((job) => {
          const lines = window.logferry?.lines(job);
          return lines?.caughtUp && lines.holes.length === 0;
        })""",
        arg=[job_id(name) for name in names],
        timeout=WAIT,
    )


def held_back(page: Page, addresses: str | re.Pattern[str] = "**/batches?*") -> tuple[list[Route], Callable[[], None]]:
    """Hold back the answers to history requests; return them and a function that releases them."""
    held: list[Route] = []
    open_again = False

    def hold(route: Route) -> None:
        if open_again:
            route.continue_()
        else:
            held.append(route)

    def let_go() -> None:
        nonlocal open_again
        open_again = True
        for route in held:
            route.continue_()

    page.route(addresses, hold)
    return held, let_go


def noisy_jobs(cloud: ViewerCloud, *names: str) -> None:
    """Make long jobs of which little is loaded, with a warning at either end."""
    for name in names:
        cloud.add_job(name)
        noise = random.Random(name)
        cloud.append(name, [f"WARN {name} begins"], "e")
        cloud.append_copies(name, [f"{n} {noise.randbytes(20).hex()}" for n in range(700)], 250)
        cloud.append(name, [f"WARN {name} ends"], "e")


def test_filtered_download_covers_all_merged_jobs(cloud: ViewerCloud, page: Page) -> None:
    """It contains lines that the tab never had, by time, each with its job and time."""
    noisy_jobs(cloud, "one", "two")
    page.goto(cloud.page("one", "two"))
    page.locator('.row[data-source="1"][data-seq="175002"]').wait_for(timeout=WAIT)
    page.get_by_label("Lowest level shown").select_option("Warnings and above")
    page.keyboard.press("t")
    page.keyboard.press("D")
    expect(page.get_by_label("Lines that match the filter")).to_be_checked()
    with page.expect_download(timeout=WAIT) as download:
        page.locator("[data-save=text]").click()
    assert download.value.path().read_text().splitlines() == [
        "2025-11-24T16:00:00.000000Z one | WARN one begins",
        "2025-11-24T16:00:00.000000Z two | WARN two begins",
        "2025-11-24T16:02:55.001000Z one | WARN one ends",
        "2025-11-24T16:02:55.001000Z two | WARN two ends",
    ]
    assert max(received(page, "one"), received(page, "two")) < 160_000


def test_download_of_merged_jobs_can_be_cancelled_and_restarted(cloud: ViewerCloud, page: Page) -> None:
    """Nothing of the cancelled download is saved, and the next one is complete."""
    noisy_jobs(cloud, "one", "two")
    page.goto(cloud.page("one", "two"))
    at_rest(page, "one", "two")
    held, let_go = held_back(page)
    page.keyboard.press("D")
    said = page.locator(".dialog-said")
    saved: list[str] = []
    page.on("download", lambda download: saved.append(download.url))
    with page.expect_request("**/batches?*"):
        page.locator("[data-save=text]").click()
    page.get_by_role("button", name="Cancel").click()
    let_go()
    expect(said).to_have_text("Cancelled.", timeout=WAIT)
    assert held
    assert not saved
    with page.expect_download(timeout=WAIT) as download:
        page.locator("[data-save=text]").click()
    assert len(download.value.path().read_text().splitlines()) == 2 * 175_002
    expect(said).to_contain_text("was saved to your downloads")


SCROLLED_ON = """([by, job, count, patience]) => {
  const pane = document.querySelector('.pane');
  const frame = () => new Promise((resolve) => requestAnimationFrame(resolve));
  const rows = () => [...pane.querySelectorAll('.row')];
  const until = performance.now() + patience;
  window.late = 60;
  window.scrolled = (async () => {
    const moved = [];
    for (let left = 30; left > 0 && performance.now() < until; ) {
      if (window.logferry.lines(job).received === count) left--;
      const top = pane.getBoundingClientRect().top;
      const read = rows().find((row) => row.getBoundingClientRect().bottom > top + 1);
      const { seq, source } = read.dataset, before = read.getBoundingClientRect().top;
      pane.scrollTop += by;
      await frame();
      await frame();
      const now = rows().find((row) => row.dataset.seq === seq && row.dataset.source === source);
      const by_itself = now === undefined ? 'away' : now.getBoundingClientRect().top - before + by;
      if (now === undefined || Math.abs(by_itself) > 1) moved.push([source, seq, by_itself]);
    }
    return moved;
  })();
}"""


@pytest.mark.parametrize("by", [-5, 5])
def test_scrolled_rows_do_not_jump_when_older_lines_arrive(cloud: ViewerCloud, page: Page, by: int) -> None:
    """The older history of another job arrives; each row moves by the scrolled distance and no pixel more."""
    for name, count in (("one", 800), ("two", 800), ("early", 300)):
        cloud.add_job(name)
        cloud.append(name, [f"{name} {number}" for number in range(1, count + 1)], batch=20)
    page.add_init_script(LATE)
    held: list[Route] = []
    open_again = False
    page.route(f"**/{job_id('early')}/batches?*", lambda route: route.continue_() if open_again else held.append(route))
    page.goto(cloud.page("one", "two", "early"))
    for source in (0, 1):
        page.locator(f'.row[data-source="{source}"][data-seq="800"]').wait_for()
    # Until the list holds all 1,600 lines, the same scroll ends at an earlier line, and line 600 is out of sight.
    page.wait_for_function(
        """() => document.querySelector('.pane').scrollHeight >=
          1_600 * document.querySelector('.row').getBoundingClientRect().height""",
        timeout=WAIT,
    )
    page.evaluate("() => { document.querySelector('.pane').scrollTop -= 8_000; }")
    page.locator('.row[data-source="0"][data-seq="600"]').wait_for()
    wait_until_stable(page, "() => document.querySelector('.row').dataset.seq")
    assert received(page, "early") == 0
    page.evaluate(SCROLLED_ON, [by, job_id("early"), 300, WAIT])
    open_again = True
    for route in held:
        route.continue_()
    assert page.evaluate("() => window.scrolled") == []
    assert received(page, "early") == 300


def test_merged_header_says_whether_the_end_is_followed(cloud: ViewerCloud, page: Page) -> None:
    """Live while it is, paused while reading back."""
    for name in ("one", "two"):
        cloud.add_job(name)
        cloud.append(name, [f"{name} {number}" for number in range(1, 301)])
    page.goto(cloud.page("one", "two"))
    state = page.locator("[data-live-state]")
    expect(state).to_have_text("Live", timeout=WAIT)
    page.locator(".pane").focus()
    page.keyboard.press("PageUp")
    expect(state).to_have_text("Paused", timeout=WAIT)
    page.keyboard.press("f")
    expect(state).to_have_text("Live", timeout=WAIT)


def hidden_needles(cloud: ViewerCloud) -> list[str]:
    """Make two long jobs with needles in unloaded lines, alternating in time; return the needles in merged order."""
    noise = [f"{n} {random.Random(n).randbytes(20).hex()}" for n in range(700)]
    for name, before in (("one", 0), ("two", 20)):
        cloud.add_job(name)
        cloud.append_copies(name, noise, before)
        for number in (1, 2, 3):
            cloud.append_copies(name, noise, 40)
            cloud.append(name, [f"\x1b[31mneedle\x1b[0m {name} {number}"])
        cloud.append_copies(name, noise, 180)
    return [f"needle {name} {number}" for number in (1, 2, 3) for name in ("one", "two")]


def searches_of(name: str) -> re.Pattern[str]:
    """Return the URLs that search a job on the service."""
    return re.compile(rf"/jobs/{re.escape(job_id(name))}/search\?")


def test_search_in_merged_jobs_covers_all_of_them(
    cloud: ViewerCloud, page: Page, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The service finds unloaded lines; the page goes to them by time with their surroundings, and filters them."""
    # An answer ends between two matches, so that the farther one arrives first.
    monkeypatch.setattr(search, "SEARCH_RAW_BYTES", 1_000_000)
    needles = hidden_needles(cloud)
    page.goto(cloud.page("one", "two"))
    at_rest(page, "one", "two")
    held, let_go = held_back(page, searches_of("two"))
    found, current = page.locator(".found"), page.locator(".row.current .text")
    page.get_by_label("Search this job").fill("needle")
    # All matches of one job are known, but the page waits: the other job's may be nearer.
    expect(found).to_contain_text(re.compile(r"^3 · searching, \d+ %$"), timeout=WAIT)
    expect(current).to_have_count(0)
    assert held
    let_go()
    expect(current).to_have_text(needles[-1], timeout=WAIT)
    expect(found).to_have_text("6 of 6", timeout=WAIT)
    page.locator(".pane").focus()
    for number in (4, 3, 2):
        page.keyboard.press("N")
        expect(current).to_have_text(needles[number], timeout=WAIT)
        expect(found).to_have_text(f"{number + 1} of 6")
        expect(page.locator(".row.current")).to_be_in_viewport()
        # The other job's line of that moment precedes it.
        expect(page.locator(f'.row[data-source="{1 - number % 2}"] + .row.current')).to_have_count(1)
    page.keyboard.press("n")
    expect(current).to_have_text(needles[3], timeout=WAIT)
    page.keyboard.press("m")
    expect(page.locator(".row .text")).to_have_text(needles, timeout=WAIT)
    # All lines again, around the current one.
    page.keyboard.press("N")
    expect(current).to_have_text(needles[2])
    page.keyboard.press("m")
    expect(page.locator(".row").nth(20)).to_be_attached(timeout=WAIT)
    expect(page.locator('.row[data-source="1"] + .row.current')).to_have_count(1)
    expect(page.locator(".row.current")).to_be_in_viewport()
    assert max(received(page, "one"), received(page, "two")) < 160_000
    # Live lines are found too.
    cloud.write("one", ["one more needle"])
    expect(found).to_have_attribute("data-found", "7", timeout=WAIT)


def test_failed_search_in_one_job_stops_no_other(cloud: ViewerCloud, page: Page) -> None:
    """The others' matches are shown and reachable; the page names the incomplete job and what to do."""
    needles = hidden_needles(cloud)
    page.goto(cloud.page("one", "two"))
    at_rest(page, "one", "two")
    page.route(searches_of("two"), lambda route: route.fulfill(status=403, json={"detail": "Not for you."}))
    found = page.locator(".found")
    page.get_by_label("Search this job").fill("needle")
    expect(found).to_have_text("3 of 3, not all of two", timeout=WAIT)
    expect(found).to_have_attribute("title", "two: Not for you.")
    expect(page.locator(".row.current .text")).to_have_text("needle one 3", timeout=WAIT)
    page.get_by_role("button", name="Load the rest").click()
    expect(found).to_have_attribute("data-found", "6", timeout=WAIT)
    page.get_by_label("Show only matching lines").click()
    expect(page.locator(".row .text")).to_have_text(needles, timeout=WAIT)


def test_superseded_search_is_cancelled(cloud: ViewerCloud, page: Page) -> None:
    """A new query ends the requests of the last one and ignores their answers."""
    hidden_needles(cloud)
    page.goto(cloud.page("one", "two"))
    at_rest(page, "one", "two")
    ended: list[str] = []
    page.on("requestfailed", lambda request: ended.append(request.url))
    first = re.compile(r"/search\?q=needle&")
    held_back(page, first)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url) if first.search(request.url) else None)
    with page.expect_request(lambda _: len(asked) == 2, timeout=WAIT):
        page.get_by_label("Search this job").fill("needle")
    with page.expect_event("requestfailed", lambda _: sorted(ended) == sorted(asked), timeout=WAIT):
        page.get_by_label("Search this job").fill("needle two")
    expect(page.locator(".found")).to_have_text("3 of 3", timeout=WAIT)
    page.get_by_label("Search this job").fill("")
    expect(page.locator(".found")).to_have_text("")


def test_errors_of_merged_jobs_are_reachable_anywhere(cloud: ViewerCloud, page: Page) -> None:
    """The first step to an error requests those of unloaded lines; steps go by time."""
    noise = [f"{n} {random.Random(n).randbytes(20).hex()}" for n in range(700)]
    for name, before in (("one", 40), ("two", 60)):
        cloud.add_job(name)
        cloud.append_copies(name, noise, before)
        cloud.append(name, [f"ERROR of {name}"], "e")
        cloud.append_copies(name, noise, 180)
    page.goto(cloud.page("one", "two"))
    at_rest(page, "one", "two")
    current = page.locator(".row.current .text")
    page.locator(".pane").focus()
    for name in ("two", "one", "two"):
        page.keyboard.press("E")
        expect(current).to_have_text(f"ERROR of {name}", timeout=WAIT)
