"""Test `logferry verify --engine` with a real agent and engine, and a cloud in which lines are deleted and changed."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from typing import Any

import pytest
from docker.types import LogConfig
from tests.e2e.conftest import Agent, Cloud, Containers, wait_for

from logferry_local.aws import LocalAws
from logferry_protocol.batch import decode_body, encode_body
from logferry_protocol.encoding import digest_of
from registry import items

pytestmark = [pytest.mark.engine, pytest.mark.cloud, pytest.mark.timeout(600)]

LINES = 3_000
SCRIPT = f"""awk 'BEGIN {{
    for (i = 1; i <= {LINES}; i++) {{
        line = i " äöü"
        for (j = 0; j < 10; j++) line = line sprintf(" %08d", rand() * 100000000)
        if (i % 3 == 0) print line > "/dev/stderr"; else print line
        if (i == 700) {{ while (length(line) < 40000) line = line line; print line }}
    }}
}}'; sleep 600"""
"""Numbers that fill several batches, and one long line. The archive gets the job only when the container ends."""
TRACES = (
    "i=1; while [ $i -le 40 ]; do echo \"failed $i\"; echo '  at one'; echo '  at two'; "
    'echo "postgres://me:hunter$i@db/x"; i=$((i + 1)); done'
)


class Table:
    """The log table, in which a test changes what is stored."""

    def __init__(self, cloud: Cloud) -> None:
        self._client = LocalAws(cloud.state.endpoint_url, access_key=cloud.state.access_key).client("dynamodb")
        self._name = cloud.state.tables.log

    def batches(self, job: str) -> list[dict[str, Any]]:
        pages = self._client.get_paginator("query").paginate(
            TableName=self._name, KeyConditionExpression="job = :job", ExpressionAttributeValues={":job": {"S": job}}
        )
        return [items.from_item(item) for page in pages for item in page["Items"]]

    def delete(self, batch: dict[str, Any]) -> None:
        key = {"job": {"S": batch["job"]}, "first": {"N": str(batch["first"])}}
        self._client.delete_item(TableName=self._name, Key=key)

    def change_first_line(self, batch: dict[str, Any], text: str) -> str:
        """Write another text into a batch, as sound as the true one; return the true text."""
        columns = decode_body(batch["body"])
        index = next(at for at, character in enumerate(columns.streams) if character in "oe")
        texts = [*columns.texts[:index], text, *columns.texts[index + 1 :]]
        body = encode_body(columns.times, columns.streams, texts)
        changed = {
            **batch, "body": body, "digest": digest_of(body), "raw": sum(len(one.encode()) for one in texts),
        }  # fmt: skip
        self._client.put_item(TableName=self._name, Item=items.to_item(changed))
        return columns.texts[index]


def verified(cloud: Cloud, name: str, *words: str) -> subprocess.CompletedProcess[bytes]:
    return cloud.logferry("verify", name, "--engine", *words, check=False)


def test_every_line_of_the_engine_is_compared(
    cloud: Cloud, containers: Containers, make_agent: Callable[..., Agent]
) -> None:
    """Both streams are the same; a deleted batch and a changed line are found, and named."""
    make_agent()
    name = containers.run("compared", SCRIPT)
    job = cloud.job_of(name)
    wait_for(lambda: cloud.tip(job) >= LINES + 4, "all lines")
    done = verified(cloud, name)
    assert done.returncode == 0, done.stdout.decode()
    assert "equal: 2,001 lines of stdout, 1,000 of stderr" in done.stdout.decode()
    assert "✓ the same: everything that the engine still has is stored" in done.stdout.decode()

    table = Table(cloud)
    batches = table.batches(job)
    assert len(batches) >= 3
    deleted, changed = batches[len(batches) // 2], batches[-1]
    lost = sum(character in "oe" for character in decode_body(deleted["body"]).streams)
    table.delete(deleted)
    true = table.change_first_line(changed, "a line that nobody wrote")
    done = verified(cloud, name, "--json")
    report = json.loads(done.stdout)["engine"]
    assert (done.returncode, report["same"]) == (1, False)
    assert report["missing_lines"] == lost
    assert (report["changed_lines"], report["extra_lines"], report["unstored"]) == (1, 0, 0)
    assert (report["changed"][0]["engine"], report["changed"][0]["stored"]) == (true, "a line that nobody wrote")


@pytest.mark.slow
def test_what_the_agent_does_with_lines_is_explained(
    cloud: Cloud, containers: Containers, make_agent: Callable[..., Agent]
) -> None:
    """Redaction, merging, and a rate limit with its gap."""
    make_agent(LOGFERRY_REDACT="all", LOGFERRY_MERGE_START=r"^\S")
    name = containers.run("processed", TRACES)
    limited = containers.run("limited", "seq 1 2000", labels={"logferry.rate-limit": "50"})
    cloud.ended(name)
    done = verified(cloud, name)
    assert done.returncode == 0, done.stdout.decode()
    assert "redacted: 40 more differ only where the agent hid a secret" in done.stdout.decode()
    assert "merged: 80 stored lines are in one entry with the line before them" in done.stdout.decode()
    cloud.ended(limited)
    done = verified(cloud, limited)
    assert done.returncode == 0, done.stdout.decode()
    assert "lines of the engine are not stored, and the job says why: gap at " in done.stdout.decode()


@pytest.mark.slow
def test_engines_limits_are_named(cloud: Cloud, containers: Containers, make_agent: Callable[..., Agent]) -> None:
    """What it has rotated away is no difference; a container that it does not have cannot be compared."""
    make_agent()
    small = LogConfig(type="json-file", config={"max-size": "20k", "max-file": "2"})
    name = containers.run(
        "rotated", "i=1; while [ $i -le 100 ]; do seq 1 20; sleep 0.02; i=$((i + 1)); done", log_config=small
    )
    cloud.ended(name)
    done = verified(cloud, name)
    text = done.stdout.decode()
    assert "max-size=20k, max-file=2" in text
    assert "the engine no longer has " in text
    assert "✗ missing" not in text
    assert done.returncode == 0, text
    containers.remove()
    done = verified(cloud, name)
    assert (done.returncode, done.stdout) == (1, b"")
    assert b"This host's engine has no container" in done.stderr
