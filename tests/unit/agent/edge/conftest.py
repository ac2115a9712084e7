"""Share fixtures among the tests of the agent's edge."""

from collections.abc import Iterator

import pytest

from logferry_agent.edge.inotify import Watcher


@pytest.fixture(name="watcher")
def _watcher() -> Iterator[Watcher]:
    """Provide an inotify for this test."""
    watcher = Watcher()
    yield watcher
    watcher.close()
