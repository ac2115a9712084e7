"""Test that work which takes many invocations ends without a sweep, and that none of it goes on for ever."""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import pytest
from tests.support import templates
from tests.support.batches import CONTAINER
from tests.support.cloud import Cloud, cloud_in_memory

import archive.store
from archive import core
from archive.app import MAX_HOPS, NotArchivedError

JOB = f"web.{CONTAINER}"
OTHERS = [f"web.{index:064x}" for index in range(4)]
RECURSION_LIMIT = 16
"""Invocations of a function in one chain, after which Lambda ends it and keeps the event as a failed one.

https://docs.aws.amazon.com/lambda/latest/dg/invocation-recursion.html
"""
ATTEMPTS = 3
"""Of an event that fails, by the template's EventInvokeConfig."""


@dataclass
class Lambda:
    """Carries out an event and whatever it starts, as Lambda does with the template's settings."""

    cloud: Cloud
    started: int = 0
    failures: list[Mapping[str, Any]] = field(default_factory=list)
    """What the on-failure bucket gets."""

    def run(self, event: Mapping[str, Any]) -> None:
        template = templates.load("template.yaml")
        setting = template["Resources"]["Archive"]["Properties"].get("RecursiveLoop")
        most = None if templates.Resolver(template, {}).resolve(setting) == "Allow" else RECURSION_LIMIT
        waiting: deque[tuple[Mapping[str, Any], int]] = deque([(event, 1)])
        while waiting:
            event, depth = waiting.popleft()
            if most is not None and depth > most:
                self.failures.append(event)
                continue
            waiting += [(following, depth + 1) for following in self._attempts(event)]
            assert self.started < 10_000, "the chain does not end"

    def _attempts(self, event: Mapping[str, Any]) -> list[Mapping[str, Any]]:
        self.cloud.again.clear()
        for _ in range(ATTEMPTS):
            self.started += 1
            try:
                self.cloud.archive(event, None)
                break
            except NotArchivedError:
                continue
        else:
            self.failures.append(event)
        return list(self.cloud.again)


@pytest.fixture
def cloud() -> Cloud:
    """Provide a cloud whose tables are in memory: these tests carry out hundreds of invocations."""
    return cloud_in_memory()


@pytest.fixture
def machine(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> Lambda:
    """Provide a Lambda in which the time of every invocation is up after one step, and a step is one batch."""
    cloud.clock_s = count(0, 1_000).__next__
    monkeypatch.setattr(core, "RUN_BATCHES", 1)
    monkeypatch.setattr(archive.store, "PAGE", 1)
    return Lambda(cloud)


def store_batches(cloud: Cloud, number: int, *jobs: str) -> None:
    agent = cloud.agent(cloud.agent_key())
    for job in jobs:
        container = job.partition(".")[2]
        cloud.open_job(agent, container)
        for first in range(1, 3 * number, 3):
            cloud.send(agent, first, job=container)


def tip_of(cloud: Cloud, job: str) -> int:
    return int((cloud.get(f"JOB#{job}", "ARCHIVE") or {}).get("tip") or 0)


def test_archiving_over_many_invocations_ends_without_a_sweep(cloud: Cloud, machine: Lambda) -> None:
    """A group of jobs, each with more steps than Lambda lets a chain have."""
    store_batches(cloud, 20, *OTHERS)
    machine.run({"archive": OTHERS, "why": "daily"})
    assert [tip_of(cloud, job) for job in OTHERS] == [60] * 4
    assert (machine.failures, machine.started > 80) == ([], True)


def test_erasing_over_many_invocations_ends_without_a_sweep(cloud: Cloud, machine: Lambda) -> None:
    """Batches in the table, and segments in the archive."""
    store_batches(cloud, 30, JOB)
    machine.run({"archive": [JOB], "why": "daily"})
    assert len(cloud.bucket.objects) == 60
    machine.started = 0
    assert cloud.http("DELETE", f"/api/jobs/{JOB}", cloud.viewer_key()).status == 202
    machine.run({"erase": JOB})
    record = cloud.ingest_store.job(JOB)
    assert record is not None
    assert (cloud.bucket.objects, bool(record["erased"]), record["erased_batches"]) == ({}, True, 30)
    assert (machine.failures, machine.started > 30) == ([], True)


def test_each_hop_is_counted_and_the_last_leaves_the_rest_to_the_sweep(
    cloud: Cloud, machine: Lambda, capsys: pytest.CaptureFixture[str]
) -> None:
    """A fault that keeps a chain going costs two hours of one function, not a month."""
    store_batches(cloud, 2, JOB)
    cloud.archive({"archive": [JOB], "why": "daily", "hops": 7}, None)
    assert cloud.again == [{"archive": [JOB], "why": "daily", "hops": 8}]
    cloud.send(cloud.agent(cloud.agent_key()), 7)
    cloud.again.clear()
    cloud.archive({"archive": [JOB], "why": "daily", "hops": MAX_HOPS}, None)
    assert (cloud.again, "ChainsEnded" in capsys.readouterr().out) == ([], True)
    cloud.archive({"sweep": "daily"}, None)
    assert cloud.again == [{"archive": [JOB], "why": "daily"}]


def test_step_that_never_succeeds_does_not_go_on_for_ever(
    cloud: Cloud, machine: Lambda, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another invocation seems to be first, each time."""
    store_batches(cloud, 1, JOB)
    monkeypatch.setattr(cloud.archive_store, "save_plan", lambda *_given: False)
    machine.run({"archive": [JOB], "why": "daily"})
    assert machine.started == MAX_HOPS + 1
    assert machine.failures == []


def test_poisoned_jobs_fail_alone_and_a_bounded_number_of_times(cloud: Cloud, machine: Lambda) -> None:
    """The others are archived once, and the on-failure bucket names the poisoned ones only."""
    store_batches(cloud, 20, *OTHERS)
    poisoned = [OTHERS[0], OTHERS[2]]

    def fail(_operation: str, name: str) -> None:
        if any(job in name for job in poisoned):
            raise RuntimeError("S3 does not take it")

    cloud.bucket.before = fail
    machine.run({"archive": OTHERS, "why": "daily"})
    assert [tip_of(cloud, job) for job in OTHERS] == [0, 60, 0, 60]
    assert sorted(job for event in machine.failures for job in event["archive"]) == sorted(poisoned)
    assert machine.started < 60
    cloud.bucket.before = lambda _operation, _name: None
    machine.run({"archive": poisoned, "why": "daily"})
    assert [tip_of(cloud, job) for job in OTHERS] == [60] * 4


@pytest.mark.parametrize("hops", ["1", None, 1.5, True])
def test_unknown_count_of_hops_is_refused(cloud: Cloud, hops: Any) -> None:
    """No part of this stack sends it."""
    with pytest.raises(Exception, match="hops"):
        cloud.archive({"archive": [JOB], "why": "daily", "hops": hops}, None)
