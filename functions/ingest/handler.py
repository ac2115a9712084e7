"""Puts the function together from the environment and the clients; nothing else happens here."""

import json
import os
import time
from concurrent.futures import ThreadPoolExecutor

import boto3
from aws_lambda_powertools import Logger, Metrics

from runtime.aws_clients import client_config
from runtime.environment import read_settings

from .app import build_handler
from .service import Service
from .settings import Settings
from .store import Store

WORKERS = 16
"""Batches stored at once; the client's pool must be as large, or connections are thrown away after each use."""

settings = read_settings(Settings, os.environ)
config = client_config(connections=WORKERS)
logger, metrics = Logger(), Metrics()
store = Store(
    boto3.client("dynamodb", config=config),
    settings.log_table,
    settings.registry_table,
    settings.batch_retention_days,
)


def notify_ended(jobs: list[str]) -> None:
    """Asks the function archive to take ended jobs; it answers at once and works on."""
    # The client is made for the first of them: a cold start that stores a batch need not wait for it.
    payload = json.dumps({"archive": jobs, "why": "ended"}).encode()
    client = boto3.client("lambda", config=config)
    client.invoke(FunctionName=settings.archive_function, InvocationType="Event", Payload=payload)


service = Service(
    store, ThreadPoolExecutor(WORKERS), logger, metrics, lambda: time.time_ns() // 1_000_000, notify_ended=notify_ended
)
handler = build_handler(service, logger, metrics)
