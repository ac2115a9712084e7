"""Test the viewer in a real browser against a fake cloud that speaks the real contract."""

import random
import re
import time

import pytest
from playwright.sync_api import Browser, Page, Route, expect
from tests.support.page_waits import LATE, wait_until_equal, wait_until_stable
from tests.support.viewer_cloud import BEGAN_US, ViewerCloud, job_id, lossy
from tests.support.viewer_service import ViewerService

from query import search
from query.shares import new_share
from registry.principal import Principal

pytestmark = pytest.mark.browser

WAIT = 60_000
RECONNECTED = """(n) => {
  const {kind, opened} = window.logferry.connection();
  // As when a person looks at the page again: no waiting for the backoff.
  if (kind === 'waiting') document.dispatchEvent(new Event('visibilitychange'));
  return opened > n;
}"""
AT_TOP = """() => {
  const pane = document.querySelector('.pane'), top = pane.getBoundingClientRect().top;
  const row = [...pane.querySelectorAll('.row')].find((one) => one.getBoundingClientRect().bottom > top + 1);
  // Between a jump and the frame that draws it there may be no row in view.
  return row ? [Number(row.dataset.seq), Math.round(row.getBoundingClientRect().top - top)] : [0, 0];
}"""

TIME_AT_TOP = """(at) => {
  const pane = document.querySelectorAll('.pane')[at], top = pane.getBoundingClientRect().top;
  const row = [...pane.querySelectorAll('.row')].find((one) => one.getBoundingClientRect().bottom > top + 1);
  // A row that is still on its way has no time yet.
  return Number(row?.querySelector('.time')?.dataset.us ?? 0);
}"""


# The times of the rows at the top of two panes side by side.
TIMES_AT_TOP = f"() => [({TIME_AT_TOP})(0), ({TIME_AT_TOP})(1)]"


SCROLLED = """async ([by, steps, patience]) => {
  const pane = document.querySelector('.pane');
  const frame = () => new Promise((resolve) => requestAnimationFrame(resolve));
  const rows = () => [...pane.querySelectorAll('.row')];
  // What is scrolled to next is drawn on either side of what is seen, and is no row on its way.
  const ready = () => {
    const box = pane.getBoundingClientRect(), drawn = rows(), room = 2 * Math.abs(by);
    if (drawn.length === 0 || drawn.some((row) => row.dataset.kind === 'loading')) return false;
    const [first, last] = [drawn[0].getBoundingClientRect(), drawn.at(-1).getBoundingClientRect()];
    return first.top < box.top - room && last.bottom > box.bottom + room;
  };
  const until = performance.now() + patience;
  let worst = 0;
  const first = new Set();
  for (let step = 0; step < steps; step++) {
    while (!ready()) {
      if (performance.now() > until) throw new Error(`no rows to scroll to at step ${step}`);
      await frame();
    }
    const box = pane.getBoundingClientRect();
    const middle = rows().find((row) => row.getBoundingClientRect().bottom > box.top + box.height / 2);
    const before = middle.getBoundingClientRect().top;
    pane.scrollTop += by;
    // Rows that were asked for may come and be drawn meanwhile; the one in the middle stays.
    for (let waited = 0; waited < 4; waited++) await frame();
    worst = Math.max(worst, Math.abs(before - by - middle.getBoundingClientRect().top));
    first.add(rows()[0].dataset.seq);
  }
  return [worst, first.size];
}"""


def received(page: Page, name: str, count: int) -> None:
    """Wait until the page has `count` entries of the job and misses none."""
    page.wait_for_function(
        """([job, n]) => {
          const lines = window.logferry?.lines(job);
          return lines && lines.received === n && lines.holes.length === 0 && lines.caughtUp;
        }""",
        arg=[job_id(name), count],
        timeout=WAIT,
    )


def entries(page: Page, name: str, count: int) -> list[str]:
    """Return the texts of entries 1..count, after checking that each is there once."""
    found = page.evaluate("([job, n]) => window.logferry.entries(job, 1, n)", [job_id(name), count])
    assert [entry["sequence"] for entry in found] == list(range(1, count + 1))
    return [entry["text"] for entry in found]


def opened(page: Page, cloud: ViewerCloud, name: str, extra: str = "") -> Page:
    """Open a job's page and wait for its first rows."""
    page.goto(cloud.page(name, extra=extra))
    page.wait_for_selector(".row[data-kind=line]", timeout=WAIT)
    subscribed(page, name)
    return page


def subscribed(page: Page, name: str) -> None:
    """Wait until live lines of the job reach the page."""
    page.wait_for_function("(job) => window.logferry?.lines(job)?.subscribed", arg=job_id(name), timeout=WAIT)


def drawn(page: Page) -> None:
    """Wait until every drawn row has its final content."""
    expect(page.locator(".row[data-kind=loading]")).to_have_count(0)


