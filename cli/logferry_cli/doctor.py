"""`logferry doctor`: check each part of a deployment, and report which one fails and what to do."""

from __future__ import annotations

import asyncio
import json
import os
from contextlib import AsyncExitStack
from dataclasses import asdict
from pathlib import Path
from time import time, time_ns
from typing import Annotated, Final
from urllib.parse import urlsplit

import typer

from logferry_cli import archive_health, network_causes, probe, stack_health
from logferry_cli.agent import default_to_local_cloud
from logferry_cli.api import Api
from logferry_cli.checkup import CheckResult, Checkup, SkipError, WarningError
from logferry_cli.deployment import Deployment, NoSuchStackError, StackOption, find_deployment
from logferry_cli.export import damage
from logferry_cli.extras import missing_extra, missing_module
from logferry_cli.key_health import key_problem
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
from logferry_protocol import messages

ATTEMPTS: Final = 3
"""Fewer than other commands make: who looks for a cause should not wait for it to go away."""

READING: Final = "HTTP API and viewer key"
STACK_CHECKS: Final = {
    "functions": stack_health.functions_state,
    "permission to invoke": stack_health.invocable,
    "route responses": stack_health.route_responses,
    "throttling": stack_health.throttles,
    "concurrency of the account": stack_health.concurrency,
}
"""Checks that need more rights than the others: what AWS does not let one read is unknown."""

OUTPUTS: Final = ("AgentsUrl", "ViewersUrl", "HttpUrl", "LogTable", "RegistryTable", "FailureBucket", "ViewerUrl")


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command()(doctor)


def doctor(
    *,
    state: StateOption,
    deep: Annotated[
        bool, typer.Option("--deep", help="Send a real line through, end to end (needs AWS credentials).")
    ] = False,
    agent: Annotated[
        bool, typer.Option("--agent", help="Check this host's agent, with its settings: engine, spool, address, key.")
    ] = False,
    agent_env: Annotated[
        Path | None,
        typer.Option(help="File with the agent's settings (default: the environment, else /etc/logferry/agent.env)."),
    ] = None,
    patience: Annotated[float, typer.Option(min=0.1, help="Seconds to wait for each response.")] = 30.0,
    as_json: Annotated[bool, typer.Option("--json", help="Print the results as one JSON array.")] = False,
    stack: StackOption = None,
    api_url: ApiUrlOption = None,
    viewers_url: ViewersUrlOption = None,
    viewer_key: ViewerKeyOption = None,
    insecure: InsecureOption = False,
) -> None:
    """Check each part of a deployment: which one fails, and what to do about it."""
    checkup = Checkup(quiet=as_json)
    if agent:
        _examine_agent(checkup, agent_env, patience)
    # An agent's host need not know how to read.
    if not agent or api_url is not None or stack is not None or deep:
        target = find_target(state, api_url, viewers_url, viewer_key, insecure)
        found = _find_stack(checkup, state, target, stack, named=api_url is not None)
        asyncio.run(examine(checkup, target, *found, patience=patience, deep=deep))
    if as_json:
        typer.echo(json.dumps([asdict(result) for result in checkup.results], indent=2))
    elif checkup.healthy:
        typer.echo("All checks passed.")
    if not checkup.healthy:
        raise typer.Exit(1)


def _examine_agent(checkup: Checkup, file: Path | None, patience: float) -> None:
    if missing_module("agent") is not None:
        raise missing_extra("logferry doctor --agent", "agent")
    from logferry_cli import agent_health  # noqa: PLC0415 - the extra may be missing

    os.environ.update(agent_health.environment_of(file))
    default_to_local_cloud()
    asyncio.run(agent_health.examine(checkup, patience))


def _find_stack(
    checkup: Checkup, state: Path, target: Target, stack: str | None, *, named: bool
) -> tuple[Deployment | None, str]:
    """Return the stack, or None and why there is none. A stack that is named and not found is a failed check."""
    if stack is None and named:
        return None, "no stack is named (--stack, LOGFERRY_STACK)"
    try:
        return find_deployment(state, stack), ""
    except NoSuchStackError as error:
        problem = error
        there = network_causes.region_of(target.viewers_url) or network_causes.region_of(target.api_url)
        if there is not None and there != error.region:
            sentence = f"The region is wrong: the given addresses are in {there}, and {error.region} has no such stack."
            missing = f"{sentence} Set AWS_REGION={there}."
        else:
            missing = f"{problem.sentence} {problem.advice}"
    except Problem as other:
        missing = f"{other.sentence} {other.advice}"
    checkup.note(CheckResult("stack", "failed", missing))
    return None, missing


