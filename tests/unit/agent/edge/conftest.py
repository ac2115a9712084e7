"""What the tests of the agent's edge share."""

from collections.abc import Iterator

import pytest

from logferry_agent.edge.inotify import Watcher


@pytest.fixture(name="watcher")
def _watcher() -> Iterator[Watcher]:
    """An inotify of this test's own."""
    watcher = Watcher()
    yield watcher
    watcher.close()
