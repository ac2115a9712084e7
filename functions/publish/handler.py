"""Builds the function from its environment and its clients, and does nothing else."""

from runtime import start_up

# isort: split
import os
from pathlib import Path

from aws_lambda_powertools import Logger

from runtime.aws_clients import make_client
from runtime.environment import read_settings

from .app import build_handler
from .settings import Settings
from .store import Store

settings = read_settings(Settings, os.environ)
cloudfront = make_client("cloudfront") if settings.distribution else None
store = Store(make_client("s3"), cloudfront, settings.viewer_bucket, settings.distribution)
handler = build_handler(store, Path(__file__).parents[1] / "viewer", Logger())
start_up.finish()
