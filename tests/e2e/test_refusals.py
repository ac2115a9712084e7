"""Test on the deployed template that agents, commands and WebSockets without rights get a clear sentence only."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable

import boto3
import httpx
import pytest
from tests.e2e.conftest import PATIENCE_S, Agent, Cloud, Containers, following, wait_for
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from logferry_protocol import messages

pytestmark = [pytest.mark.cloud, pytest.mark.timeout(600)]

WRONG = "abcdefghijkl_" + "A" * 43


def refused(cloud: Cloud, *words: str, key: str, says: str) -> None:
    """Check that the command ends with one line that says why, and prints nothing else."""
    done = cloud.logferry(*words, check=False, LOGFERRY_VIEWER_KEY=key)
    told = done.stderr.decode()
    assert (done.returncode, done.stdout) == (1, b"")
    assert len(told.splitlines()) == 1, told
    assert says in told


@pytest.fixture(scope="module")
def other(cloud: Cloud) -> str:
    """Provide the key of a viewer who owns nothing here."""
    made = cloud.logferry("keys", "create", "viewer", "other", "--subject", "somebody@example.com")
    return made.stdout.decode().strip()


@pytest.fixture
def job(cloud: Cloud, containers: Containers, make_agent: Callable[..., Agent]) -> str:
    """Provide a job of the owner `local`."""
    make_agent()
    name = containers.run("secret", "echo secret")
    return cloud.ended(name)


def test_wrong_key_is_refused(cloud: Cloud) -> None:
    """The deployed authorizers refuse it; tests/integration/cli checks each command's message."""
    for words in (["jobs"], ["tail", "-f", "any"]):
        refused(cloud, *words, key=f"lfv_{WRONG}", says="The viewer key was refused")


@pytest.mark.engine
def test_another_owners_job_is_hidden(cloud: Cloud, job: str, other: str) -> None:
    """It is not in the list, not found by id or name, and not subscribable; its owner reads it."""
    assert cloud.logferry("export", job, "--format", "text").stdout == b"secret\n"
    listed = cloud.logferry("jobs", "--json", LOGFERRY_VIEWER_KEY=other)
    assert listed.stdout == b"[]\n"
    refused(cloud, "export", job, "--format", "jsonl", key=other, says="no such job")
    asyncio.run(_subscription_is_refused(cloud, job, other))


async def _subscription_is_refused(cloud: Cloud, job: str, key: str) -> None:
    url = f"{cloud.state.viewers_url}?v=1&ticket={_ticket(cloud, key)}"
    async with connect(url) as socket:
        await socket.send(messages.encode(messages.Subscribe(id="1", job=job)))
        answer = messages.decode(await asyncio.wait_for(socket.recv(), 60), messages.TO_VIEWER)
        assert isinstance(answer, messages.Error)
        assert answer.code == "not_found"


def test_ticket_works_once_and_expires(cloud: Cloud) -> None:
    """Used, expired, missing and invented tickets are refused at the handshake."""
    used, expired = _ticket(cloud, cloud.keys.viewer_key), _ticket(cloud, cloud.keys.viewer_key)
    table = boto3.resource(
        "dynamodb",
        endpoint_url=cloud.state.endpoint_url,
        region_name=cloud.state.region,
        aws_access_key_id=cloud.state.access_key,
        aws_secret_access_key="test",
    ).Table(cloud.state.tables.registry)
    table.update_item(
        Key={"pk": f"TICKET#{hashlib.sha256(expired.encode()).hexdigest()}", "sk": "TICKET"},
        UpdateExpression="SET #until = :past",
        ConditionExpression="attribute_exists(#until)",
        ExpressionAttributeNames={"#until": "until"},
        ExpressionAttributeValues={":past": 1},
    )
    assert asyncio.run(_handshake(cloud, used)) == 101
    for ticket in (used, expired, "invented", None):
        assert asyncio.run(_handshake(cloud, ticket)) in {401, 403}


async def _handshake(cloud: Cloud, ticket: str | None) -> int:
    url = f"{cloud.state.viewers_url}?v=1" + (f"&ticket={ticket}" if ticket else "")
    try:
        async with connect(url):
            return 101
    except InvalidStatus as refusal:
        return refusal.response.status_code


def _ticket(cloud: Cloud, key: str) -> str:
    def ask() -> httpx.Response | None:
        headers = {"Authorization": f"Bearer {key}"}
        answer = httpx.post(f"{cloud.state.http_url}/api/tickets", headers=headers, timeout=60)
        return None if answer.status_code >= 500 else answer

    answer = wait_for(ask, "a ticket")
    answer.raise_for_status()
    return str(answer.json()["ticket"])


@pytest.mark.engine
def test_revoked_key_closes_its_connections(
    cloud: Cloud, containers: Containers, make_agent: Callable[..., Agent]
) -> None:
    """The follower is disconnected with a sentence and cannot reconnect."""
    made = cloud.logferry("keys", "create", "viewer", "leaver", "--group", "local")
    key = made.stdout.decode().strip()
    make_agent()
    name = containers.run("long", "echo first; exec sleep 300")
    cloud.job_of(name)
    with following(cloud, name, LOGFERRY_VIEWER_KEY=key) as tail:
        assert tail.stdout is not None
        assert tail.stdout.readline() == b"first\n"
        cloud.logferry("keys", "revoke", key)
        _, told = tail.communicate(timeout=PATIENCE_S)
    last = told.decode().splitlines()[-1]
    assert tail.returncode == 1
    assert "refused" in last or "ended" in last
    refused(cloud, "jobs", key=key, says="The viewer key was refused")


@pytest.mark.engine
def test_agent_with_a_wrong_key_reports_it_and_writes_nothing(
    cloud: Cloud, containers: Containers, make_agent: Callable[..., Agent]
) -> None:
    """The container's lines wait in the spool; the log says what is wrong."""
    agent = make_agent(refused=True, LOGFERRY_AGENT_KEY=f"lfa_{WRONG}")
    name = containers.run("kept", "echo kept")
    wait_for(lambda: "403" in agent.log or "refused" in agent.log, "the refusal in the agent's log")
    assert WRONG not in agent.log
    assert cloud.get("/api/jobs", name=name)["jobs"] == []
