"""Run every test here twice: against moto, and against MiniStack over the network."""

import contextlib
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
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


@dataclass(frozen=True)
class Bucket:
    """One empty S3 bucket of a cloud."""

    s3: Any
    name: str


@pytest.fixture
def bucket(tables: Tables) -> Iterator[Bucket]:
    """Provide a bucket in the tables' cloud; remove it with its content afterwards."""
    endpoint = tables.dynamodb.meta.endpoint_url
    address = None if "amazonaws" in endpoint else endpoint
    s3: Any = boto3.client("s3", endpoint_url=address, **clouds.SECRETS)
    name = f"lf-{uuid.uuid4().hex[:12]}"
    s3.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": clouds.REGION})
    try:
        yield Bucket(s3, name)
    finally:
        for item in s3.list_objects_v2(Bucket=name).get("Contents", []):
            s3.delete_object(Bucket=name, Key=item["Key"])
        s3.delete_bucket(Bucket=name)
