"""Run the functions in one process over moto."""

from collections.abc import Iterator
from typing import Any

import pytest
from tests.support import cloud as support
from tests.support import clouds


@pytest.fixture(scope="module")
def dynamodb() -> Iterator[Any]:
    with clouds.moto_dynamodb() as client:
        yield client


@pytest.fixture
def cloud(dynamodb: Any) -> Iterator[support.Cloud]:
    with support.cloud(dynamodb) as made:
        yield made
