"""What the whole suite needs: a Docker Engine, when a test that was chosen asks for one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from logferry_local.engine import running_engine


@pytest.fixture(scope="session", autouse=True)
def docker_engine(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The engine that runs, or one started for the tests and ended after them; nothing when no chosen test needs it."""
    if any(item.get_closest_marker("engine") for item in request.session.items):
        with running_engine(tmp_path_factory.mktemp("engine")):
            yield
    else:
        yield
