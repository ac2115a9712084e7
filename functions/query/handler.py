"""Puts the function together from the environment and the clients; nothing else happens here."""

import json
import os
import time

import boto3
from aws_lambda_powertools import Logger, Metrics
from botocore.config import Config

from registry.environment import read

from .app import build_handler
from .service import Service
from .settings import Settings
from .store import Store

settings = read(Settings, os.environ)
config = Config(connect_timeout=2, read_timeout=5, retries={"mode": "standard", "max_attempts": 3})
store = Store(boto3.client("dynamodb", config=config), settings.log_table, settings.registry_table)
functions = boto3.client("lambda", config=config)


def erase(job: str) -> None:
    """Asks the function archive to delete what is stored of a job; it answers at once and works on."""
    payload = json.dumps({"erase": job}).encode()
    functions.invoke(FunctionName=settings.archive_function, InvocationType="Event", Payload=payload)


service = Service(store, settings.viewer_origins, erase, lambda: time.time_ns() // 1_000_000)
handler = build_handler(service, Logger(), Metrics())
