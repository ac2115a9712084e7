"""Builds the function from its environment and its clients, and does nothing else."""

from runtime import start_up

# isort: split
import json
import os
import time
from collections.abc import Mapping
from typing import Any

from aws_lambda_powertools import Logger, Metrics

from runtime.aws_clients import client_config, make_client
from runtime.environment import read_settings

from .app import build_handler
from .service import Service
from .settings import Settings
from .store import Store

settings = read_settings(Settings, os.environ)
# Nobody waits for an archive step, and it puts objects of about a megabyte. A longer wait and two more retries cost
# less than a step that fails and is carried out again.
config = client_config(read_timeout_s=10, retries=5)
logger, metrics = Logger(), Metrics()
store = Store(
    make_client("dynamodb", config),
    make_client("s3", config),
    settings.log_table,
    settings.registry_table,
    settings.archive_bucket,
)


def invoke_again(event: Mapping[str, Any]) -> None:
    """Invoke this function once more. The call returns at once."""
    client = make_client("lambda", config)
    name = os.environ["AWS_LAMBDA_FUNCTION_NAME"]
    client.invoke(FunctionName=name, InvocationType="Event", Payload=json.dumps(event).encode())


service = Service(store, settings.archive_retention_days, logger, metrics, lambda: time.time_ns() // 1_000_000)
handler = build_handler(service, invoke_again, logger, metrics)
start_up.finish()
