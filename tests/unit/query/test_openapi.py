"""Test schemathesis' requests from the OpenAPI document: no 5xx, documented answers, nothing stored by a 4xx.

They reach the real query function and its authorizer, over tables in memory. tests/e2e sends a few of them to the
deployed API.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from schemathesis import Case
from tests.support import cloud as support
from tests.support.batches import CONTAINER
from tests.support.cloud import Cloud
from tests.support.openapi import assert_refused_without_stack_trace, checks_for, schema, target_existing_job, wsgi

JOB = f"web.{CONTAINER}"


class CountingCloud:
    """A cloud with one job, and counts of requests and refusals."""

    def __init__(self, cloud: Cloud) -> None:
        agent = cloud.agent(cloud.agent_key())
        cloud.open_job(agent)
        cloud.send(agent, 1)
        self.cloud = cloud
        self.app = wsgi(cloud, cloud.viewer_key())
        self.asked = self.refused = 0

    def stored(self) -> dict[str, Any]:
        return self.cloud.snapshot()


@pytest.fixture(scope="module")
def world() -> Iterator[CountingCloud]:
    cloud = support.cloud_in_memory()
    try:
        yield CountingCloud(cloud)
    finally:
        cloud.executor.shutdown()


@schema().parametrize()
@settings(max_examples=40, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
def test_every_operation_answers_as_documented(world: CountingCloud, case: Case[Any]) -> None:
    """Good and bad parameters and bodies, for an existing job and a missing one."""
    target_existing_job(case, JOB)
    before = world.stored()
    world.cloud.now_ms += 1_000  # another test covers the rate
    answer = case.call(app=world.app)
    world.asked += 1
    case.validate_response(answer, checks=checks_for(case))
    assert_refused_without_stack_trace(answer)
    after = world.stored()
    if answer.status_code >= 400:
        world.refused += 1
        assert after == before, "a refused request changed what is stored"
    else:
        # Requests here may create links only; the one job is never deleted, as no request names it for deletion.
        assert {key.partition("#")[0] for key in after.keys() - before.keys()} <= {"GRANT"}
        assert before.items() <= after.items()


def test_enough_requests_were_sent_and_refused(world: CountingCloud) -> None:
    """Runs after the others: a generator that makes nothing proves nothing."""
    assert world.asked >= 60 * 4
    assert world.refused >= 60
