"""Share this machine's engine and one fake ingest a test among the agent's tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.support.engines import Engine, machine_engine
from tests.support.fake_ingest import FakeIngestProcess


@pytest.fixture(scope="module", name="machine")
def _machine() -> Iterator[Engine]:
    with machine_engine() as engine:
        yield engine


@pytest.fixture
def sink() -> Iterator[FakeIngestProcess]:
    with FakeIngestProcess() as sink:
        yield sink