async def examine(
    checkup: Checkup, target: Target, deployment: Deployment | None, missing: str, *, patience: float, deep: bool
) -> None:
    """Make every check that target and deployment allow."""
    async with Api(target) as api:
        api.attempts = ATTEMPTS
        await _reading(checkup, api, patience)
        if deployment is not None:
            if checkup.failed(READING):
                await _explained(checkup, target, deployment)
            await _resources(checkup, deployment)
        if deep:
            await _through(checkup, api, deployment, missing, patience)


async def _reading(checkup: Checkup, api: Api, patience: float) -> None:
    async with checkup.check(READING, "See the query function's log group.") as said:
        me = await api.me()
        said.append(f"{me.principal} reads as {me.subject}" + (", admin" if me.admin else ""))
        if me.groups_left_out:
            said.append(f"with {len(me.groups)} groups; {me.groups_left_out} more are too many and are left out")
    async with checkup.check("this machine's clock") as said:
        if api.clock_offset_s is None:
            raise SkipError("no answer told the time")
        if problem := network_causes.of_clock(api.clock_offset_s):
            raise problem
        said.append(f"within {abs(api.clock_offset_s) + 1:.0f} s of the cloud's")
    async with checkup.check("history", "Check that the query function may read the log table.") as said:
        if checkup.failed(READING):
            raise SkipError("without the HTTP API")
        said.append(await _newest(api))
    async with checkup.check("viewers' WebSocket", "See the connect function's log group.") as said:
        if checkup.failed(READING):
            raise SkipError("without the HTTP API")
        async with probe.viewers_socket(api, patience) as socket:
            await socket.send(messages.Subscribe(id="list", jobs=messages.Selector()))
            await socket.receive(messages.Subscribed, "the answer to `subscribe`")
            await socket.send(messages.Ping(id="ping"))
            await socket.receive(messages.ViewerPong, "the answer to `ping`")
        said.append("ticket, handshake, subscribe and ping")


async def _explained(checkup: Checkup, target: Target, deployment: Deployment) -> None:
    """Say why nothing can be read, as far as the stack and its registry know."""
    async with checkup.check("address of the HTTP API") as said:
        known = [deployment.outputs[name] for name in ("HttpUrl", "ViewerUrl") if name in deployment.outputs]
        if urlsplit(target.api_url).netloc not in {urlsplit(url).netloc for url in known}:
            raise WarningError(
                f"{target.api_url} is not an address of the stack: its outputs are {' and '.join(known)}"
            )
        said.append("an output of the stack")
    async with checkup.check("viewer key in the registry") as said:
        registry = Registry(deployment.table("RegistryTable"))
        credential = await asyncio.to_thread(registry.credential, credential_of(target.viewer_key))
        principal = await asyncio.to_thread(registry.principal, str((credential or {}).get("principal", "-")))
        if problem := key_problem(target.viewer_key, "viewer", credential, principal, time()):
            raise problem
        said.append("valid")


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
            said.append(await asyncio.to_thread(stack_health.table_state, deployment, output))
    for name, check in STACK_CHECKS.items():
        async with checkup.check(name, optional=True) as said:
            said.append(await asyncio.to_thread(check, deployment))
    async with checkup.check("undelivered records") as said:
        said.append(await asyncio.to_thread(_failures, deployment))
    async with checkup.check("archive") as said:
        said.append(await asyncio.to_thread(_archive, deployment))


def _failures(deployment: Deployment) -> str:
    bucket = deployment.output("FailureBucket")
    count = deployment.client("s3").list_objects_v2(Bucket=bucket, Prefix="aws/lambda/", MaxKeys=1000)["KeyCount"]
    if count:
        many = f"{count:,}" if count < 1000 else "1,000 or more"
        raise WarningError(f"{many} objects in {bucket}: run `logferry replay` to send them again.")
    return "none"


