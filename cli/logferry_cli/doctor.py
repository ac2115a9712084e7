"""`logferry doctor`: check each part of a deployment, and report which one fails and what to do."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import asdict, dataclass
from time import monotonic, time_ns
from typing import Annotated, Final

import typer
from botocore.exceptions import BotoCoreError, ClientError

from logferry_cli import archive_health, probe
from logferry_cli.api import Api, TransientError
from logferry_cli.deployment import Deployment, StackOption, find_deployment
from logferry_cli.export import damage
from logferry_cli.options import StateOption
from logferry_cli.problems import Problem
from logferry_cli.reader import Damaged, Reader
from logferry_cli.registry import Registry, credential_of
from logferry_cli.target import (
    ApiUrlOption,
    InsecureOption,
    Target,
    ViewerKeyOption,
    ViewersUrlOption,
    address,
    find_target,
)
from logferry_cli.terminal import sanitize_word
from logferry_protocol import messages

OUTPUTS: Final = ("AgentsUrl", "ViewersUrl", "HttpUrl", "LogTable", "RegistryTable", "FailureBucket", "ViewerUrl")


@dataclass(frozen=True, slots=True)
class CheckResult:
    """The result of one check."""

    name: str
    outcome: str
    """`ok`, `warning`, `failed` or `skipped`."""
    detail: str = ""
    milliseconds: int = 0


class _SkipError(Exception):
    """A check that cannot be made."""


class _WarningError(Exception):
    """A check that succeeded, with something to look at."""


class Checkup:
    """Collects results, and prints each when it is known."""

    def __init__(self, *, quiet: bool) -> None:
        self.results: list[CheckResult] = []
        self._quiet = quiet

    @property
    def healthy(self) -> bool:
        """Whether no check failed."""
        return all(result.outcome != "failed" for result in self.results)

    @asynccontextmanager
    async def check(self, name: str, advice: str = "") -> AsyncIterator[list[str]]:
        """Make one check. A failure is recorded, and the next check follows.

        Args:
            name: The check's name.
            advice: What to do when it fails, where the error itself says nothing.

        Yields:
            A list. What is put into it is printed when the check succeeds.
        """
        said: list[str] = []
        began = monotonic()
        outcome = "ok"
        try:
            yield said
        except _SkipError as skip:
            outcome, said = "skipped", [str(skip)]
        except _WarningError as warning:
            outcome, said = "warning", [str(warning)]
        except Problem as problem:
            outcome, said = "failed", [problem.sentence, problem.advice or advice]
        except TransientError as trouble:
            outcome, said = "failed", [f"{trouble}.", advice]
        except ClientError as error:
            outcome = "failed"
            said = [
                f"AWS refused ({error.response['Error']['Message']}).",
                "Check that your AWS identity may read this.",
            ]
        except (BotoCoreError, OSError) as error:
            outcome, said = "failed", [f"{error}.", advice]
        detail = sanitize_word(" ".join(part for part in said if part))
        self.note(CheckResult(name, outcome, detail, round((monotonic() - began) * 1000)))

    def note(self, result: CheckResult) -> None:
        """Record a result, and print it."""
        self.results.append(result)
        if not self._quiet:
            mark = {"ok": "✓", "warning": "!", "failed": "✗", "skipped": "-"}[result.outcome]
            typer.echo(f"{mark} {result.name:<28} {result.milliseconds:>6} ms  {result.detail}".rstrip())

    def failed(self, name: str) -> bool:
        """Return whether a check was tried and did not succeed."""
        return any(result.name == name and result.outcome in {"failed", "skipped"} for result in self.results)


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command()(doctor)


def doctor(
    *,
    state: StateOption,
    deep: Annotated[
        bool, typer.Option("--deep", help="Send a real line through, end to end (needs AWS credentials).")
    ] = False,
    patience: Annotated[float, typer.Option(min=0.1, help="Seconds to wait for each response.")] = 30.0,
    as_json: Annotated[bool, typer.Option("--json", help="Print the results as one JSON array.")] = False,
    stack: StackOption = None,
    api_url: ApiUrlOption = None,
    viewers_url: ViewersUrlOption = None,
    viewer_key: ViewerKeyOption = None,
    insecure: InsecureOption = False,
) -> None:
    """Check each part of a deployment: which one fails, and what to do about it."""
    target = find_target(state, api_url, viewers_url, viewer_key, insecure)
    checkup = Checkup(quiet=as_json)
    deployment: Deployment | None = None
    missing = "no stack is named (--stack, LOGFERRY_STACK)"
    if stack is not None or api_url is None:
        try:
            deployment = find_deployment(state, stack)
        except Problem as problem:
            missing = f"{problem.sentence} {problem.advice}"
            checkup.note(CheckResult("stack", "failed", missing))
    asyncio.run(examine(checkup, target, deployment, missing, patience=patience, deep=deep))
    if as_json:
        typer.echo(json.dumps([asdict(result) for result in checkup.results], indent=2))
    elif checkup.healthy:
        typer.echo("All checks passed.")
    if not checkup.healthy:
        raise typer.Exit(1)


async def examine(
    checkup: Checkup, target: Target, deployment: Deployment | None, missing: str, *, patience: float, deep: bool
) -> None:
    """Make every check that target and deployment allow."""
    async with Api(target) as api:
        await _reading(checkup, api, patience)
        if deployment is not None:
            await _resources(checkup, deployment)
        if deep:
            await _through(checkup, api, deployment, missing, patience)


async def _reading(checkup: Checkup, api: Api, patience: float) -> None:
    async with checkup.check("HTTP API and viewer key", "See the query function's log group.") as said:
        me = await api.me()
        said.append(f"{me.principal} reads as {me.subject}" + (", admin" if me.admin else ""))
        if me.groups_left_out:
            said.append(f"with {len(me.groups)} groups; {me.groups_left_out} more are too many and are left out")
    async with checkup.check("history", "Check that the query function may read the log table.") as said:
        said.append(await _newest(api))
    async with checkup.check("viewers' WebSocket", "See the connect function's log group.") as said:
        async with probe.viewers_socket(api, patience) as socket:
            await socket.send(messages.Subscribe(id="list", jobs=messages.Selector()))
            await socket.receive(messages.Subscribed, "the answer to `subscribe`")
            await socket.send(messages.Ping(id="ping"))
            await socket.receive(messages.ViewerPong, "the answer to `ping`")
        said.append("ticket, handshake, subscribe and ping")


async def _newest(api: Api) -> str:
    async for record in api.jobs({"limit": "1"}):
        page = await api.history(record.job, after=0, limit=1)
        reader = Reader(lambda: 0.0)
        reader.update_tip(page.tip, 0.0, at_once=True)
        reader.request(0.0)
        reader.answer(page, 0.0)
        for taken in reader.take():
            if isinstance(taken, Damaged):
                raise Problem(f"{damage(taken)} (job {record.job}).", "Run `logferry verify` to check the whole job.")
        return f"the newest job has {page.tip:,} entries"
    return "no jobs yet"


async def _resources(checkup: Checkup, deployment: Deployment) -> None:
    async with checkup.check("stack outputs") as said:
        absent = [name for name in OUTPUTS if name not in deployment.outputs]
        if absent:
            raise Problem(f"The stack {deployment.stack} lacks {', '.join(absent)}.", "Deploy template.yaml again.")
        said.append(deployment.stack)
    for output in ("LogTable", "RegistryTable"):
        async with checkup.check(f"{output} and its stream", "Deploy template.yaml again.") as said:
            said.append(await asyncio.to_thread(_table_state, deployment, output))
    async with checkup.check("undelivered records") as said:
        said.append(await asyncio.to_thread(_failures, deployment))
    async with checkup.check("archive") as said:
        said.append(await asyncio.to_thread(_archive, deployment))


def _table_state(deployment: Deployment, output: str) -> str:
    table = deployment.client("dynamodb").describe_table(TableName=deployment.output(output))["Table"]
    if table["TableStatus"] not in {"ACTIVE", "UPDATING"}:
        raise Problem(f"The table is {table['TableStatus']}.")
    stream = table.get("LatestStreamArn")
    if not stream or not table.get("StreamSpecification", {}).get("StreamEnabled"):
        raise Problem("The table has no stream, so nothing is broadcast.")
    mappings = deployment.client("lambda").list_event_source_mappings(EventSourceArn=stream)["EventSourceMappings"]
    states = [mapping.get("State", "?") for mapping in mappings]
    if "Enabled" not in states:
        raise Problem(f"No function reads the table's stream (mappings: {', '.join(states) or 'none'}).")
    return f"{table['TableStatus'].lower()}, its stream is read"


def _failures(deployment: Deployment) -> str:
    bucket = deployment.output("FailureBucket")
    count = deployment.client("s3").list_objects_v2(Bucket=bucket, Prefix="aws/lambda/", MaxKeys=1000)["KeyCount"]
    if count:
        many = f"{count:,}" if count < 1000 else "1,000 or more"
        raise _WarningError(f"{many} objects in {bucket}: run `logferry replay` to send them again.")
    return "none"


def _archive(deployment: Deployment) -> str:
    now_ms = time_ns() // 1_000_000
    found = archive_health.inspect_archive(deployment, now_ms)
    if problems := found.problems(now_ms):
        raise Problem(" ".join(problems), found.failed_calls)
    if found.failed_calls:
        raise _WarningError(found.failed_calls)
    return found.summary(now_ms)


async def _through(checkup: Checkup, api: Api, deployment: Deployment | None, missing: str, patience: float) -> None:
    """Send a line from an agent of our own to a viewer of our own."""
    line = probe.ProbeLine()
    key = ""
    async with AsyncExitStack() as open_sockets:
        agent = viewer = None
        async with checkup.check("registry (a key for a while)") as said:
            if deployment is None:
                raise Problem(missing)
            registry = Registry(deployment.table("RegistryTable"))
            key = await asyncio.to_thread(probe.temporary_key, registry)
            said.append(f"agent principal {probe.PRINCIPAL}")
        async with checkup.check("agents' WebSocket", "See the connect function's log group.") as said:
            if deployment is None or not key:
                raise _SkipError("without a key")
            url = address(deployment.output("AgentsUrl"), "ws", "output AgentsUrl", api.insecure)
            agent = await open_sockets.enter_async_context(probe.agents_socket(url, key, patience))
            said.append("handshake")
        async with checkup.check("open a job", "See the ingest function's log group.") as said:
            if agent is None:
                raise _SkipError("without the agents' WebSocket")
            me = await api.me()
            await agent.send(line.open(me.subject))
            opened = (await agent.receive(messages.Opened, "the answer to `open`")).jobs[0]
            if opened.error:
                raise Problem(f"The job cannot be opened: {opened.error} {opened.message}.")
            said.append(f"for the owner {me.subject}")
        async with checkup.check("subscribe to it", "See the connect function's log group.") as said:
            if agent is None or checkup.failed("open a job"):
                raise _SkipError("without a job")
            viewer = await open_sockets.enter_async_context(probe.viewers_socket(api, patience))
            await viewer.send(messages.Subscribe(id="job", job=line.job))
            await viewer.receive(messages.Subscribed, "the answer to `subscribe`")
        async with checkup.check(
            "agent told that it is watched", "Check that the connect function may post to the agents' API."
        ) as said:
            if agent is None or viewer is None:
                raise _SkipError("without a subscription")
            await agent.receive(messages.Watch, "`watch`")
        await _sent(checkup, api, line, agent, viewer)
    await _tidied(checkup, api, deployment, line, key)


async def _sent(
    checkup: Checkup, api: Api, line: probe.ProbeLine, agent: probe.ProbeSocket | None, viewer: probe.ProbeSocket | None
) -> None:
    async with checkup.check("ingest and store", "See the ingest function's log group.") as said:
        if agent is None or checkup.failed("open a job"):
            raise _SkipError("without a job")
        await agent.send(messages.Ingest(id="ingest", batches=[line.batch]))
        result = (await agent.receive(messages.Ingested, "the acknowledgement")).results[0]
        if result.outcome != "stored":
            raise Problem(f"The batch was {result.outcome}: {result.reason or ''} {result.message}".rstrip() + ".")
        said.append("one line")
    async with checkup.check(
        "stream and broadcast", "See the stream's mapping and the broadcast function's log group."
    ) as said:
        if viewer is None or checkup.failed("ingest and store"):
            raise _SkipError("without a stored line")
        arrived = (await viewer.receive(messages.BatchMessage, "the broadcast")).batches[0]
        if arrived.digest != line.batch.digest:
            raise Problem("The bytes that arrived differ from those sent.")
        said.append("the same bytes")
    async with checkup.check("read it from history", "See the query function's log group.") as said:
        if checkup.failed("ingest and store"):
            raise _SkipError("without a stored line")
        page = await api.history(line.job, after=0)
        if [None if isinstance(batch, Damaged) else batch.digest for batch in page.batches] != [line.batch.digest]:
            raise Problem("The bytes in history differ from those sent.")
        said.append("the same bytes")


async def _tidied(checkup: Checkup, api: Api, deployment: Deployment | None, line: probe.ProbeLine, key: str) -> None:
    async with checkup.check("tidy up") as said:
        if deployment is None or not key:
            raise _SkipError("nothing to tidy up")
        registry = Registry(deployment.table("RegistryTable"))
        await asyncio.to_thread(registry.revoke_credential, credential_of(key), time_ns() // 1_000_000)
        said.append("key revoked")
        if not checkup.failed("open a job"):
            await api.delete_job(line.job)
            said.append("job deleted")
