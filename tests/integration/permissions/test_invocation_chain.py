"""Test on the emulator, which counts a chain's invocations as Lambda does, that archive goes on past sixteen.

The emulator's CloudFormation ignores `RecursiveLoop`, so the test sets what the template says.
"""

import io
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.support import templates
from tests.support.stacks import Stack

from logferry_local import deployment
from logferry_local.checkout import find_checkout
from logferry_local.polling import wait_until
from registry import items

pytestmark = pytest.mark.cloud

HASTE = {"archive/app.py": (b"BUDGET_S: Final = 60.0", b"BUDGET_S: Final = 0.0")}
BATCHES = 500
"""Of which an invocation erases 25."""


def packed(folder: Path, changes: dict[str, tuple[bytes, bytes]]) -> bytes:
    """Return a function's built code as a ZIP file, with parts of files replaced."""
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w") as archive:
        for path in sorted(folder.rglob("*")):
            name = str(path.relative_to(folder))
            if path.is_file() and "__pycache__" not in path.parts:
                content = path.read_bytes()
                if name in changes:
                    assert changes[name][0] in content
                    content = content.replace(*changes[name])
                archive.writestr(name, content)
    return written.getvalue()


@pytest.fixture
def hasty_archive(stack: Stack, tmp_path: Path) -> Iterator[str]:
    """Provide the function archive, whose time is up after each step."""
    checkout = find_checkout()
    built, _ = deployment.build(checkout, deployment.this_machine(checkout), tmp_path / "build.log")
    client, name = stack.client("lambda"), stack.physical["Archive"]
    client.update_function_code(FunctionName=name, ZipFile=packed(built.parent / "Archive", HASTE))
    yield name
    client.update_function_code(FunctionName=name, ZipFile=packed(built.parent / "Archive", {}))
    client.put_function_recursion_config(FunctionName=name, RecursiveLoop="Terminate")


def put_deleted_job(stack: Stack, job: str) -> None:
    dynamodb = stack.client("dynamodb")
    record = {"job": job, "owner": "team", "tip": BATCHES, "deleted": 1_764_000_000_000}
    dynamodb.put_item(TableName=stack.outputs["RegistryTable"], Item={**items.job_key(job), **items.to_item(record)})
    puts = [
        {"PutRequest": {"Item": items.to_item({"job": job, "first": first, "count": 1, "raw": 1, "body": b"x"})}}
        for first in range(1, BATCHES + 1)
    ]
    for at in range(0, BATCHES, 25):
        dynamodb.batch_write_item(RequestItems={stack.outputs["LogTable"]: puts[at : at + 25]})


def record_of(stack: Stack, job: str) -> dict[str, Any]:
    answer = stack.client("dynamodb").get_item(TableName=stack.outputs["RegistryTable"], Key=items.job_key(job))
    return items.from_item(answer["Item"])


def dropped(stack: Stack) -> float:
    """Return how many invocations the emulator refused because their chain was too long."""
    statistics = stack.client("cloudwatch").get_metric_statistics(
        Namespace="AWS/Lambda", MetricName="RecursiveInvocationsDropped", Statistics=["Sum"], Period=3600,
        StartTime="2020-01-01T00:00:00Z", EndTime="2100-01-01T00:00:00Z",
        Dimensions=[{"Name": "FunctionName", "Value": stack.physical["Archive"]}],
    )  # fmt: skip
    return sum(float(point["Sum"]) for point in statistics["Datapoints"])


def test_erasing_goes_on_where_lambda_would_end_the_chain(stack: Stack, hasty_archive: str) -> None:
    """One event erases a job in twenty invocations. Without the template's setting, the emulator drops the 17th."""
    client, job = stack.client("lambda"), f"web.{'b' * 64}"
    put_deleted_job(stack, job)
    template = templates.load("template.yaml")
    setting = templates.Resolver(template, {}).resolve(template["Resources"]["Archive"]["Properties"]["RecursiveLoop"])
    client.put_function_recursion_config(FunctionName=hasty_archive, RecursiveLoop=setting)
    client.invoke(FunctionName=hasty_archive, InvocationType="Event", Payload=json.dumps({"erase": job}).encode())
    assert wait_until(lambda: "erased" in record_of(stack, job) or dropped(stack) > 0, timeout_s=120.0)
    assert dropped(stack) == 0
    assert record_of(stack, job)["erased_batches"] == BATCHES
