"""Puts the function together from the environment and the clients; nothing else happens here."""

import os
from concurrent.futures import ThreadPoolExecutor

import boto3
from aws_lambda_powertools import Logger, Metrics
from botocore.config import Config

from runtime.environment import read
from runtime.websocket_push import close_with, post_with

from .app import build_handler
from .delivery import Clock, Delivery
from .settings import Settings
from .store import Store

WORKERS = 64
"""Viewers sent to at once. Pool and threads must both be as large: raising either alone leaves it at the smaller."""

settings = read(Settings, os.environ)
config = Config(connect_timeout=1, read_timeout=2, max_pool_connections=WORKERS, retries={"total_max_attempts": 1})
viewers = boto3.client("apigatewaymanagementapi", endpoint_url=settings.viewers_endpoint, config=config)
agents = boto3.client("apigatewaymanagementapi", endpoint_url=settings.agents_endpoint, config=config)
dynamodb = boto3.client("dynamodb", config=config.merge(Config(retries={"mode": "standard", "max_attempts": 3})))

logger = Logger()
store = Store(dynamodb, settings.registry_table)
closers = {"viewer": close_with(viewers), "agent": close_with(agents)}
delivery = Delivery(
    store, post_with(viewers), ThreadPoolExecutor(WORKERS), logger, close=closers["viewer"], clock=Clock()
)
functions = boto3.client("lambda", config=config)


def hand_over(part: bytes) -> None:
    """Invokes this very function with a part of an audience; it answers at once and works on."""
    functions.invoke(FunctionName=os.environ["AWS_LAMBDA_FUNCTION_NAME"], InvocationType="Event", Payload=part)


handler = build_handler(store, delivery, closers, logger, Metrics(), hand_over=hand_over)
