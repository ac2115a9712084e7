"""Deploy one stack for these tests, with alarms and dashboard."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support import clouds, stacks
from tests.support.stacks import Stack

TOPIC = "arn:aws:sns:us-east-1:000000000000:pager"


@pytest.fixture(scope="package")
def iam_record(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Provide the file to which what the emulator's IAM decides is written."""
    return tmp_path_factory.mktemp("iam") / "decisions.jsonl"


@pytest.fixture(scope="package")
def stack(tmp_path_factory: pytest.TempPathFactory, iam_record: Path) -> Iterator[Stack]:
    folder = tmp_path_factory.mktemp("stack")
    with (
        clouds.ministack(iam_record) as address,
        stacks.stack(address, folder, Monitoring="on", AlarmTopic=TOPIC) as deployed,
    ):
        yield deployed
