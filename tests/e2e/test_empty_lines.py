"""Test the job whose pages were too large for Lambda: empty lines, stored and exported through everything.

The strict gateway stands before the HTTP API, and notes an answer that Lambda would not give.
"""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Iterator

import httpx
import pytest
from tests.e2e.conftest import Cloud
from tests.support.lambda_limits import ANSWER_BYTES

from logferry_cli.export import rfc3339
from logferry_cli.local_cloud import AGENT_NAME
from logferry_cli.probe import agents_socket
from logferry_protocol import messages
from logferry_protocol.batch import encode_body
from logferry_protocol.encoding import digest_of
from logferry_protocol.job import Container, LifeCycle, job_id
from logferry_protocol.limits import MAX_BATCH_ENTRIES

pytestmark = [pytest.mark.cloud, pytest.mark.timeout(3_600)]

START_US = 1_764_000_000_000_000


async def store_empty_lines(cloud: Cloud, lines: int) -> str:
    """Store a job of empty lines, a microsecond apart, in the largest batches, as an agent does; return its id."""
    container = secrets.token_hex(32)
    async with agents_socket(cloud.state.agents_url, cloud.keys.agent_key, 180) as agent:
        job = messages.OpenJob(
            job=container, container=Container(name="empty", image="i", host="h"), life=LifeCycle(state="running")
        )
        await agent.send(messages.Open(id="open", instance="empty", jobs=[job]))
        await agent.receive(messages.Opened, "the answer to open")
        for first in range(1, lines + 1, MAX_BATCH_ENTRIES):
            count = min(MAX_BATCH_ENTRIES, lines + 1 - first)
            times = range(START_US + first, START_US + first + count)
            body = encode_body(times, "o" * count, [""] * count)
            batch = messages.Batch(
                job=container, first=first, count=count, start=times[0], end=times[-1], raw=0, digest=digest_of(body),
                cursor="", body=body,
            )  # fmt: skip
            await agent.send(messages.Ingest(id=f"i{first}", batches=[batch]))
            (result,) = (await agent.receive(messages.Ingested, "the answer to ingest")).results
            assert result.outcome == "stored", result
    return job_id(AGENT_NAME, container)


def expected(job: str, lines: int) -> Iterator[str]:
    for sequence in range(1, lines + 1):
        yield (
            f'{{"jobId":"{job}","timestamp":"{rfc3339(START_US + sequence)}","stream":"stdout","line":"",'
            f'"sequence":{sequence}}}'
        )


def pages(cloud: Cloud, job: str, form: str) -> Iterator[str]:
    """Yield the pages of the HTTP API's export."""
    after: str | None = "0"
    with httpx.Client(headers={"Authorization": f"Bearer {cloud.keys.viewer_key}"}, timeout=120) as client:
        while after is not None:
            answer = client.get(
                f"{cloud.state.http_url}/api/jobs/{job}/export", params={"format": form, "after": after}
            )
            assert answer.status_code == 200, answer.text
            yield answer.text
            after = answer.headers.get("logferry-next")


@pytest.mark.parametrize("lines", [50_000, pytest.param(1_000_000, marks=pytest.mark.slow)])
async def test_empty_lines_are_exported_whole(cloud: Cloud, lines: int) -> None:
    """By the command, and page by page from the HTTP API; each page fits into Lambda's answer."""
    earlier = cloud.gateway.state()["violations"]  # other tests of this cloud break it on purpose
    began = time.monotonic()
    job = await store_empty_lines(cloud, lines)
    stored = time.monotonic()
    exported = cloud.logferry("export", job, "--format", "jsonl").stdout.decode().splitlines()
    read = time.monotonic()
    assert len(exported) == lines
    assert all(line == wanted for line, wanted in zip(exported, expected(job, lines), strict=True))
    assert cloud.logferry("export", job, "--format", "text").stdout == b"\n" * lines

    sizes: list[int] = []
    at = 0
    for page in pages(cloud, job, "jsonl"):
        sizes.append(len(json.dumps(page)))
        for line in page.splitlines():
            assert line == exported[at]
            at += 1
    assert at == lines
    assert max(sizes) < ANSWER_BYTES
    assert "".join(pages(cloud, job, "text")) == "\n" * lines
    assert cloud.gateway.state()["violations"] == earlier
    print(
        f"{lines:,} lines: stored in {stored - began:.0f} s, exported by the command in {read - stored:.0f} s, "
        f"in {len(sizes)} pages of {min(sizes):,} to {max(sizes):,} bytes in {time.monotonic() - read:.0f} s"
    )
