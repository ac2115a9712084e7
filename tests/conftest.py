"""Provide what the whole suite needs: a Docker Engine, when a selected test asks for one.

Property tests try the same examples in every run, so that a result depends on the change under test only; `make chaos`
looks for new ones (`--hypothesis-profile=explore`).

Every handler is held to Lambda's limits, in all tests.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings
from tests.support import lambda_limits

from logferry_local.engine import running_engine

# Properties say what comes out, never how long a busy machine takes for it.
_UNHURRIED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("same", _UNHURRIED, derandomize=True)
settings.register_profile("explore", _UNHURRIED, derandomize=False)
settings.load_profile("same")

lambda_limits.install()


@pytest.fixture(autouse=True)
def lambda_keeps_its_limits() -> Iterator[None]:
    """Fail a test in which a handler exceeded a limit of Lambda or API Gateway, even if the test caught the error."""
    lambda_limits.exceeded.clear()
    yield
    assert not lambda_limits.exceeded


@pytest.fixture(scope="session", autouse=True)
def docker_engine(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Provide the running engine, or start one for the tests; do nothing when no selected test needs it."""
    if any(item.get_closest_marker("engine") for item in request.session.items):
        with running_engine(tmp_path_factory.mktemp("engine")):
            yield
    else:
        yield
