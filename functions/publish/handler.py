"""Builds the function from its environment and its clients, and does nothing else."""

import os
from pathlib import Path

import boto3
from aws_lambda_powertools import Logger

from runtime.environment import read_settings

from .app import build_handler
from .settings import Settings
from .store import Store

settings = read_settings(Settings, os.environ)
cloudfront = boto3.client("cloudfront") if settings.distribution else None
store = Store(boto3.client("s3"), cloudfront, settings.viewer_bucket, settings.distribution)
handler = build_handler(store, Path(__file__).parents[1] / "viewer", Logger())
