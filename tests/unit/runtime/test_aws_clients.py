"""Timeouts and retries of the functions' AWS clients."""

from typing import Any

import boto3
import pytest

from runtime.aws_clients import client_config


@pytest.mark.parametrize(("retries", "attempts"), [(0, 1), (3, 4), (5, 6)])
def test_retries_are_the_attempts_after_the_first(retries: int, attempts: int) -> None:
    client: Any = boto3.client("dynamodb", region_name="eu-west-1", config=client_config(retries=retries))
    assert client.meta.config.retries == {"mode": "standard", "total_max_attempts": attempts}


def test_timeouts_and_pool_are_those_of_the_caller() -> None:
    config: Any = client_config(connect_timeout_s=1, read_timeout_s=2, connections=64)
    assert (config.connect_timeout, config.read_timeout, config.max_pool_connections) == (1, 2, 64)
