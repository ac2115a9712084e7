"""Puts the function together from the environment and the clients; nothing else happens here."""

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
service = Service(store, settings.viewer_origins, lambda: time.time_ns() // 1_000_000)
handler = build_handler(service, Logger(), Metrics())
