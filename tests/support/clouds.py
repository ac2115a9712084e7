"""Provide the two clouds that stores are tested against: moto in this process, and MiniStack over the network."""

import contextlib
import functools
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import yaml
from moto import mock_aws
from tests.support import recording_ministack

from logferry_local import emulator
from logferry_local.checkout import find_checkout
from logferry_local.polling import wait_until
from logferry_local.ports import free_port
from logferry_state.processes import is_running, spawn, stop
from logferry_state.state import ProcessIdentity

REGION = "eu-west-1"
ROOT = Path(__file__).parents[2]
SECRETS: dict[str, Any] = {"aws_access_key_id": "test", "aws_secret_access_key": "test", "region_name": REGION}


@dataclass(frozen=True)
class Tables:
    """A cloud's DynamoDB with both tables, empty."""

    dynamodb: Any
    log: str
    registry: str


class _Loader(yaml.SafeLoader):
    """Read the template without interpreting its functions."""


_Loader.add_multi_constructor("!", lambda loader, suffix, node: None)


@functools.cache  # reading the template takes half a second
def table_definitions() -> dict[str, dict[str, Any]]:
    """Return the template's own tables, as `create_table` takes them."""
    kept = ("BillingMode", "AttributeDefinitions", "KeySchema", "GlobalSecondaryIndexes")
    resources = yaml.load((ROOT / "template.yaml").read_text(), _Loader)["Resources"]
    return {
        name: {key: value for key, value in resources[name]["Properties"].items() if key in kept}
        for name in ("LogTable", "RegistryTable")
    }


@contextlib.contextmanager
def tables(dynamodb: Any, prefix: str) -> Iterator[Tables]:
    """Create both tables for one test, and delete them afterwards."""
    names = {name: f"{prefix}-{name}" for name in table_definitions()}
    for name, definition in table_definitions().items():
        dynamodb.create_table(TableName=names[name], **definition)
    try:
        yield Tables(dynamodb, names["LogTable"], names["RegistryTable"])
    finally:
        for name in names.values():
            dynamodb.delete_table(TableName=name)


@contextlib.contextmanager
def moto_dynamodb() -> Iterator[Any]:
    """Provide DynamoDB in this process."""
    with mock_aws():
        yield boto3.client("dynamodb", **SECRETS)


@contextlib.contextmanager
def ministack(record: Path | None = None) -> Iterator[str]:
    """Run a private MiniStack as its users start it (`test` is its root).

    Yield its address and leave nothing behind. `record`: the file to which what IAM decides is written; then it knows
    `dynamodb:LeadingKeys` as well.
    """
    with tempfile.TemporaryDirectory(prefix="lf-stores-") as folder:
        port = free_port()
        process = start_ministack(Path(folder), port, record)
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            stop(process)


def start_ministack(folder: Path, port: int, record: Path | None = None) -> ProcessIdentity:
    """Start a plain MiniStack on the data of a state folder, and wait until it answers."""
    # If its TMPDIR is missing, Python uses /tmp, and the functions' files would stay there.
    (folder / "cloud" / "tmp").mkdir(parents=True, exist_ok=True)
    checkout = find_checkout()
    program = ["-m", "ministack"] if record is None else ["-P", str(recording_ministack.__file__)]
    process = spawn(
        [checkout.cloud_python, *program],
        log=folder / "ministack.log",
        env=emulator.environment(folder, port, checkout, os.environ) | {"IAM_RECORD": str(record)},
        cwd=folder / "cloud",
    )
    address = f"http://127.0.0.1:{port}"
    wait_until(lambda: emulator.answers(address) or not is_running(process), timeout_s=60)
    assert emulator.answers(address), (folder / "ministack.log").read_text()
    return process
