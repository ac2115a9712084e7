"""Test that a killed and restarted agent misses nothing and sends nothing twice."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from tests.e2e.conftest import PATIENCE_S, Agent, Cloud, Containers, assert_complete, numbered, wait_for

pytestmark = [pytest.mark.engine, pytest.mark.cloud, pytest.mark.timeout(600)]


def test_nothing_is_lost_or_repeated_when_the_agent_is_killed(
    cloud: Cloud, containers: Containers, make_agent: Callable[..., Agent]
) -> None:
    """SIGKILL comes twice while the container writes; the container exits while no agent runs."""
    agent = make_agent(LOGFERRY_FLUSH_INTERVAL="0.1")
    name = containers.run("killed", numbered(pause_every=100))
    job = cloud.job_of(name)
    wait_for(lambda: cloud.tip(job) >= 500, "entry 500")
    agent.kill()
    agent.start()
    wait_for(lambda: cloud.tip(job) >= 2000, "entry 2000")
    agent.kill()
    assert containers.started[0].wait(timeout=PATIENCE_S)["StatusCode"] == 0
    agent.start()
    cloud.ended(name)
    assert_complete(cloud.exported(name))
