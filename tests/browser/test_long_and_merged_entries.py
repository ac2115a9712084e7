"""Test that the viewer shows, copies and downloads what was written: merged entries and very long lines."""

import re

import pytest
from playwright.sync_api import Page, expect
from tests.support.viewer_cloud import ViewerCloud, job_id

pytestmark = pytest.mark.browser

WAIT = 60_000
PIECE = 16_384
TRACE = (
    "2026-11-30 ERROR failed\r\njava.lang.IllegalStateException: \x1b[31mno\x1b[0m\n"
    "\tat a.B.c(B.java:1)\n10%\r20%\n\u2424"
)
SHOWN = "2026-11-30 ERROR failed\njava.lang.IllegalStateException: no\n\tat a.B.c(B.java:1)\n20%\n\u2424"


def row(page: Page, sequence: int) -> str:
    """Return the text of a drawn row as the page has it."""
    selector = f'.row[data-seq="{sequence}"] > .text'
    page.wait_for_selector(selector, timeout=WAIT)
    text: str = page.evaluate("(selector) => document.querySelector(selector).textContent", selector)
    return text


def clipboard(page: Page, expected: str) -> None:
    """Wait until the clipboard holds a text; unloaded lines are fetched first."""
    page.evaluate(
        """async ([wanted, patience]) => {
          const until = performance.now() + patience;
          for (;;) {
            const text = await navigator.clipboard.readText();
            if (text === wanted) return navigator.clipboard.writeText('as expected');
            if (performance.now() > until) return null;
            await new Promise((resolve) => setTimeout(resolve, 50));
          }
        }""",
        [expected, WAIT / 4],
    )
    assert page.evaluate("() => navigator.clipboard.readText()") == "as expected"


def downloaded(page: Page, form: str) -> str:
    """Download the file of all entries."""
    page.keyboard.press("D")
    page.locator(f"[data-form={form}]").check()
    with page.expect_download(timeout=WAIT) as download:
        page.locator(f"[data-save={form}]").click()
    page.keyboard.press("Escape")
    return download.value.path().read_bytes().decode()


def test_merged_entry_is_shown_searched_and_exported_as_its_lines(cloud: ViewerCloud, page: Page) -> None:
    """Its row is as high as its lines, wrapped or not, and no character is changed."""
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    tall = "\n".join(["2026-11-30 INFO tall", *(f"\tat deep {number}" for number in range(1, 400))])
    cloud.add_job("web")
    cloud.append("web", ["before", TRACE, "after", tall, *(f"line {number}" for number in range(5, 300))])
    page.goto(cloud.page("web", extra="line=2"))
    assert row(page, 2) == SHOWN
    heights = "(seq) => document.querySelector(`.row[data-seq='${seq}']`).offsetHeight"
    for _ in range(2):
        assert page.evaluate(heights, 2) == 5 * page.evaluate(heights, 1)
        page.keyboard.press("w")
    assert page.locator('.row[data-seq="2"]').get_attribute("data-level") == "error"
    page.keyboard.press("y")
    clipboard(page, SHOWN)
    page.evaluate("""() => {
      const text = (seq) => document.querySelector(`[data-seq="${seq}"] > .text`), end = text(3).firstChild;
      document.getSelection().setBaseAndExtent(text(1).firstChild, 3, end, end.length);
    }""")
    page.keyboard.press("Control+c")
    clipboard(page, f"ore\n{SHOWN}\nafter")
    # The page goes to a match deep within an entry; the expression treats its lines as lines.
    page.keyboard.press("/")
    page.get_by_label("Regular expression").click()
    page.get_by_role("searchbox").fill("^\\sat deep 333$")
    expect(page.locator(".found")).to_have_attribute("data-found", "1", timeout=WAIT)
    page.keyboard.press("Enter")
    page.wait_for_function(
        """() => {
          const [found] = [...(CSS.highlights.get('find-current') ?? [])];
          const pane = document.querySelector('.pane').getBoundingClientRect();
          const place = found?.getBoundingClientRect();
          return found?.toString() === '\\tat deep 333' && place.top >= pane.top && place.bottom <= pane.bottom;
        }""",
        timeout=WAIT,
    )
    page.keyboard.press("Escape")
    # Keys scroll within a row higher than the window, and then past it.
    page.locator(".pane").focus()
    seen: list[int] = []
    for _ in range(30):
        page.keyboard.press("j")
        seen.append(int(page.locator(".row.current").get_attribute("data-seq") or 0))
        if seen[-1] > 4:
            break
    assert seen[-1] == 5
    assert seen.count(4) > 1
    lines = downloaded(page, "text").splitlines()
    assert lines[1].endswith("2026-11-30 ERROR failed")
    assert lines[2:6] == SHOWN.split("\n")[1:]
    assert len(lines) == 5 + 2 + 400 + 295
    entries = downloaded(page, "jsonl").splitlines()
    assert '"line":"2026-11-30 ERROR failed\\r\\njava' in entries[1]
    assert len(entries) == 299


@pytest.mark.parametrize("several", [False, True])
def test_oversized_line_says_so_and_offers_the_whole(cloud: ViewerCloud, page: Page, several: bool) -> None:
    """While its fragments arrive, with lines of the other stream between them; in one job and in several."""
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    for name in ("web", "api"):
        cloud.add_job(name)
        cloud.append(name, ["first"])
    count = 300 if several else 76
    pieces = [chr(97 + number % 26) * PIECE for number in range(count)]
    cloud.append("web", [pieces[0], "between", *pieces[1:20]], "oe" + "O" * 19)
    page.goto(cloud.page("web", "api") if several else cloud.page("web"))
    cut = page.locator('.row[data-seq="2"] > .cut')
    expect(cut).to_have_attribute("data-cut", "Cut: 131,072 of 327,680 characters so far", timeout=WAIT)
    assert len(row(page, 2)) == 131_072
    page.wait_for_function("(job) => window.logferry?.lines(job)?.subscribed", arg=job_id("web"), timeout=WAIT)
    for begin in range(20, count, 28):
        cloud.write("web", pieces[begin : begin + 28], "O" * 28, batch=14)
    cloud.write("web", ["-END", "next"], "Oo")
    whole = "".join(pieces) + "-END"
    expect(cut).to_have_attribute("data-cut", f"Cut: 131,072 of {len(whole):,} characters", timeout=WAIT)
    cut.get_by_role("button", name="Copy the whole line").click()
    clipboard(page, whole)
    with page.expect_download(timeout=WAIT) as download:
        cut.get_by_role("button", name="Save it").click()
    assert download.value.path().read_text() == f"{whole}\n"
    assert re.fullmatch(r"line-2\.txt", download.value.suggested_filename)
    # A selection copies all of the line, without the row's own notes.
    page.evaluate("""() => {
      const texts = [...document.querySelectorAll('.row > .text')].map(({firstChild}) => firstChild);
      const [long, next] = [(text) => text.length > 1000, (text) => text.data === 'next'].map((is) => texts.find(is));
      document.getSelection().setBaseAndExtent(long, 0, next, 4);
    }""")
    page.locator(".pane").focus()
    page.keyboard.press("Control+c")
    clipboard(page, f"{whole}\nbetween\nnext")