def scrolled_up(page: Page, pixels: int) -> list[int]:
    """Turn the wheel over the following pane; return the top row afterwards, as AT_TOP gives it."""
    end = wait_until_stable(page, AT_TOP)
    page.locator(".pane").hover()
    page.mouse.wheel(0, -pixels)
    expect(page.locator(".pill")).to_be_visible()
    page.wait_for_function(f"(end) => {{ const [seq] = ({AT_TOP})(); return seq > 0 && seq < end; }}", arg=end[0])
    top: list[int] = wait_until_stable(page, AT_TOP)
    return top


def numbered(count: int, start: int = 1) -> list[str]:
    return [f"line {number}" for number in range(start, start + count)]


def clipboard(page: Page, count: int) -> list[str]:
    """Return the clipboard's lines once there are this many; unloaded lines are fetched first."""
    text: str = page.evaluate(
        """async ([count, patience]) => {
          const began = performance.now();
          for (;;) {
            const text = await navigator.clipboard.readText();
            if (text.split('\\n').length === count || performance.now() - began > patience) return text;
            await new Promise((resolve) => setTimeout(resolve, 50));
          }
        }""",
        [count, WAIT],
    )
    return text.split("\n")


def test_history_and_live_lines_join_without_a_seam(cloud: ViewerCloud, page: Page) -> None:
    """Lines from before, during and after opening the page are there once, in order."""
    cloud.add_job("web")
    cloud.append("web", numbered(3_000), "oeo" * 1_000, batch=250)
    opened(page, cloud, "web")
    cloud.write("web", numbered(500, 3_001), batch=50)
    received(page, "web", 3_500)
    assert entries(page, "web", 3_500) == numbered(3_500)
    page.wait_for_selector('[data-seq="3500"][data-stream="stdout"]', timeout=WAIT)
    expect(page.locator('[data-live-state="live"]')).to_be_visible(timeout=WAIT)


def test_job_opened_before_its_first_line_shows_it_live(cloud: ViewerCloud, page: Page) -> None:
    """An empty job says so, then shows its lines."""
    cloud.add_job("new")
    page.goto(cloud.page("new"))
    expect(page.locator(".empty")).to_be_visible(timeout=WAIT)
    cloud.write("new", ["first", "second"], "oe")
    expect(page.locator('[data-seq="2"][data-stream="stderr"] .text')).to_have_text("second", timeout=WAIT)


def test_faulty_broadcasts_and_disconnects_have_no_visible_effect(cloud: ViewerCloud, page: Page) -> None:
    """Broadcasts are lost, repeated and reordered, the connection is cut; nothing is missing or repeated."""
    cloud.add_job("bad")
    cloud.mangle = lossy(random.Random(7))
    page.goto(cloud.page("bad"))
    page.wait_for_function("(job) => window.logferry?.lines(job)?.subscribed", arg=job_id("bad"), timeout=WAIT)
    written = 0
    for _ in range(8):
        before = page.evaluate("() => window.logferry.connection().opened")
        cloud.write("bad", numbered(60, written + 1), batch=7)
        cloud.cut()
        cloud.write("bad", numbered(20, written + 61), batch=7)
        written += 80
        page.wait_for_function(RECONNECTED, arg=before, timeout=WAIT)
    received(page, "bad", written)
    assert entries(page, "bad", written) == numbered(written)


def test_successor_connection_takes_over_without_a_gap(cloud: ViewerCloud, page: Page) -> None:
    """It opens before the old one closes, and the page never shows a lost connection."""
    cloud.add_job("long")
    page.goto(cloud.page("long"))
    page.wait_for_function("(job) => window.logferry?.lines(job)?.subscribed", arg=job_id("long"), timeout=WAIT)
    page.evaluate("() => window.logferry.replace()")
    cloud.write("long", numbered(40), batch=3)
    page.wait_for_function("() => window.logferry.connection().opened === 2", timeout=WAIT)
    received(page, "long", 40)
    assert page.evaluate("() => window.logferry.connection().kind") == "open"


@pytest.mark.parametrize(
    ("name", "key", "marker", "said"),
    [
        ("theirs", None, "[data-problem='404']", "no such job"),
        ("mine", "lfv_" + "b" * 12 + "_" + "B" * 43, "[data-refusal]", "key"),
    ],
)
def test_refusals_say_why(cloud: ViewerCloud, page: Page, name: str, key: str | None, marker: str, said: str) -> None:
    """Another owner's job and a wrong key are refused with a sentence; nothing of the job shows."""
    cloud.add_job("mine")
    cloud.add_job("theirs", owner="somebody-else")
    cloud.append("theirs", ["secret"])
    page.goto(cloud.page(name, key=key))
    expect(page.locator(marker)).to_contain_text(re.compile(said, re.IGNORECASE), timeout=WAIT)
    assert page.locator(".row").count() == 0
    assert "lfv_" not in page.evaluate("() => location.href")


def test_revoked_key_is_reported_and_removes_nothing(cloud: ViewerCloud, page: Page) -> None:
    """A key revoked while its page is open is refused at the next connection; read lines stay."""
    cloud.add_job("web")
    cloud.append("web", numbered(10))
    opened(page, cloud, "web")
    cloud.key = "lfv_" + "c" * 12 + "_" + "C" * 43
    cloud.cut()
    expect(page.locator("[data-session=ended]")).to_be_visible(timeout=WAIT)
    expect(page.locator('[data-seq="10"]')).to_be_visible()


