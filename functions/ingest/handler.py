"""Builds the function from its environment and its clients, and does nothing else."""

from runtime import start_up

# isort: split
import json
import os
import time
from concurrent.futures import ThreadPoolExecutor

from aws_lambda_powertools import Logger, Metrics

from runtime.aws_clients import client_config, make_client
from runtime.environment import read_settings

from .app import build_handler
from .service import Service
from .settings import Settings
from .store import Store

WORKERS = 16
"""How many batches are stored at once."""

settings = read_settings(Settings, os.environ)
config = client_config(connections=WORKERS)
logger, metrics = Logger(), Metrics()
store = Store(
    make_client("dynamodb", config),
    settings.log_table,
    settings.registry_table,
    settings.batch_retention_days,
)


def notify_ended(jobs: list[str]) -> None:
    """Ask the function archive to archive ended jobs. The call returns at once."""
    # The first call makes the client, so that a cold start that stores a batch does not wait for it.
    payload = json.dumps({"archive": jobs, "why": "ended"}).encode()
    client = make_client("lambda", config)
    client.invoke(FunctionName=settings.archive_function, InvocationType="Event", Payload=payload)


service = Service(
    store, ThreadPoolExecutor(WORKERS), logger, metrics, lambda: time.time_ns() // 1_000_000, notify_ended=notify_ended
)
handler = build_handler(service, logger, metrics)
start_up.finish()
