"""Test that the programs of 0.1.0 work with the current cloud; upgrades go cloud first, then viewer, then agents.

They are the real ones from the history (`support/previous_release.py`). What 0.1.0 sent and stored, byte for byte, is
in `contract/test_version_0_1_0.py`.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit

import pytest
from docker.types import LogConfig
from playwright.sync_api import Route, expect, sync_playwright
from tests.e2e.conftest import (
    PATIENCE_S,
    Agent,
    Cloud,
    Containers,
    assert_complete,
    is_stderr,
    line,
    numbered,
    wait_for,
)
from tests.support import previous_release
from tests.support.previous_release import Release

from logferry_local import viewer_process
from logferry_local.checkout import find_checkout
from logferry_state.processes import ProcessTable, stop
from logferry_state.state import load_keys, load_state

pytestmark = [pytest.mark.engine, pytest.mark.cloud, pytest.mark.timeout(600)]

CHROMIUM = "/usr/bin/chromium"
PATIENCE_MS = PATIENCE_S * 1000
TODAY = {"PYTHONPATH": ""}


@pytest.fixture(scope="module")
def previous(tmp_path_factory: pytest.TempPathFactory) -> Release:
    """Provide the previous release's files."""
    return previous_release.check_out(tmp_path_factory.mktemp("previous"))


def open_gate(containers: Containers, names: list[str], gate: str) -> None:
    """Release containers that wait for `/gate`."""
    for name in names:
        containers.engine.containers.get(name).exec_run(["/bin/sh", "-c", f": > /{gate}"])


def part(first: int, last: int, gate: str) -> str:
    """Return a script that waits for `/gate` and then writes lines `first` to `last`."""
    return f"until [ -e /{gate} ]; do sleep 0.1; done; {numbered(last, pause_every=50).replace('i=1;', f'i={first};')}"