def test_paused_row_stays_when_lines_arrive_above_and_below(cloud: ViewerCloud, page: Page) -> None:
    """It keeps its position to the pixel while live lines arrive and older history is loaded."""
    cloud.add_job("web")
    cloud.append("web", [f"{line} {'wide ' * (number % 60)}" for number, line in enumerate(numbered(4_000))], batch=50)
    cloud.history_delay = 0.15
    opened(page, cloud, "web")
    before = scrolled_up(page, 1_500)
    for turn in range(5):
        cloud.write("web", numbered(200, 4_001 + 200 * turn), batch=40)
    received(page, "web", 5_000)
    expect(page.locator("[data-new-lines='1000']")).to_be_visible(timeout=WAIT)
    assert wait_until_stable(page, AT_TOP) == before


@pytest.mark.parametrize("by", [-140, 140])
def test_rows_added_and_removed_at_both_ends_move_nothing(cloud: ViewerCloud, page: Page, by: int) -> None:
    """While scrolling through lines of many heights, each moves by the scrolled distance and no pixel more."""
    cloud.add_job("web")
    cloud.append("web", [f"{line} {'wide ' * (number * 7 % 90)}" for number, line in enumerate(numbered(3_000))])
    opened(page, cloud, "web", extra="line=1500")
    received(page, "web", 3_000)
    page.wait_for_selector('[data-seq="1500"]', timeout=WAIT)
    worst, windows = page.evaluate(SCROLLED, [by, 90, WAIT])
    assert windows > 3
    assert worst <= 1


def test_current_row_stays_when_a_stream_is_hidden_and_shown(cloud: ViewerCloud, page: Page) -> None:
    """Removing and restoring an indexed job's lines around the current row does not move it."""
    cloud.add_job("web")
    lines = [f"{line} {'wide ' * (number % 40)}" for number, line in enumerate(numbered(3_000))]
    cloud.append("web", lines, "oee" * 1_000)
    opened(page, cloud, "web", extra="line=1501")
    received(page, "web", 3_000)
    page.wait_for_selector('[data-seq="1501"]', timeout=WAIT)
    expect(page.locator("[data-indexed='3000']")).to_be_attached(timeout=WAIT)
    # A row of stdout at the top, partly out of view.
    page.evaluate("""() => {
      const pane = document.querySelector('.pane'), row = pane.querySelector('[data-seq="1501"]');
      pane.scrollTop += row.getBoundingClientRect().top - pane.getBoundingClientRect().top + 7;
    }""")
    before = [1501, -7]
    wait_until_equal(page, AT_TOP, before)
    assert wait_until_stable(page, AT_TOP) == before
    page.get_by_role("button", name="stderr").click()
    expect(page.locator('[data-stream="stderr"]')).to_have_count(0, timeout=WAIT)
    wait_until_equal(page, AT_TOP, before)
    page.get_by_role("button", name="stderr").click()
    page.wait_for_selector('[data-seq="1502"][data-stream="stderr"]', timeout=WAIT)
    wait_until_equal(page, AT_TOP, before)
    assert wait_until_stable(page, AT_TOP) == before


def test_both_ends_of_a_million_lines_are_reachable(cloud: ViewerCloud, page: Page) -> None:
    """At a device pixel ratio of 2: the first line, the last, and positions between."""
    cloud.add_job("million")
    cloud.append_copies("million", ["the same line"] * 8_000, 125)
    opened(page, cloud, "million")
    page.wait_for_selector('[data-seq="1000000"]', timeout=WAIT)
    page.locator(".pane").focus()
    page.keyboard.press("g")
    expect(page.locator('[data-seq="1"] .text')).to_have_text("the same line", timeout=WAIT)
    page.wait_for_function(f"() => {{ const at = ({AT_TOP})(); return at[0] === 1 && at[1] === 0; }}", timeout=WAIT)
    page.evaluate("() => { const p = document.querySelector('.pane'); p.scrollTop = p.scrollHeight / 2; }")
    page.wait_for_function(
        f"() => {{ const at = ({AT_TOP})(); return Math.abs(at[0] - 500000) < 20000; }}", timeout=WAIT
    )
    page.keyboard.press("G")
    page.wait_for_selector('[data-seq="1000000"]', timeout=WAIT)
    page.wait_for_function(
        "() => { const p = document.querySelector('.pane');"
        " return p.scrollTop + p.clientHeight > p.scrollHeight - 2; }",
        timeout=WAIT,
    )


PRESSED = """(keys) => {
  const pane = document.querySelector('.pane');
  for (const key of keys) pane.dispatchEvent(new KeyboardEvent('keydown', {key, bubbles: true, cancelable: true}));
}"""


