"""`logferry verify`: read a whole job, and report whether it is sound and what it says is missing."""

from __future__ import annotations

import asyncio
import json
from dataclasses import asdict
from typing import Annotated, Any, Final

import typer

from logferry_cli.api import Api
from logferry_cli.engine_check import EngineCheck
from logferry_cli.export import rfc3339
from logferry_cli.extras import missing_extra, missing_module
from logferry_cli.job_lookup import find_job
from logferry_cli.options import StateOption
from logferry_cli.target import ApiUrlOption, InsecureOption, Target, ViewerKeyOption, ViewersUrlOption, find_target
from logferry_cli.terminal import sanitize_word
from logferry_cli.verifier import FoundGap, Report, Verifier
from logferry_protocol.backoff import Backoff
from logferry_protocol.events import describe
from logferry_protocol.job import JobRecord, split_job_id

UNSOUND: Final = 1
WITH_GAPS: Final = 3
"""Exit status with --strict when the job is sound but says that lines are missing."""

ASKED_AGAIN: Final = 4
"""How often to repeat a request whose page begins later than asked for and does not say why."""

_ASKED_AGAIN_AFTER: Final = Backoff(first_s=0.2, longest_s=1.6)
"""Waits before each of these requests, without jitter: the store needs the whole time to become consistent."""


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command()(verify)


def verify(
    *,
    job: Annotated[str, typer.Argument(help="Job id, container name, or the beginning of a container id.")],
    state: StateOption,
    strict: Annotated[
        bool,
        typer.Option(
            "--strict", help=f"Exit with status {WITH_GAPS} when the job says that lines are or may be missing."
        ),
    ] = False,
    engine: Annotated[
        bool,
        typer.Option("--engine", help="Compare also, line by line, with what this host's Docker Engine still has."),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as one JSON object.")] = False,
    api_url: ApiUrlOption = None,
    viewers_url: ViewersUrlOption = None,
    viewer_key: ViewerKeyOption = None,
    insecure: InsecureOption = False,
) -> None:
    """Check a stored job: sequences 1..n, digests, counts and joined lines. List its gaps with their reasons.

    With --engine, on the job's host, compare it with what the Docker Engine still has.
    """
    if engine and missing_module("agent") is not None:
        raise missing_extra("logferry verify --engine", "agent")
    target = find_target(state, api_url, viewers_url, viewer_key, insecure)
    record, report, check = asyncio.run(_verified(target, job, engine=engine))
    if as_json:
        compared = {} if check is None else {"engine": check.document()}
        typer.echo(json.dumps(_document(record, report) | compared, indent=2))
    else:
        typer.echo(_text(record, report) + "".join(f"{line}\n" for line in (check.lines() if check else ())), nl=False)
    if not report.sound or (check is not None and not check.same):
        raise typer.Exit(UNSOUND)
    if strict and (report.gaps or report.notices or (check is not None and check.comparison.found.older)):
        raise typer.Exit(WITH_GAPS)


async def _verified(target: Target, name: str, *, engine: bool) -> tuple[JobRecord, Report, EngineCheck | None]:
    async with Api(target) as api:
        record = await find_job(api, name)
        if not engine:
            return record, await _read(api, record, None), None
        # The agent's modules are in an extra, and slow to import.
        from logferry_cli.engine_log import EngineLog  # noqa: PLC0415

        log = await asyncio.to_thread(EngineLog, split_job_id(record.job)[1])
        try:
            check = EngineCheck(log, await asyncio.to_thread(log.newest))
            report = await _read(api, record, check)
            await check.finish()
        finally:
            log.close()
        return record, report, check


async def _read(api: Api, record: JobRecord, check: EngineCheck | None) -> Report:
    """Verify all batches of a job, and compare them with the engine's log if there is a check."""
    verifier = Verifier()
    report = verifier.report
    asked = 0
    while True:
        after = report.last
        page = await api.history(record.job, after=after)
        batches = [batch for batch in page.batches if batch.last > after]
        skips = bool(batches) and batches[0].first > after + 1
        if page.kept is None and (skips or (not batches and page.tip > after)) and asked < ASKED_AGAIN:
            asked += 1
            await asyncio.sleep(_ASKED_AGAIN_AFTER.ceiling(asked))
            continue
        asked = 0
        for batch in batches:
            verifier.add(batch)
            if check is not None:
                await check.take(batch)
        if not batches or (not page.more and report.last >= page.tip):
            if check is not None and await check.waits():
                continue
            # Entries stored meanwhile are for the next verification.
            return verifier.end(0 if report.first is None else page.tip)


def _text(record: JobRecord, report: Report) -> str:
    name = sanitize_word(record.container.name)
    lines = [f"{record.job}  {name}"]
    if report.first is None:
        lines.append(
            "nothing is stored of it" + (f" any longer (its last entry was {record.tip:,})" if record.tip else "")
        )
        return "".join(f"{line}\n" for line in lines)
    streams = ", ".join(f"{count:,} {stream}" for stream, count in report.streams.items())
    ratio = report.raw / report.stored if report.stored else 0.0
    lines.append(f"entries {report.first:,} to {report.last:,}: {streams}")
    lines.append(f"{report.batches:,} batches, {report.raw:,} bytes of text in {report.stored:,} stored ({ratio:.1f}x)")
    if report.first > 1:
        lines.append(f"entries 1 to {report.first - 1:,} are no longer kept")
    if report.steps_back:
        lines.append(f"the clock stepped back {report.steps_back:,} times")
    lines += [_gap(found) for found in report.gaps]
    lines += [f"notice at {found.sequence:,}: {sanitize_word(describe(found.notice))}" for found in report.notices]
    if record.life.problem:
        lines.append(f"problem: {sanitize_word(record.life.problem)}")
    lines += [f"✗ {sanitize_word(problem)}" for problem in report.problems]
    if report.more_problems:
        lines.append(f"✗ and {report.more_problems:,} more")
    if report.sound:
        missing = f"; {len(report.gaps)} gaps, above" if report.gaps else ", without a gap"
        doubt = "; lines may be missing, see above" if report.notices or record.life.problem else ""
        lines.append(f"✓ sound: no entry is missing or repeated, every digest matches{missing}{doubt}")
    return "".join(f"{line}\n" for line in lines)


def _gap(found: FoundGap) -> str:
    gap = found.gap
    between = ""
    if gap.start is not None and gap.end is not None:
        between = f", between {rfc3339(gap.start)} and {rfc3339(gap.end)}"
    size = "" if gap.bytes is None else f", {gap.bytes:,} bytes"
    return f"gap at {found.sequence:,}: {sanitize_word(describe(gap))}{size}{between}"


def _document(record: JobRecord, report: Report) -> dict[str, Any]:
    document = asdict(report) | {"job": record.job, "sound": report.sound}
    document["gaps"] = [
        {"sequence": found.sequence} | found.gap.model_dump(mode="json", exclude={"event"}) for found in report.gaps
    ]
    document["notices"] = [
        {"sequence": found.sequence} | found.notice.model_dump(mode="json", exclude={"event"})
        for found in report.notices
    ]
    document["problem"] = record.life.problem
    return document
