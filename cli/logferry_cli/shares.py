"""`logferry share` and `logferry delete`: what a job's owner can do with it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, TypeVar

import typer

from logferry_cli.api import Api
from logferry_cli.durations import parse_duration
from logferry_cli.job_lookup import find_job
from logferry_cli.options import StateOption
from logferry_cli.problems import Problem
from logferry_cli.target import ApiUrlOption, InsecureOption, Target, ViewerKeyOption, ViewersUrlOption, find_target
from logferry_cli.terminal import sanitize_word
from logferry_state.errors import NotRunningError
from logferry_state.state import load_state

Result = TypeVar("Result")
JobArgument = Annotated[str, typer.Argument(help="Job id, container name, or the beginning of a container id.")]


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    share = typer.Typer(name="share", help="Let others read one job with a link that expires.", no_args_is_help=True)
    share.command(name="create")(create)
    share.command(name="list")(list_shares)
    share.command(name="revoke")(revoke)
    app.add_typer(share)
    app.command()(delete)


def create(
    *,
    job: JobArgument,
    state: StateOption,
    expires_in: Annotated[str, typer.Option("--expires-in", help="How long the link is valid: 1h, 7d, 90d.")] = "7d",
    note: Annotated[str, typer.Option(help="A note on its purpose, shown in the list.")] = "",
    viewer_url: Annotated[
        str | None, typer.Option(envvar="LOGFERRY_VIEWER_URL", help="The viewer's address.", metavar="URL")
    ] = None,
    api_url: ApiUrlOption = None,
    viewers_url: ViewersUrlOption = None,
    viewer_key: ViewerKeyOption = None,
    insecure: InsecureOption = False,
) -> None:
    """Create a link with which anyone can read this one job. It is printed once, on stdout."""
    target = find_target(state, api_url, viewers_url, viewer_key, insecure)
    seconds = parse_duration(expires_in)

    async def make(api: Api) -> tuple[str, str]:
        record = await find_job(api, job)
        return record.job, (await api.share(record.job, seconds, note)).secret

    found, secret = _with_api(target, make)
    # The secret is in the fragment, which browsers never send.
    typer.echo(f"{_viewer(state, api_url, viewer_url)}/?job={found}#key={secret}")


def list_shares(
    *,
    job: JobArgument,
    state: StateOption,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON array.")] = False,
    api_url: ApiUrlOption = None,
    viewers_url: ViewersUrlOption = None,
    viewer_key: ViewerKeyOption = None,
    insecure: InsecureOption = False,
) -> None:
    """List a job's links, without their secrets."""
    target = find_target(state, api_url, viewers_url, viewer_key, insecure)

    async def shares(api: Api) -> list[str]:
        found = await api.shares((await find_job(api, job)).job)
        if as_json:
            return [json.dumps([share.model_dump() for share in found], indent=2)]
        return [
            f"{share.share}  until {_day(share.expires)}  by {sanitize_word(share.principal)}"
            + (f"  revoked {_day(share.revoked)}" if share.revoked else "")
            + (f"  {sanitize_word(share.note)}" if share.note else "")
            for share in found
        ]

    for line in _with_api(target, shares):
        typer.echo(line)


def revoke(
    *,
    share: Annotated[str, typer.Argument(help="The link's id, as `share list` shows it.")],
    state: StateOption,
    api_url: ApiUrlOption = None,
    viewers_url: ViewersUrlOption = None,
    viewer_key: ViewerKeyOption = None,
    insecure: InsecureOption = False,
) -> None:
    """Revoke a link. Pages opened with it are closed."""
    if not share.isalnum() or not share.isascii():
        raise Problem(
            f"{sanitize_word(share[:80])!r} is not a link's id.", "Run `logferry share list JOB` to see them."
        )
    _with_api(find_target(state, api_url, viewers_url, viewer_key, insecure), lambda api: api.unshare(share))
    typer.echo(f"The link {share} is revoked.", err=True)


def delete(
    *,
    job: JobArgument,
    state: StateOption,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask for confirmation.")] = False,
    api_url: ApiUrlOption = None,
    viewers_url: ViewersUrlOption = None,
    viewer_key: ViewerKeyOption = None,
    insecure: InsecureOption = False,
) -> None:
    """Delete a job and everything stored of it, for good (as its owner or an admin)."""
    target = find_target(state, api_url, viewers_url, viewer_key, insecure)
    record = _with_api(target, lambda api: find_job(api, job))
    name = sanitize_word(record.container.name)
    if not yes and not typer.confirm(f"Delete {record.job} ({name}), {record.tip:,} entries, for good?", err=True):
        raise typer.Exit(1)
    _with_api(target, lambda api: api.delete_job(record.job))
    typer.echo(f"{record.job} ({name}) is deleted.", err=True)


def _with_api(target: Target, work: Callable[[Api], Awaitable[Result]]) -> Result:
    async def run() -> Result:
        async with Api(target) as api:
            return await work(api)

    return asyncio.run(run())


def _viewer(state: Path, api_url: str | None, viewer_url: str | None) -> str:
    """Return the viewer's address for a link: the given one, else the local viewer's."""
    if viewer_url:
        return viewer_url.rstrip("/")
    if api_url is not None:
        # Behind CloudFront, the API and the viewer share one address.
        return api_url.rstrip("/")
    try:
        return load_state(state).viewer_url
    except NotRunningError as error:
        raise Problem(error.sentence, "Give the viewer's address with --viewer-url.") from None


def _day(milliseconds: int) -> str:
    return datetime.fromtimestamp(milliseconds / 1000, UTC).strftime("%Y-%m-%d %H:%MZ")
