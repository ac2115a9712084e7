"""Test an agent that signs in as its host's AWS role: the real handshake, the cloud's check, and STS.

The connections are real WebSockets. The functions run in this process behind the strict gateway, with the template's
routes.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.support import clouds
from tests.support.cloud import AGENTS, VIEWERS, Cloud, cloud
from tests.support.gateway import StrictGateway
from tests.support.gateway.functions import HandlerFunctions
from tests.support.gateway.template import read_template
from tests.support.pipeline_harness import GeneratedReader, PipelineHarness, job_id, line
from tests.support.sts import BARE, MiniStackSts, SignatureCheckingSts, metadata_server, random_credentials

from connect.aws_identity import Ask, caller, parse
from connect.core import Caller, Refusal
from logferry_agent.settings import load
from logferry_protocol.batch import decode_body
from registry import items

TEMPLATE = Path(__file__).parents[3] / "template.yaml"
REGION = "eu-west-1"
FLEET = "arn:aws:iam::123456789012:role/Fleet"
LINES = 120


@pytest.fixture(scope="module")
def dynamodb() -> Iterator[Any]:
    with clouds.moto_dynamodb() as client:
        yield client


@pytest.fixture(scope="module")
def ministack() -> Iterator[str]:
    with clouds.ministack() as address:
        yield address


@pytest.fixture
def backend(dynamodb: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cloud]:
    """Provide the functions and their tables; the agent principal `fleet` has neither key nor role yet."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name, value in BARE.items():
        monkeypatch.setenv(name, value)
    with cloud(dynamodb) as made:
        made.put("PRINCIPAL#fleet", "PRINCIPAL", kind="agent", name="fleet", owner="ops")
        yield made


@pytest.fixture
async def gateway(backend: Cloud) -> AsyncIterator[StrictGateway]:
    functions = HandlerFunctions(
        {"Connect": lambda event: backend.connect(event, None), "Ingest": lambda event: backend.ingest(event, None)}
    )
    ids = {"Agents": AGENTS, "Viewers": VIEWERS}
    async with StrictGateway(read_template(TEMPLATE), functions, ids=ids) as running:
        yield running


def use_sts(backend: Cloud, sts: Ask) -> None:
    """Make the function connect ask this STS."""

    def identify(token: str) -> Caller | Refusal:
        request = parse(token, (REGION,), datetime.now(UTC))
        return request if isinstance(request, Refusal) else caller(request, AGENTS, sts)

    backend.identify = identify


def set_credentials(monkeypatch: pytest.MonkeyPatch, variables: dict[str, str]) -> None:
    monkeypatch.delenv("AWS_EC2_METADATA_DISABLED")
    for name, value in variables.items():
        monkeypatch.setenv(name, value)


@asynccontextmanager
async def agent(gateway: StrictGateway, folder: Path, **settings: str) -> AsyncIterator[PipelineHarness]:
    """Run the agent's pipeline, which signs in as its settings say."""
    flags = {"agents_url": gateway.address("Agents"), "aws_identity": "true", "aws_region": REGION} | settings
    flags = {"aws_audience": AGENTS, "spool_dir": str(folder)} | flags
    rig = PipelineHarness(flags["agents_url"], folder, GeneratedReader(1, LINES), credential=load(flags).credential())
    await asyncio.to_thread(rig.__enter__)
    try:
        yield rig
    finally:
        await asyncio.to_thread(rig.stop, 0.5)


async def until(condition: Callable[[], Any]) -> None:
    async with asyncio.timeout(60):
        while not await asyncio.to_thread(condition):
            await asyncio.sleep(0.05)


def stored(backend: Cloud) -> list[str]:
    """Return every line of the one job, owned by the principal that the role maps to."""
    job = {":job": {"S": f"fleet.{job_id(0)}"}}
    found = backend.tables.dynamodb.query(
        TableName=backend.tables.log, KeyConditionExpression="job = :job", ExpressionAttributeValues=job
    )
    return [text for item in found["Items"] for text in decode_body(items.from_item(item)["body"]).texts]


EVERYTHING = [line(0, index) for index in range(LINES)]


