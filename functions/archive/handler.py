"""Puts the function together from the environment and the clients; nothing else happens here."""

import json
import os

import boto3
from aws_lambda_powertools import Logger, Metrics
from botocore.config import Config

from registry.environment import read

from .app import build_handler
from .settings import Settings
from .store import Store

settings = read(Settings, os.environ)
config = Config(connect_timeout=2, read_timeout=10, retries={"mode": "standard", "max_attempts": 5})
store = Store(boto3.client("dynamodb", config=config), settings.log_table, settings.registry_table)


def again(job: str) -> None:
    """Asks for one more invocation of this very function."""
    payload = json.dumps({"erase": job}).encode()
    client = boto3.client("lambda", config=config)
    client.invoke(FunctionName=os.environ["AWS_LAMBDA_FUNCTION_NAME"], InvocationType="Event", Payload=payload)


handler = build_handler(store, again, Logger(), Metrics())