@pytest.mark.parametrize(("jump", "top", "follows"), [("f", None, "on"), ("g", [1, 0], "off")])
def test_second_of_two_keys_within_one_frame_wins(
    cloud: ViewerCloud, page: Page, jump: str, top: list[int] | None, follows: str
) -> None:
    """The browser reports a scroll only with the next frame, when the user may have asked for the other end."""
    cloud.add_job("web")
    cloud.append("web", numbered(3_000), batch=250)
    page.add_init_script(LATE)
    opened(page, cloud, "web")
    page.locator('.row[data-seq="3000"]').wait_for()
    end = wait_until_stable(page, AT_TOP)
    page.evaluate("() => { window.late = 60; }")
    page.evaluate(PRESSED, ["PageUp", jump])
    if top is not None:
        wait_until_equal(page, AT_TOP, top)
    assert wait_until_stable(page, AT_TOP) == (top or end)
    expect(page.locator("[data-follow]")).to_have_attribute("data-follow", follows)


def test_search_steps_through_matches_and_filters(cloud: ViewerCloud, page: Page) -> None:
    """A regular expression finds its lines, n and N step through them, and the filter shows only them."""
    cloud.add_job("web")
    cloud.append("web", [f"line {n}{' needle' if n % 100 == 0 else ''}" for n in range(1, 2_001)], batch=300)
    opened(page, cloud, "web")
    page.keyboard.press("/")
    page.get_by_label("Regular expression").click()
    page.get_by_label("Search this job").fill(r"need(le|ful)$")
    expect(page.locator(".found")).to_have_attribute("data-found", "20", timeout=WAIT)
    page.locator(".pane").focus()
    page.keyboard.press("N")
    current = page.locator(".row.current")
    expect(current).to_be_visible(timeout=WAIT)
    first = int(current.get_attribute("data-seq") or 0)
    assert first % 100 == 0
    page.keyboard.press("N")
    expect(page.locator(f'.row.current[data-seq="{first - 100}"]')).to_be_visible(timeout=WAIT)
    page.keyboard.press("n")
    expect(page.locator(f'.row.current[data-seq="{first}"]')).to_be_visible(timeout=WAIT)
    page.get_by_label("Show only matching lines").click()
    expect(page.locator(".row")).to_have_count(20, timeout=WAIT)
    cloud.write("web", ["one more needle", "hay"])
    expect(page.locator(".row")).to_have_count(21, timeout=WAIT)
    page.get_by_label("Search this job").fill("(")
    expect(page.locator(".found[data-problem]")).to_be_visible(timeout=WAIT)