@pytest.mark.parametrize("kind", ["ecs", "ec2"])
@pytest.mark.parametrize("sts", ["double", pytest.param("ministack", marks=pytest.mark.cloud)])
async def test_agent_without_secret_ships_as_its_host_role(
    sts: str,
    kind: str,
    backend: Cloud,
    gateway: StrictGateway,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
) -> None:
    """Credentials come from where ECS and EC2 provide them. STS recomputes the signature, audience included."""
    if sts == "ministack":
        real = MiniStackSts(await asyncio.to_thread(request.getfixturevalue, "ministack"))
        credentials = await asyncio.to_thread(real.credentials, f"Fleet-{kind}")
        use_sts(backend, real)
        role = "arn:aws:iam::" + credentials.arn.split(":")[4] + f":role/Fleet-{kind}"
    else:
        credentials, role = random_credentials(), FLEET
        use_sts(backend, SignatureCheckingSts([credentials]))
    backend.put(f"ROLE#{role}", "ROLE", principal="fleet")
    with metadata_server(credentials) as server:
        set_credentials(monkeypatch, server.environment(kind))
        async with agent(gateway, tmp_path):
            await until(lambda: stored(backend) == EVERYTHING)
    assert gateway.violations == []


@pytest.mark.cloud
async def test_token_for_another_audience_is_refused(
    backend: Cloud, gateway: StrictGateway, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ministack: str
) -> None:
    """The token is for another deployment. The refusal proves that this STS, too, signs over the audience header."""
    sts = MiniStackSts(ministack)
    credentials = await asyncio.to_thread(sts.credentials, "Fleet-elsewhere")
    use_sts(backend, sts)
    role = "arn:aws:iam::" + credentials.arn.split(":")[4] + ":role/Fleet-elsewhere"
    backend.put(f"ROLE#{role}", "ROLE", principal="fleet")
    set_credentials(monkeypatch, credentials.environment())
    async with agent(gateway, tmp_path, aws_audience="another") as rig:
        await until(lambda: rig.socket.status.refused)
    async with agent(gateway, tmp_path):
        await until(lambda: stored(backend) == EVERYTHING)


@pytest.mark.parametrize("why", ["not mapped", "mapping revoked", "principal revoked", "no agent", "unknown to AWS"])
async def test_refused_role_is_reported_and_shipping_resumes_once_allowed(
    why: str, backend: Cloud, gateway: StrictGateway, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The report is readable. Lines read meanwhile go to the spool."""
    credentials = random_credentials()
    sts = SignatureCheckingSts([] if why == "unknown to AWS" else [credentials])
    use_sts(backend, sts)
    set_credentials(monkeypatch, credentials.environment())
    if why != "not mapped":
        backend.put(f"ROLE#{FLEET}", "ROLE", principal="fleet", revoked=1 if why == "mapping revoked" else None)
    if why in {"principal revoked", "no agent"}:
        kind, revoked = ("viewer", None) if why == "no agent" else ("agent", 1)
        backend.put("PRINCIPAL#fleet", "PRINCIPAL", kind=kind, name="fleet", revoked=revoked)
    async with agent(gateway, tmp_path) as rig:
        await until(lambda: rig.socket.status.refused)
        said = rig.socket.status.error or ""
        assert "does not accept this host's AWS role" in said
        assert f"credentials: env; STS of {REGION}; deployment {AGENTS}" in said
        await until(lambda: [job["waiting"] for job in rig.pipeline.report()] == [LINES])
        assert stored(backend) == []
        sts.known.append(credentials)
        backend.put(f"ROLE#{FLEET}", "ROLE", principal="fleet")
        backend.put("PRINCIPAL#fleet", "PRINCIPAL", kind="agent", name="fleet", owner="ops")
        await until(lambda: stored(backend) == EVERYTHING)
        assert rig.socket.status.connected


async def test_missing_credentials_are_reported_and_retried(
    backend: Cloud, gateway: StrictGateway, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The instance's role may arrive after boot, so nothing has to be restarted."""
    credentials = random_credentials()
    use_sts(backend, SignatureCheckingSts([credentials]))
    backend.put(f"ROLE#{FLEET}", "ROLE", principal="fleet")
    async with agent(gateway, tmp_path) as rig:
        await until(lambda: rig.socket.status.refused)
        assert "no AWS credentials were found" in (rig.socket.status.error or "")
        set_credentials(monkeypatch, credentials.environment())
        await until(lambda: stored(backend) == EVERYTHING)


async def test_each_handshake_gets_a_fresh_signature(
    backend: Cloud, gateway: StrictGateway, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A token is valid for 15 minutes, and an agent runs for months."""
    first, second = random_credentials(life=timedelta(minutes=5)), random_credentials()
    sts = SignatureCheckingSts([first, second])
    use_sts(backend, sts)
    backend.put(f"ROLE#{FLEET}", "ROLE", principal="fleet")
    with metadata_server(first) as server:
        set_credentials(monkeypatch, server.environment("ecs"))
        async with agent(gateway, tmp_path) as rig:
            await until(lambda: stored(backend) == EVERYTHING)
            server.credentials = second
            for client in list(gateway.clients.values()):
                client.cut()
            await until(lambda: rig.socket.connects == 2)
    assert sts.presented == [first.access_key, second.access_key]
