"""Every test here runs twice: against moto, and against MiniStack over the wire."""

import contextlib
import uuid
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.config import Config
from tests.support import clouds
from tests.support.clouds import Tables


@pytest.fixture(scope="session")
def ministack() -> Iterator[str]:
    with clouds.ministack() as address:
        yield address


@pytest.fixture(params=["moto", pytest.param("ministack", marks=pytest.mark.cloud)])
def tables(request: pytest.FixtureRequest) -> Iterator[Tables]:
    with contextlib.ExitStack() as stack:
        if request.param == "moto":
            dynamodb: Any = stack.enter_context(clouds.moto_dynamodb())
        else:
            address = request.getfixturevalue("ministack")
            config = Config(connect_timeout=10, read_timeout=60)
            dynamodb = boto3.client("dynamodb", endpoint_url=address, config=config, **clouds.SECRETS)
        yield stack.enter_context(clouds.tables(dynamodb, f"t{uuid.uuid4().hex[:8]}"))
