"""Builds the function from its environment and its clients, and does nothing else."""

import os

import boto3
from aws_lambda_powertools import Logger

from runtime.aws_clients import client_config
from runtime.environment import read_settings

from .app import build_handler
from .settings import Settings
from .store import Store

settings = read_settings(Settings, os.environ)
store = Store(boto3.client("s3", config=client_config()), settings.viewer_bucket)
handler = build_handler(store, settings.content_security_policy, Logger())
