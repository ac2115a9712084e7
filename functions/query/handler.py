"""Builds the function from its environment and its clients, and does nothing else."""

from runtime import start_up

# isort: split
import json
import os
import time
from concurrent.futures import ThreadPoolExecutor

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit

from registry.archive_index import Index
from registry.jobs import DamagedRecordError
from runtime.aws_clients import client_config, make_client
from runtime.environment import read_settings

from .app import build_handler
from .archive_reader import ArchiveReader
from .current_tips import CurrentTips
from .history import History
from .service import Service
from .settings import Settings
from .store import Store

WORKERS = 16
"""How many tips are read at once."""

settings = read_settings(Settings, os.environ)
# A page of history is up to a megabyte, from DynamoDB or S3: one second more than the default.
config = client_config(read_timeout_s=5, connections=WORKERS)
logger = Logger()
dynamodb = make_client("dynamodb", config)
store = Store(dynamodb, settings.log_table, settings.registry_table)
functions = make_client("lambda", config)


def erase(job: str) -> None:
    """Ask the function archive to erase a deleted job. The call returns at once."""
    payload = json.dumps({"erase": job}).encode()
    functions.invoke(FunctionName=settings.archive_function, InvocationType="Event", Payload=payload)


def now_ms() -> int:
    """Return the time of day in milliseconds."""
    return time.time_ns() // 1_000_000


archive = ArchiveReader(
    Index(dynamodb, settings.registry_table),
    lambda: make_client("s3", config),
    settings.archive_bucket,
    now_ms,
)
current_tips = CurrentTips(store, ThreadPoolExecutor(WORKERS), logger)
metrics = Metrics()


def note_damaged(error: DamagedRecordError) -> None:
    """Log and count a record that cannot be shown: the job is missing in a list, and operators should know."""
    logger.error("a job's record is damaged", extra={"job": error.job, "problem": error.problem})
    metrics.add_metric(name="RecordsDamaged", unit=MetricUnit.Count, value=1)


service = Service(
    store,
    History(store, archive, now_ms),
    current_tips,
    origins=settings.viewer_origins,
    erase=erase,
    now_ms=now_ms,
    note_damaged=note_damaged,
)
handler = build_handler(service, logger, metrics)
start_up.finish()