def test_search_uses_the_service_for_unloaded_lines(
    cloud: ViewerService, page: Page, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An unloaded long job is searched at once, navigated and filtered; only what RE2 cannot do is loaded."""
    # An answer ends between two matches, so that the farther one arrives first.
    monkeypatch.setattr(search, "SEARCH_RAW_BYTES", 1_000_000)
    cloud.add_job("long")
    noise = [f"{n} {random.Random(n).randbytes(20).hex()}" for n in range(700)]
    for number in range(1, 5):
        cloud.append_copies("long", noise, 40)
        cloud.append("long", [f"\x1b[31mneedle\x1b[0m number {number}"])
    cloud.append_copies("long", noise, 150)
    opened(page, cloud, "long")
    page.wait_for_function("(job) => window.logferry?.lines(job).caughtUp", arg=job_id("long"), timeout=WAIT)
    found = page.locator(".found")
    page.get_by_label("Search this job").fill("needle number")
    expect(found).to_have_attribute("data-found", "4", timeout=WAIT)
    expect(page.locator(".row.current .text")).to_have_text("needle number 4", timeout=WAIT)
    page.locator(".pane").focus()
    page.keyboard.press("N")
    expect(page.locator(".row.current .text")).to_have_text("needle number 3", timeout=WAIT)
    page.get_by_label("Show only matching lines").click()
    expect(page.locator(".row[data-kind=line] .text")).to_have_text(
        [f"needle number {number}" for number in range(1, 5)], timeout=WAIT
    )
    assert page.evaluate("(job) => window.logferry?.lines(job).received", job_id("long")) < 140_000
    page.get_by_label("Regular expression").click()
    # Hold back history until the search bar has said why it is loaded.
    held: list[Route] | None = []
    page.route("**/batches?*", lambda route: route.continue_() if held is None else held.append(route))
    page.get_by_label("Search this job").fill("needle (?=number [23])")
    expect(found).to_contain_text("only the tab can search for this expression", timeout=WAIT)
    waiting, held = held, None
    for route in waiting or ():
        route.continue_()
    expect(found).to_have_attribute("data-found", "2", timeout=WAIT)
    page.wait_for_function("(job) => window.logferry?.lines(job).received > 200_000", arg=job_id("long"), timeout=WAIT)


def test_endless_expression_is_stopped_and_the_page_goes_on(cloud: ViewerCloud, page: Page) -> None:
    """A sentence reports it, whether its line is there or arrives later; live lines and searches continue."""
    cloud.add_job("web")
    cloud.append("web", ["harmless"])
    opened(page, cloud, "web")
    search, found, endless = page.get_by_label("Search this job"), page.locator(".found"), "a" * 60 + "!"
    page.get_by_label("Regular expression").click()
    search.fill("^(a|a)+b$")
    expect(found).to_have_attribute("data-found", "0", timeout=WAIT)
    expect(found).to_have_attribute("data-lines", "1", timeout=WAIT)
    cloud.write("web", [endless] * 20)
    expect(page.locator(".found[data-problem]")).to_contain_text("too long", timeout=WAIT)
    cloud.write("web", ["still here"])
    page.wait_for_selector('[data-seq="22"]', timeout=WAIT)
    search.fill("still")
    expect(found).to_have_attribute("data-found", "1", timeout=WAIT)
    search.fill("^(a|a)+c$")
    expect(page.locator(".found[data-problem]")).to_contain_text("too long", timeout=WAIT)


def test_catastrophic_expression_is_stopped_and_reported(cloud: ViewerCloud, page: Page) -> None:
    """Whether its line is the first match or a later one: the pane moves, lines arrive, and another search works."""
    cloud.add_job("web")
    cloud.append("web", [*numbered(500), "a" * 16_000 + "!", "x" + "b" * 60 + "!"])
    opened(page, cloud, "web")
    page.wait_for_selector('[data-seq="502"]', timeout=WAIT)
    search, found = page.get_by_label("Search this job"), page.locator(".found")
    page.get_by_label("Regular expression").click()
    search.fill("(a+)+$")
    expect(page.locator(".found[data-problem]")).to_contain_text("was stopped. Avoid nested repetition", timeout=WAIT)
    cloud.write("web", ["while it is stopped"])
    page.wait_for_selector('[data-seq="503"]', timeout=WAIT)
    # The line is found by its first match. The page must not try the rest of it.
    search.fill("^x|(b+)+$")
    expect(found).to_have_attribute("data-found", "1", timeout=WAIT)
    page.locator(".pane").focus()
    page.keyboard.press("N")
    expect(page.locator(".row.current")).to_have_attribute("data-seq", "502", timeout=WAIT)
    page.keyboard.press("g")
    page.wait_for_selector('[data-seq="1"]', timeout=WAIT)
    search.fill("line 7$")
    expect(found).to_have_attribute("data-found", "1", timeout=WAIT)


def test_text_across_a_fragment_boundary_is_found_in_its_row(cloud: ViewerCloud, page: Page) -> None:
    """A line of several entries is one match, at its row; also filtered, and while its fragments arrive."""
    cloud.add_job("web")
    cloud.append("web", ["before", "x" * 16_380 + "NEED", "LE-7711 and the rest", "after"], streams="ooOo")
    opened(page, cloud, "web")
    search, found = page.get_by_label("Search this job"), page.locator(".found")
    search.fill("NEEDLE-7711")
    expect(found).to_have_attribute("data-found", "1", timeout=WAIT)
    page.locator(".pane").focus()
    page.keyboard.press("N")
    expect(page.locator(".row.current")).to_have_attribute("data-seq", "2", timeout=WAIT)
    page.get_by_label("Show only matching lines").click()
    expect(page.locator(".row")).to_have_count(1, timeout=WAIT)
    cloud.write("web", ["y" * 16_377 + "NEEDLE-"], streams="o")
    cloud.write("web", ["7711"], streams="O")
    expect(page.locator(".row")).to_have_count(2, timeout=WAIT)
    expect(found).to_have_attribute("data-found", "2", timeout=WAIT)


def test_selection_beyond_the_window_is_copied_whole_without_gutter(cloud: ViewerCloud, page: Page) -> None:
    """Rows that left the page during selection are in the copy; numbers and times are not."""
    cloud.add_job("web")
    cloud.append("web", numbered(3_000))
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    opened(page, cloud, "web", extra="line=100")
    page.wait_for_selector('[data-seq="100"][data-kind=line]', timeout=WAIT)
    page.evaluate("""() => {
      const text = document.querySelector('[data-seq="100"] .text').firstChild;
      document.getSelection().setBaseAndExtent(text, 5, text, text.length);
    }""")
    page.locator(".pane").focus()
    for turn in range(1, 6):
        page.evaluate("(by) => { document.querySelector('.pane').scrollTop += by; }", 3_000)
        page.wait_for_function(
            "(seq) => [...document.querySelectorAll('.row')].some((row) => Number(row.dataset.seq) > seq)",
            arg=100 + 140 * turn,
            timeout=WAIT,
        )
    page.wait_for_function("() => !document.querySelector('[data-seq=\"100\"]')", timeout=WAIT)
    drawn(page)
    last = page.evaluate("""() => {
      const rows = [...document.querySelectorAll('.row')], row = rows[Math.floor(rows.length / 2)];
      const text = row.querySelector('.text').firstChild, selection = document.getSelection();
      selection.extend(text, text.length);
      return Number(row.dataset.seq);
    }""")
    page.keyboard.press("Control+c")
    copied = clipboard(page, last - 99)
    assert copied == ["100", *(f"line {number}" for number in range(101, last + 1))]


def test_upward_selection_survives_new_lines(cloud: ViewerCloud, page: Page) -> None:
    """Selecting ends following; a selection from the end upwards, beyond the window, is copied as it was."""
    cloud.add_job("web")
    cloud.append("web", numbered(3_000))
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    opened(page, cloud, "web")
    received(page, "web", 3_000)
    page.wait_for_selector('[data-seq="3000"]', timeout=WAIT)
    drawn(page)
    page.evaluate("""() => {
      const at = (seq) => document.querySelector(`[data-seq="${seq}"] .text`).firstChild;
      document.getSelection().setBaseAndExtent(at(2999), 4, at(2990), 5);
    }""")
    page.locator(".pane").focus()
    expect(page.locator("[data-follow=off]")).to_be_visible(timeout=WAIT)
    cloud.write("web", numbered(1_000, 3_001), batch=50)
    received(page, "web", 4_000)
    expect(page.locator("[data-new-lines='1000']")).to_be_visible(timeout=WAIT)
    selected = page.evaluate("() => document.getSelection().toString().split('\\n').length")
    assert selected >= 10
    for turn in range(1, 6):
        page.evaluate("(by) => { document.querySelector('.pane').scrollTop -= by; }", 3_000)
        page.wait_for_function(
            "(seq) => [...document.querySelectorAll('.row')].some((row) => Number(row.dataset.seq) < seq)",
            arg=2_990 - 140 * turn,
            timeout=WAIT,
        )
    page.wait_for_function("() => !document.querySelector('[data-seq=\"2999\"]')", timeout=WAIT)
    drawn(page)
    first = page.evaluate("""() => {
      const rows = [...document.querySelectorAll('.row')], row = rows[Math.floor(rows.length / 2)];
      document.getSelection().extend(row.querySelector('.text').firstChild, 5);
      // At once, before the browser has told of the change.
      document.execCommand('copy');
      return Number(row.dataset.seq);
    }""")
    copied = clipboard(page, 3_000 - first)
    assert copied == [str(first), *(f"line {number}" for number in range(first + 1, 2_999)), "line"]


def test_permalink_opens_its_range_and_a_gutter_click_makes_one(cloud: ViewerCloud, page: Page) -> None:
    """?line=a-b shows and marks the range; clicks on the numbers put a range into the address."""
    cloud.add_job("web")
    cloud.append("web", numbered(5_000), batch=500)
    opened(page, cloud, "web", extra="line=700-702")
    expect(page.locator(".row.marked")).to_have_count(3, timeout=WAIT)
    assert [page.locator(".row.marked").nth(at).get_attribute("data-seq") for at in range(3)] == ["700", "701", "702"]
    page.locator('[data-seq="705"] .gutter').click()
    page.locator('[data-seq="708"] .gutter').click(modifiers=["Shift"])
    expect(page.locator(".row.marked")).to_have_count(4, timeout=WAIT)
    expect(page).to_have_url(re.compile("&line=705-708$"))


def test_hidden_stream_is_omitted_and_restored(cloud: ViewerCloud, page: Page) -> None:
    """Hiding stderr leaves stdout and system entries; showing it again restores all."""
    cloud.add_job("web")
    cloud.append("web", [*numbered(300), '{"event":"exited","exit_code":3}'], "oee" * 100 + "s")
    opened(page, cloud, "web")
    page.get_by_role("button", name="stderr").click()
    expect(page.locator('[data-stream="stderr"]')).to_have_count(0, timeout=WAIT)
    expect(page.locator('[data-event="exited"]')).to_contain_text("code 3", timeout=WAIT)
    page.get_by_role("button", name="stderr").click()
    page.wait_for_selector('[data-seq="300"][data-stream="stderr"]', timeout=WAIT)


def test_download_equals_what_was_written(cloud: ViewerCloud, page: Page) -> None:
    """Its JSON lines are every entry, in order."""
    cloud.add_job("web")
    cloud.append("web", numbered(1_200), "ooe" * 400)
    opened(page, cloud, "web")
    page.get_by_role("button", name="Export").click()
    page.locator("[data-form=jsonl]").check()
    with page.expect_download(timeout=WAIT) as download:
        page.locator("[data-save=jsonl]").click()
    lines = download.value.path().read_text().splitlines()
    assert len(lines) == 1_200
    assert lines[2] == (
        f'{{"jobId":"{job_id("web")}","timestamp":"2025-11-24T16:00:00.002000Z",'
        '"stream":"stderr","line":"line 3","sequence":3}'
    )


def test_filtered_download_covers_the_whole_job(cloud: ViewerCloud, page: Page) -> None:
    """It contains lines that the tab never had, with times in the pane's form, and the tab's memory stays small."""
    cloud.add_job("long")
    noise = [f"{n} {random.Random(n).randbytes(20).hex()}" for n in range(700)]
    cloud.append("long", ["WARN the first"], "e")
    cloud.append_copies("long", noise, 250)
    cloud.append("long", ["WARN the last"], "e")
    opened(page, cloud, "long")
    page.get_by_label("Lowest level shown").select_option("Warnings and above")
    expect(page.locator(".row[data-kind=line] .text")).to_have_text(["WARN the first", "WARN the last"], timeout=WAIT)
    page.keyboard.press("t")
    page.keyboard.press("t")
    page.keyboard.press("D")
    with page.expect_download(timeout=WAIT) as download:
        page.locator("[data-save=text]").click()
    assert download.value.path().read_text() == "+0:00:00.000 WARN the first\n+0:02:55.001 WARN the last\n"
    assert page.evaluate("(job) => window.logferry?.lines(job).received", job_id("long")) < 160_000


def test_share_link_opens_its_job_for_anyone_until_revoked(cloud: ViewerService, page: Page, browser: Browser) -> None:
    """It is made, copied and opened without an account; it opens nothing else; once revoked, it says so."""
    cloud.add_job("web", project="shop")
    cloud.add_job("secret", project="shop")
    cloud.append("web", numbered(20))
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    opened(page, cloud, "web")
    page.get_by_role("button", name="Share").click()
    page.get_by_label("Valid for").select_option("1 hour")
    page.get_by_label("Note").fill("for <b>you</b>")
    page.get_by_role("button", name="Create a link").click()
    page.get_by_role("button", name="Copy", exact=True).click()
    expect(page.locator(".share [role=status]")).to_contain_text("clipboard", timeout=WAIT)
    link = page.evaluate("() => navigator.clipboard.readText()")
    assert re.fullmatch(rf"{cloud.url}\?job={job_id('web')}#key=lfs_\S+", link)
    guest = browser.new_context()
    guest.set_default_timeout(WAIT)
    try:
        theirs = guest.new_page()
        theirs.goto(link)
        expect(theirs.locator('[data-seq="20"] .text')).to_have_text("line 20", timeout=WAIT)
        assert "lfs_" not in theirs.evaluate("() => location.href")
        expect(theirs.get_by_role("button", name="Share")).to_have_count(0)
        theirs.goto(cloud.url)
        expect(theirs.locator("[data-job]")).to_have_count(1, timeout=WAIT)
        page.get_by_role("button", name="Revoke").click()
        page.get_by_role("button", name="Confirm revoke").click()
        expect(page.locator("[data-status=revoked]")).to_contain_text("for <b>you</b>", timeout=WAIT)
        theirs.reload()
        expect(theirs.locator("[data-refusal]")).to_contain_text("expired or was revoked", timeout=WAIT)
    finally:
        guest.close()


def test_damaged_record_is_one_row_of_the_list(cloud: ViewerService, page: Page) -> None:
    for name in ("sound", "poison"):
        cloud.add_job(name, state="exited")
        cloud.append(name, numbered(3))
    record = cloud.jobs[job_id("poison")].record
    # Models refuse this record, but one like it was stored before they did.
    cloud.jobs[job_id("poison")].record = record.model_copy(
        update={"life": record.life.model_copy(update={"exit_code": 2**60})}
    )
    page.goto(cloud.page())
    expect(page.locator("[data-job]")).to_have_count(2, timeout=WAIT)
    row = page.locator(f"[data-job='{job_id('poison')}']")
    expect(row).to_contain_text("poison")
    expect(row).to_contain_text("damaged record")
    expect(row.locator(".job-warning")).to_have_attribute("title", re.compile("exit_code is not a whole number"))
    expect(page.locator(f"[data-job='{job_id('sound')}']")).not_to_contain_text("damaged")
    row.get_by_role("link").click()
    expect(page.locator('[data-seq="3"] .text')).to_have_text("line 3", timeout=WAIT)


def test_link_with_another_key_asks_before_switching_user(cloud: ViewerService, page: Page) -> None:
    cloud.add_job("mine")
    cloud.add_job("shared")
    cloud.append("mine", numbered(3))
    cloud.append("shared", numbered(3))
    opened(page, cloud, "mine")
    who = Principal(kind="viewer", name="them", credential="")
    secret, grant = new_share(job_id("shared"), "local", who, life_s=3600, note="", now_ms=time.time_ns() // 1_000_000)
    cloud.grants[grant["pk"].removeprefix("GRANT#")] = grant
    link = cloud.page("shared", key=secret)
    question = page.locator("[data-question=login]")

    page.goto(link)
    expect(question).to_contain_text(re.compile(r"Now\s*me of local.*With the link\s*a guest", re.DOTALL), timeout=WAIT)
    assert secret not in page.evaluate("() => location.href")
    page.get_by_role("button", name="Stay signed in").click()
    expect(page.locator(".who")).to_have_text("me", timeout=WAIT)
    # The same page: browsers change only the fragment.
    page.evaluate("(fragment) => { location.hash = fragment; }", f"#key={secret}")
    expect(question).to_be_visible(timeout=WAIT)
    page.get_by_role("button", name="Change").click()
    expect(page.locator(".who")).to_have_text("Shared link", timeout=WAIT)
    expect(page.locator('[data-seq="3"] .text')).to_have_text("line 3", timeout=WAIT)
    page.reload()
    expect(page.locator(".who")).to_have_text("Shared link", timeout=WAIT)


def test_jobs_are_merged_by_time_and_the_current_row_stays(cloud: ViewerCloud, page: Page) -> None:
    """Lines of three jobs interleave by time, each with its name; late history above does not move the current row."""
    for name in ("one", "two", "three"):
        cloud.add_job(name)
        cloud.append(name, [f"{name} {number}" for number in range(1, 401)], batch=100)
    page.goto(cloud.page("one", "two", "three"))
    wait_until_equal(
        page,
        "() => [...document.querySelectorAll('.row .text')].slice(-6).map((text) => text.textContent)",
        ["one 399", "two 399", "three 399", "one 400", "two 400", "three 400"],
    )
    assert page.locator('.row [data-name="two"]').count() > 10
    reading = scrolled_up(page, 2_000)
    cloud.write("two", [f"two {number}" for number in range(401, 501)], batch=20)
    page.wait_for_function("(job) => window.logferry?.lines(job).received === 500", arg=job_id("two"), timeout=WAIT)
    expect(page.locator("[data-new-lines='100']")).to_be_visible()
    assert wait_until_stable(page, AT_TOP) == reading


def test_merged_jobs_are_searched_as_one(cloud: ViewerCloud, page: Page) -> None:
    """From job to job by time; the filter keeps all matches, and new lines are found too."""
    for name in ("one", "two"):
        cloud.add_job(name)
        cloud.append(name, [f"{name} {n}{' needle' if n % 100 == 0 else ''}" for n in range(1, 401)], batch=100)
    page.goto(cloud.page("one", "two"))
    for source in (0, 1):
        page.wait_for_selector(f'[data-source="{source}"][data-seq="400"]', timeout=WAIT)
    page.get_by_label("Search this job").fill("needle")
    expect(page.locator(".found")).to_have_attribute("data-found", "8", timeout=WAIT)
    page.locator(".pane").focus()
    current = page.locator(".row.current .text")
    page.keyboard.press("N")
    expect(current).to_have_text("one 400 needle", timeout=WAIT)
    page.keyboard.press("N")
    page.keyboard.press("N")
    expect(current).to_have_text("one 300 needle", timeout=WAIT)
    page.get_by_label("Show only matching lines").click()
    expect(page.locator(".row")).to_have_count(8, timeout=WAIT)
    cloud.write("one", ["one more needle", "hay"])
    expect(page.locator(".row")).to_have_count(9, timeout=WAIT)


def test_side_by_side_panes_scroll_to_the_same_moment(cloud: ViewerCloud, page: Page) -> None:
    """Scrolling one moves the denser or sparser other to its time; with the option off it does not."""
    cloud.add_job("one")
    cloud.append("one", numbered(2_000), batch=500)
    cloud.add_job("two")
    cloud.append("two", numbered(1_000), batch=500, every_us=2_000)
    page.goto(cloud.page("one", "two"))
    page.get_by_role("button", name="Side by side").click()
    panes = page.locator("[data-job-page] .pane")
    expect(panes).to_have_count(2, timeout=WAIT)
    for name, last in (("one", 2_000), ("two", 1_000)):
        page.wait_for_selector(f'[data-job-page="{job_id(name)}"] [data-seq="{last}"]', timeout=WAIT)
    panes.first.hover()
    page.mouse.wheel(0, -20_000)
    page.wait_for_function(
        f"""(until) => {{
          const [one, two] = ({TIMES_AT_TOP})();
          return one > 0 && one < until && Math.abs(one - two) <= 4_000;
        }}""",
        arg=BEGAN_US + 1_500_000,
        timeout=WAIT,
    )
    page.get_by_label("Same time in all panes").uncheck()
    one, two = wait_until_stable(page, TIMES_AT_TOP)
    panes.first.hover()
    page.mouse.wheel(0, 8_000)
    page.wait_for_function(f"(before) => ({TIME_AT_TOP})(0) > before + 100000", arg=one, timeout=WAIT)
    moved, stayed = wait_until_stable(page, TIMES_AT_TOP)
    assert moved > one + 100_000
    assert stayed == two


@pytest.mark.parametrize("left", [2, 0])
def test_expired_lines_are_reported_and_not_awaited(page: Page, cloud: ViewerCloud, left: int) -> None:
    """Retention removed a job's beginning, or all of it; its tip stays."""
    cloud.add_job("old", state="exited")
    cloud.append("old", numbered(5), batch=1)
    job = cloud.jobs[job_id("old")]
    job.forget(5 - left)
    page.goto(cloud.page("old"))
    expect(page.locator(".row").first).to_contain_text("Older lines are no longer kept.", timeout=WAIT)
    page.wait_for_function(
        """([job, gone]) => {
          const lines = window.logferry?.lines(job);
          if (!lines || lines.gone !== gone) return false;
          return lines.received === 5 - gone && lines.tip === 5 && lines.holes.length === 0;
        }""",
        arg=[job_id("old"), 5 - left],
        timeout=WAIT,
    )
    expect(page.locator(".row[data-kind=line]")).to_have_count(left)
