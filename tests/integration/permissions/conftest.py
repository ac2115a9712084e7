"""Deploy one stack for these tests, with alarms and dashboard."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.support import clouds, stacks
from tests.support.stacks import Stack

TOPIC = "arn:aws:sns:us-east-1:000000000000:pager"


@pytest.fixture(scope="package")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    folder = tmp_path_factory.mktemp("stack")
    with (
        clouds.ministack() as address,
        stacks.stack(address, folder, Monitoring="on", AlarmTopic=TOPIC) as deployed,
    ):
        yield deployed
