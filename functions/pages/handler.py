"""Builds the function from its environment and its clients, and does nothing else."""

from runtime import start_up

# isort: split
import os

from aws_lambda_powertools import Logger

from runtime.aws_clients import client_config, make_client
from runtime.environment import read_settings

from .app import build_handler
from .settings import Settings
from .store import RETRIES, Store

settings = read_settings(Settings, os.environ)
store = Store(make_client("s3", client_config(retries=RETRIES)), settings.viewer_bucket)
handler = build_handler(store, settings.content_security_policy, Logger())
start_up.finish()
