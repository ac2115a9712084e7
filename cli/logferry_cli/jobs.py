"""`logferry jobs`: list the jobs."""

from __future__ import annotations

import asyncio
import json
import shlex
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, Final

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from logferry_cli.api import Api
from logferry_cli.job_lookup import container_of
from logferry_cli.options import StateOption
from logferry_cli.records import DamagedRecord
from logferry_cli.target import ApiUrlOption, InsecureOption, Target, ViewerKeyOption, ViewersUrlOption, find_target
from logferry_cli.terminal import sanitize_json, sanitize_word
from logferry_protocol.job import JobRecord, State

OPTIONS: Final = {
    "owner": "--owner",
    "host": "--host",
    "name": "--name",
    "image": "--image",
    "label": "--label",
    "state": "--in-state",
}
"""The filters' options, by their names in the API."""

_STATE_STYLES: Final = {"running": "green", "lost": "yellow", "restarting": "yellow", "paused": "yellow"}


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command()(jobs)


def jobs(
    *,
    state: StateOption,
    api_url: ApiUrlOption = None,
    viewers_url: ViewersUrlOption = None,
    viewer_key: ViewerKeyOption = None,
    insecure: InsecureOption = False,
    owner: Annotated[str | None, typer.Option(help="List only jobs of this owner.")] = None,
    host: Annotated[str | None, typer.Option(help="List only jobs of this host.")] = None,
    name: Annotated[str | None, typer.Option(help="List only containers with this name.")] = None,
    image: Annotated[str | None, typer.Option(help="List only containers of this image.")] = None,
    label: Annotated[str | None, typer.Option(help="List only containers with this label: key or key=value.")] = None,
    life: Annotated[State | None, typer.Option("--in-state", help="List only jobs in this state.")] = None,
    limit: Annotated[int, typer.Option(min=0, help="List at most this many; 0 for all.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print the records as one JSON array.")] = False,
) -> None:
    """List the jobs that you can read, newest first."""
    target = find_target(state, api_url, viewers_url, viewer_key, insecure)
    chosen = {"owner": owner, "host": host, "name": name, "image": image, "label": label, "state": life}
    filters: dict[str, str] = {key: value for key, value in chosen.items() if value is not None}
    records = asyncio.run(_records(target, filters, limit))
    if as_json:
        document = json_of(records)
        sys.stdout.write(sanitize_json(document) if sys.stdout.isatty() else document)
    elif not records:
        typer.echo(_nothing(filters), err=True)
    else:
        _print(records)
    for record in records:
        if isinstance(record, DamagedRecord):
            said = f"The record of {sanitize_word(record.job) or 'a job'} is damaged ({sanitize_word(record.damage)})."
            typer.echo(f"logferry: {said} The readable part is shown.", err=True)


async def _records(target: Target, filters: dict[str, str], limit: int) -> list[JobRecord]:
    found: list[JobRecord] = []
    async with Api(target) as api:
        async for record in api.jobs(filters):
            found.append(record)
            if limit and len(found) >= limit:
                break
    return found


def json_of(records: list[JobRecord]) -> str:
    """Return the records as one JSON array, one a line. What is not known is null."""
    lines = ",\n".join(json.dumps(record.model_dump(mode="json"), ensure_ascii=False) for record in records)
    return f"[\n{lines}\n]\n" if lines else "[]\n"


def _nothing(filters: Mapping[str, str]) -> str:
    """Return why the list is empty."""
    if not filters:
        return "No jobs yet. A container's job appears when an agent first sees it."
    said = " ".join(f"{OPTIONS[key]} {shlex.quote(sanitize_word(value[:200]))}" for key, value in filters.items())
    return f"No job that you can read matches {said}. Run `logferry jobs` to list all jobs."


def _print(records: list[JobRecord]) -> None:
    if not sys.stdout.isatty():
        # In a pipe, the table is as wide as needed: a program could not read a cut cell.
        sys.stdout.write("".join(f"{line}\n" for line in _plain(records)))
        return
    table = Table(box=None, pad_edge=False, header_style="dim")
    for heading in ("JOB", "NAME", "STATE", "LINES", "STARTED", "OWNER", "HOST", "IMAGE"):
        table.add_column(
            heading, justify="right" if heading == "LINES" else "left", no_wrap=heading in {"JOB", "LINES"}
        )
    for record in records:
        table.add_row(*_row(record))
    Console(highlight=False).print(table)


def _row(record: JobRecord) -> tuple[Any, ...]:
    return (
        sanitize_word(container_of(record)[:12]),
        Text(sanitize_word(record.container.name)),
        Text(state_of(record), style=_STATE_STYLES.get(record.life.state, "")),
        f"{record.tip:,}",
        _when(record.life.started or record.life.created),
        Text(sanitize_word(record.owner)),
        Text(sanitize_word(record.container.host)),
        Text(sanitize_word(record.container.image)),
    )


def _plain(records: list[JobRecord]) -> list[str]:
    rows = [("JOB", "NAME", "STATE", "LINES", "STARTED", "OWNER", "HOST", "IMAGE")]
    rows += [tuple(str(cell) for cell in _row(record)) for record in records]  # type: ignore[misc]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def state_of(record: JobRecord) -> str:
    """Return the state with its exit code: `exited (1)`, `exited (137, out of memory)`."""
    life = record.life
    if isinstance(record, DamagedRecord):
        return "damaged"
    if not life.over or life.exit_code is None:
        return life.state
    return f"{life.state} ({life.exit_code}{', out of memory' if life.oom else ''})"


def _when(milliseconds: int | None) -> str:
    if milliseconds is None:
        return ""
    return datetime.fromtimestamp(milliseconds / 1000, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
