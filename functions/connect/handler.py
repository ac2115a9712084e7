"""Puts the function together from the environment and the clients; nothing else happens here."""

import functools
import os

import boto3
from aws_lambda_powertools import Logger, Metrics
from botocore.config import Config

from registry.environment import read
from registry.posting import Post, post_with

from .app import build_handler
from .settings import Settings
from .store import Store

settings = read(Settings, os.environ)
config = Config(connect_timeout=2, read_timeout=4, retries={"mode": "standard", "max_attempts": 3})


@functools.cache
def agents() -> Post:
    """The way to the agents' connections; made when the first agent is told something, not in every cold start."""
    return post_with(boto3.client("apigatewaymanagementapi", endpoint_url=settings.agents_endpoint, config=config))


store = Store(boto3.client("dynamodb", config=config), settings.registry_table, settings.log_table)
handler = build_handler(store, settings, agents, logger=Logger(), metrics=Metrics())