def _archive(deployment: Deployment) -> str:
    now_ms = time_ns() // 1_000_000
    found = archive_health.inspect_archive(deployment, now_ms)
    if problems := found.problems(now_ms):
        raise Problem(" ".join(problems), found.failed_calls)
    if found.failed_calls:
        raise WarningError(found.failed_calls)
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
                raise SkipError("without a key")
            url = address(deployment.output("AgentsUrl"), "ws", "output AgentsUrl", api.insecure)
            agent = await open_sockets.enter_async_context(probe.agents_socket(url, key, patience))
            said.append("handshake")
        async with checkup.check("open a job", "See the ingest function's log group.") as said:
            if agent is None:
                raise SkipError("without the agents' WebSocket")
            me = await api.me()
            await agent.send(line.open(me.subject))
            opened = (await agent.receive(messages.Opened, "the answer to `open`")).jobs[0]
            if opened.error:
                raise Problem(f"The job cannot be opened: {opened.error} {opened.message}.")
            said.append(f"for the owner {me.subject}")
        async with checkup.check("subscribe to it", "See the connect function's log group.") as said:
            if agent is None or checkup.failed("open a job"):
                raise SkipError("without a job")
            viewer = await open_sockets.enter_async_context(probe.viewers_socket(api, patience))
            await viewer.send(messages.Subscribe(id="job", job=line.job))
            await viewer.receive(messages.Subscribed, "the answer to `subscribe`")
        async with checkup.check(
            "agent told that it is watched", "Check that the connect function may post to the agents' API."
        ) as said:
            if agent is None or viewer is None:
                raise SkipError("without a subscription")
            await agent.receive(messages.Watch, "`watch`")
        await _sent(checkup, api, line, agent, viewer)
    await _tidied(checkup, api, deployment, line, key)


async def _sent(
    checkup: Checkup, api: Api, line: probe.ProbeLine, agent: probe.ProbeSocket | None, viewer: probe.ProbeSocket | None
) -> None:
    async with checkup.check("ingest and store", "See the ingest function's log group.") as said:
        if agent is None or checkup.failed("open a job"):
            raise SkipError("without a job")
        await agent.send(messages.Ingest(id="ingest", batches=[line.batch]))
        result = (await agent.receive(messages.Ingested, "the acknowledgement")).results[0]
        if result.reason == "throttled":
            raise Problem("DynamoDB throttles the LogTable: it refused the line.", stack_health.THROTTLED)
        if result.outcome != "stored":
            raise Problem(f"The batch was {result.outcome}: {result.reason or ''} {result.message}".rstrip() + ".")
        said.append("one line")
    async with checkup.check(
        "stream and broadcast", "See the stream's mapping and the broadcast function's log group."
    ) as said:
        if viewer is None or checkup.failed("ingest and store"):
            raise SkipError("without a stored line")
        arrived = (await viewer.receive(messages.BatchMessage, "the broadcast")).batches[0]
        if arrived.digest != line.batch.digest:
            raise Problem("The bytes that arrived differ from those sent.")
        said.append("the same bytes")
    async with checkup.check("read it from history", "See the query function's log group.") as said:
        if checkup.failed("ingest and store"):
            raise SkipError("without a stored line")
        page = await api.history(line.job, after=0)
        if [None if isinstance(batch, Damaged) else batch.digest for batch in page.batches] != [line.batch.digest]:
            raise Problem("The bytes in history differ from those sent.")
        said.append("the same bytes")


async def _tidied(checkup: Checkup, api: Api, deployment: Deployment | None, line: probe.ProbeLine, key: str) -> None:
    async with checkup.check("tidy up") as said:
        if deployment is None or not key:
            raise SkipError("nothing to tidy up")
        registry = Registry(deployment.table("RegistryTable"))
        await asyncio.to_thread(registry.revoke_credential, credential_of(key), time_ns() // 1_000_000)
        said.append("key revoked")
        if not checkup.failed("open a job"):
            await api.delete_job(line.job)
            said.append("job deleted")
