"""Builds the function from its environment and its clients, and does nothing else."""

from runtime import start_up

# isort: split
import os
from concurrent.futures import ThreadPoolExecutor

from aws_lambda_powertools import Logger, Metrics

from runtime.aws_clients import client_config, make_client
from runtime.environment import read_settings
from runtime.websocket_push import make_close, make_post

from .app import build_handler
from .delivery import Clock, Delivery
from .settings import Settings
from .store import Store

WORKERS = 64
"""How many viewers are sent to at once. Pool and threads need the same size: the smaller of the two is the limit."""

settings = read_settings(Settings, os.environ)
# A viewer waits for each line, and a slow connection occupies a worker. So each try is short, and `delivery` retries
# pushes itself, within a second in all.
push_config = client_config(connect_timeout_s=1, read_timeout_s=2, retries=0, connections=WORKERS)
viewers = make_client("apigatewaymanagementapi", push_config, endpoint_url=settings.viewers_endpoint)
agents = make_client("apigatewaymanagementapi", push_config, endpoint_url=settings.agents_endpoint)
dynamodb = make_client("dynamodb", client_config(connect_timeout_s=1, read_timeout_s=2, connections=WORKERS))

logger = Logger()
store = Store(dynamodb, settings.registry_table)
closers = {"viewer": make_close(viewers), "agent": make_close(agents)}
delivery = Delivery(
    store, make_post(viewers), ThreadPoolExecutor(WORKERS), logger, close=closers["viewer"], clock=Clock()
)
functions = make_client("lambda", push_config)


def fan_out(part: bytes) -> None:
    """Invoke this function with a part of the subscribers. The call returns at once."""
    functions.invoke(FunctionName=os.environ["AWS_LAMBDA_FUNCTION_NAME"], InvocationType="Event", Payload=part)


handler = build_handler(store, delivery, closers, logger, Metrics(), fan_out=fan_out)
start_up.finish()
