"""Test that a container's lines reach `export` and `tail` once and in order, whatever is cut on the way."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from functools import partial

import pytest
from tests.e2e.conftest import (
    LINES,
    PATIENCE_S,
    Agent,
    Cloud,
    Containers,
    assert_complete,
    following,
    is_stderr,
    line,
    numbered,
    wait_for,
)
from tests.e2e.cuttable_proxy import CuttableProxy

pytestmark = [pytest.mark.engine, pytest.mark.cloud, pytest.mark.timeout(600)]


def test_5000_lines_arrive_exactly(cloud: Cloud, containers: Containers, make_agent: Callable[..., Agent]) -> None:
    """Two thirds on stdout, one third on stderr, with Unicode and colours: as jsonl, as text, and followed."""
    make_agent()
    name = containers.run("numbered", numbered(pause_every=500))
    job = cloud.job_of(name)
    with following(cloud, name) as tail:
        try:
            out, err = tail.communicate(timeout=PATIENCE_S)
        except subprocess.TimeoutExpired:
            pytest.fail("`tail --follow` did not end with the job")
    assert out.decode().split("\n") == [f"{line(n)}\x1b[0m" for n in range(1, LINES + 1) if not is_stderr(n)] + [""]
    told, *errors, over, end = err.decode().split("\n")
    assert (told, over, end) == ("logferry: container started", "logferry: container exited with code 0", "")
    assert errors == [f"{line(n)}\x1b[0m" for n in range(1, LINES + 1) if is_stderr(n)]

    assert cloud.ended(name) == job
    entries = cloud.exported(name)
    assert_complete(entries)
    assert {entry["jobId"] for entry in entries} == {job}
    text = cloud.logferry("export", job, "--format", "text").stdout.decode()
    assert text == "".join(entry["line"] + "\n" for entry in entries if entry["stream"] != "system")


def test_job_list_counts_the_lines_of_a_running_container(
    cloud: Cloud, containers: Containers, make_agent: Callable[..., Agent]
) -> None:
    """The count is current, although the record is written only every few minutes."""
    make_agent()
    name = containers.run("chatty", "while :; do echo a line; sleep 0.1; done")
    job = cloud.job_of(name)
    begun = wait_for(lambda: cloud.tip(job), "a first line")
    wait_for(lambda: cloud.tip(job) >= begun + 20, "twenty more")
    newest = cloud.get(f"/api/jobs/{job}/batches", before=2**53 - 1, limit=1)["batches"][-1]
    [listed] = json.loads(cloud.logferry("jobs", "--json", "--name", name).stdout)
    assert listed["life"]["state"] == "running"
    assert newest["first"] + newest["count"] - 1 <= listed["tip"] <= cloud.tip(job)
    assert listed["last"] >= newest["end"] // 1000


def has_entry(cloud: Cloud, job: str, number: int) -> bool:
    return cloud.tip(job) >= number


def test_nothing_is_lost_or_repeated_when_the_websocket_is_cut(
    cloud: Cloud, containers: Containers, make_agent: Callable[..., Agent]
) -> None:
    """The agent's connection breaks several times while it sends, acknowledgements included."""
    with CuttableProxy(cloud.state.agents_url) as proxy:
        make_agent(LOGFERRY_AGENTS_URL=proxy.url, LOGFERRY_FLUSH_INTERVAL="0.1")
        name = containers.run("cut", numbered(pause_every=100, pause_s=0.1))
        job = cloud.job_of(name)
        for part in (500, 1500, 2500):
            wait_for(partial(has_entry, cloud, job, part), f"entry {part}")
            wait_for(proxy.cut, "a connection to cut")
        cloud.ended(name)
        assert proxy.connections >= 3
    assert_complete(cloud.exported(name))