def old_logferry(cloud: Cloud, release: Release, *words: str) -> subprocess.CompletedProcess[bytes]:
    """Run the release's command to its end."""
    done = subprocess.run(
        [*release.logferry, *words],
        env=cloud.environment(**release.environment),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
    return done


def test_agent_and_command_of_the_previous_release_keep_working(
    cloud: Cloud, containers: Containers, make_agent: Callable[..., Agent], previous: Release
) -> None:
    """The short form: 0.1.0 ships, the current agent takes over, 0.1.0 returns; its command exports each line once."""
    agent = make_agent(**previous.environment, LOGFERRY_FLUSH_INTERVAL="0.1")
    name = containers.run("turns", f"{numbered(100)}; {part(101, 200, 'b')}; {part(201, 300, 'c')}; exit 3")
    job = cloud.job_of(name)
    wait_for(lambda: cloud.tip(job) >= 50, "entry 50")
    agent.kill()
    open_gate(containers, [name], "b")
    agent.start(**TODAY)
    wait_for(lambda: cloud.tip(job) >= 150, "entry 150")
    agent.kill()
    open_gate(containers, [name], "c")
    agent.start(**previous.environment)
    assert cloud.ended(name) == job
    entries = cloud.exported(name)
    assert_complete(entries, 300)
    exported = old_logferry(cloud, previous, "export", name, "--format", "jsonl").stdout
    assert [json.loads(text) for text in exported.splitlines()] == entries


KEY = "TWlsayBhbmQgaG9uZXkgZG8gbm90IG1ha2UgYSBrZXkgYXQgYWxs"


@pytest.mark.slow
def test_agents_of_both_releases_alternate_on_one_spool(
    cloud: Cloud, containers: Containers, make_agent: Callable[..., Agent], previous: Release
) -> None:
    """0.1.0 is killed, the current one takes over, 0.1.0 returns: 1..n without gaps or repeats, from files and the API.

    Meanwhile entries are held back for merging, and a private key that spans all of it is redacted.
    """
    settings = {"LOGFERRY_MERGE_START": "^[0-9]{5} |^-----|^[a-z]", "LOGFERRY_REDACT": "all"}
    agent = make_agent(**previous.environment, **settings)
    script = f"{numbered(300, pause_every=50)}; {part(301, 600, 'b')}; {part(601, 900, 'c')}; exit 3"
    kinds = {"json-file": False, "local": False, "terminal": True}
    names = [
        containers.run(
            kind, script, tty=tty, log_config=LogConfig(type="json-file" if kind == "json-file" else "local")
        )
        for kind, tty in kinds.items()
    ]
    secret = f"echo {KEY}; " * 3
    waits = [f"until [ -e /{gate} ]; do sleep 0.1; done; {secret}" for gate in "bc"]
    begin, end = (f"echo '-----{word} RSA PRIVATE KEY-----'" for word in ("BEGIN", "END"))
    keeper = containers.run("key", f"echo before; {begin}; {secret} {' '.join(waits)} {end}; echo after; echo end")
    jobs = [cloud.job_of(name) for name in names]

    def stored(tip: int) -> bool:
        return all(cloud.tip(job) >= tip for job in jobs)

    wait_for(lambda: stored(100), "entry 100")
    agent.kill()
    open_gate(containers, [*names, keeper], "b")
    agent.start(**TODAY)
    wait_for(lambda: stored(500), "entry 500")
    agent.stop()
    open_gate(containers, [*names, keeper], "c")
    agent.start(**previous.environment)
    for name in names:
        cloud.ended(name)
        entries = cloud.exported(name)
        if name.endswith("terminal"):
            assert [one["sequence"] for one in entries] == list(range(1, 903))
            found = [one["line"] for one in entries if one["stream"] == "stdout"]
            assert found == [f"{line(number)}\r" for number in range(1, 901)]
        else:
            assert_complete(entries, 900)
        assert json.loads(entries[-1]["line"])["exit_code"] == 3
    cloud.ended(keeper)
    found = cloud.exported(keeper)
    texts = [text for entry in found if entry["stream"] == "stdout" for text in entry["line"].split("\n")]
    assert (texts[0], texts[-2:]) == ("before", ["after", "end"])
    assert KEY not in json.dumps(found)
    assert [json.loads(entry["line"])["event"] for entry in found if entry["stream"] == "system"] == [
        "started",
        "exited",
    ]


@pytest.mark.slow
def test_command_of_the_previous_release_reads(
    cloud: Cloud, containers: Containers, make_agent: Callable[..., Agent], previous: Release
) -> None:
    """`tail --follow` reads while it is written; then jobs, tail, export and verify report what is there."""
    make_agent()
    name = containers.run("read", f"{part(1, 300, 'go')}; exit 3")
    cloud.job_of(name)
    follower = subprocess.Popen(
        [*previous.logferry, "tail", name, "--follow"],
        env=cloud.environment(**previous.environment),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    try:
        open_gate(containers, [name], "go")
        out, err = follower.communicate(timeout=PATIENCE_S)
    finally:
        follower.kill()
    assert out.decode().split("\n") == [f"{line(n)}\x1b[0m" for n in range(1, 301) if not is_stderr(n)] + [""]
    assert [text for text in err.decode().split("\n") if "farbe" in text] == [
        f"{line(n)}\x1b[0m" for n in range(1, 301) if is_stderr(n)
    ]
    job = cloud.ended(name)
    entries = cloud.exported(name)
    assert_complete(entries, 300)
    old = partial(old_logferry, cloud, previous)
    [listed] = json.loads(old("jobs", "--json", "--name", name).stdout)
    assert (listed["job"], listed["container"]["name"]) == (job, name)
    ending = old("tail", name, "-n", "4")
    assert ending.stdout.decode().split("\n") == [f"{line(n)}\x1b[0m" for n in (298, 299)] + [""]
    assert "exited with code 3" in ending.stderr.decode()
    assert [json.loads(text) for text in old("export", name, "--format", "jsonl").stdout.splitlines()] == entries
    assert json.loads(old("verify", job, "--json").stdout)["sound"] is True


@contextmanager
def pages_of(release: Release, cloud: Cloud) -> Iterator[None]:
    """Make the current cloud serve the release's viewer at the only address that may open its WebSocket."""
    port = urlsplit(cloud.state.viewer_url).port or 0
    words = viewer_process.command(find_checkout(), port, cloud.state.http_url, cloud.state.viewers_url)
    built = release.build_viewer()
    theirs = [built if word == find_checkout().viewer_files else word for word in words]
    assert theirs != words

    def serve(words: list[str | Path]) -> None:
        if server := ProcessTable(cloud.folder).running(viewer_process.ROLE):
            stop(server)
        viewer_process.start(words, cloud.folder, port)

    try:
        serve(theirs)
        yield
    finally:
        serve(words)


@pytest.mark.slow
@pytest.mark.browser
def test_viewer_of_the_previous_release_lists_follows_and_searches(
    cloud: Cloud, containers: Containers, make_agent: Callable[..., Agent], previous: Release
) -> None:
    """It lists and opens the job, shows a new line, and lets the service search what it has not loaded."""
    make_agent()
    noise = "echo a needle; yes hay | head -n 60000"
    name = containers.run("old-viewer", f"{noise}; until [ -e /go ]; do sleep 0.1; done; echo a live line")
    job = cloud.job_of(name)
    wait_for(lambda: cloud.tip(job) >= 60_000, "all but the last line")
    first: list[Route] = []
    held: list[Route] | None = []

    def hold(route: Route) -> None:
        """All history but the newest waits, as if it were long in coming."""
        if first and held is not None:
            held.append(route)
            return
        first.append(route)
        route.continue_()

    with pages_of(previous, cloud), sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        try:
            page = browser.new_page()
            page.set_default_timeout(PATIENCE_MS)
            errors: list[str] = []
            page.on("pageerror", lambda error: errors.append(str(error)))
            searches: list[Any] = []
            page.on("response", lambda one: searches.append(one.status) if "/search?" in one.url else None)
            page.route("**/batches?*", hold)
            page.goto(f"{cloud.state.viewer_url}/#key={cloud.keys.viewer_key}")
            page.locator(f"[data-job='{job}'] a").first.click()
            page.wait_for_function("job => window.logferry.lines(job)?.caughtUp", arg=job)
            assert page.evaluate("job => window.logferry.lines(job).live", job) == 0
            open_gate(containers, [name], "go")
            expect(page.get_by_text("a live line")).to_be_visible(timeout=PATIENCE_MS)
            assert page.evaluate("job => window.logferry.lines(job).live", job) > 0
            assert page.evaluate("job => window.logferry.lines(job).received", job) < 60_000
            page.get_by_label("Search this job").fill("a needle")
            expect(page.locator(".found")).to_have_attribute("data-found", "1", timeout=PATIENCE_MS)
            assert searches
            assert set(searches) == {200}
            waiting, held = held, None
            for route in waiting or ():
                route.continue_()
            current = page.locator(".row.current .text")
            page.locator(".pane").focus()
            page.keyboard.press("N")
            expect(current).to_have_text("a needle", timeout=PATIENCE_MS)
            assert errors == []
        finally:
            browser.close()


@pytest.mark.slow
def test_local_cloud_of_the_previous_release_is_taken_over(
    containers: Containers, previous: Release, tmp_path: Path
) -> None:
    """0.1.0's `logferry up` keeps running, and the current `up` takes over its folder and processes.

    Stored jobs read as before, and a container that wrote throughout has every line once.
    """
    folder = tmp_path / "state"
    cloud = Cloud(folder, *cast(Any, (None, None, None)))
    settings = {"LOGFERRY_INCLUDE_NAMES": f"{containers.prefix}-*", "LOGFERRY_FLUSH_INTERVAL": "1"}
    done = containers.run("done", f"{numbered(300)}; exit 3")
    running = containers.run("running", f"{numbered(100)}; {part(101, 200, 'b')}; {part(201, 300, 'c')}")
    environment = cloud.environment(**previous.environment, **settings)
    up = ["up", "--detach"]
    try:
        made = subprocess.run([*previous.logferry, *up], env=environment, capture_output=True, text=True, check=False)
        assert made.returncode == 0, made.stderr
        old = Cloud(folder, load_state(folder), load_keys(folder), cast(Any, None))
        job = old.ended(done)
        wait_for(lambda: old.tip(old.job_of(running)) >= 50, "entry 50")
        exported = old_logferry(cloud, previous, "export", done, "--format", "jsonl").stdout
        open_gate(containers, [running], "b")

        cloud.logferry(*up, **cast(Any, settings))
        new = Cloud(folder, load_state(folder), load_keys(folder), cast(Any, None))
        assert new.keys == old.keys
        assert not [role for role, process in old.state.pids.items() if new.state.pids[role] == process]
        assert new.state.access_key != old.state.access_key
        cloud.logferry(*up, **cast(Any, settings))
        assert load_state(folder) == new.state
        assert new.ended(done) == job
        assert new.logferry("export", done, "--format", "jsonl").stdout == exported
        open_gate(containers, [running], "c")
        new.ended(running)
        for name in (done, running):
            assert_complete(new.exported(name), 300)
    finally:
        cloud.logferry("down", check=False)
