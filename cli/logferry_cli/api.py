"""A client of a deployment's HTTP API."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Mapping
from types import TracebackType
from typing import Any, Final, Self, TypeVar

import httpx
from pydantic import BaseModel, ConfigDict, RootModel, ValidationError

from logferry_cli import network_causes
from logferry_cli.problems import Problem
from logferry_cli.reader import Page
from logferry_cli.records import read_batches, read_record
from logferry_cli.target import Target, address
from logferry_cli.terminal import sanitize_word
from logferry_protocol.backoff import Backoff
from logferry_protocol.job import JobRecord
from logferry_protocol.messages import BatchFacts

ATTEMPTS: Final = 6
"""Number of attempts of one request."""

BACKOFF: Final = Backoff(first_s=0.5, longest_s=15.0)
"""Waits between attempts: at most 15.5 s in all."""

TIMEOUT: Final = httpx.Timeout(35.0, connect=10.0)
"""API Gateway answers within 30 s or never."""

_TRANSIENT: Final = frozenset({429, 500, 502, 503, 504})


Model = TypeVar("Model", bound=BaseModel)


class _Answer(BaseModel):
    model_config = ConfigDict(extra="ignore")


class Me(_Answer):
    """Who the key belongs to."""

    principal: str
    subject: str = ""
    groups: list[str] = []
    groups_left_out: int = 0
    """How many groups are too many to be carried. Deployments before this field have none."""
    admin: bool = False


class _Document(RootModel[dict[str, Any]]):
    """Any object."""


class JobPage(_Answer):
    """A page of jobs."""

    jobs: list[Any]
    """Each parsed by itself (`read_record`)."""
    next: str | None = None


class HistoryPage(_Answer):
    """A page of a job's batches, ascending."""

    tip: int
    batches: list[BatchFacts]
    more: bool = False
    kept: int | None = None


class _DamagedHistoryPage(HistoryPage):
    """A page whose batches are parsed one at a time."""

    batches: list[Any]


class Ticket(_Answer):
    """Opens one WebSocket, once, within 30 seconds."""

    ticket: str


class Share(_Answer):
    """A link that lets its holder read one job."""

    share: str
    principal: str
    note: str = ""
    created: int
    """Milliseconds since 1970, like the next two."""
    expires: int
    revoked: int | None = None


class NewShare(Share):
    """A new link with its secret, which is shown once."""

    secret: str


class SharePage(_Answer):
    """A job's links."""

    shares: list[Share]


class LiveAddress(_Answer):
    """What the viewer's /config.json says of the live connection."""

    live: str


class TransientError(Exception):
    """A failure that may be over soon. The message says what failed."""


class Api:
    """A client of one deployment with one viewer key. An asynchronous context manager.

    Every call raises Problem when it fails for good. A transient failure is retried (`BACKOFF`). With `patient` set, it
    is raised as TransientError instead, for a caller that waits as long as it takes.
    """

    def __init__(self, target: Target) -> None:
        self.patient = False
        self.attempts = ATTEMPTS
        self.clock_offset_s: float | None = None
        """How many seconds this machine's clock was ahead of the last answer's."""
        self._target = target
        self.insecure = target.insecure
        self._http = httpx.AsyncClient(
            headers={"Authorization": f"Bearer {target.viewer_key}", "Accept": "application/json"},
            timeout=TIMEOUT,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._http.aclose()

    async def me(self) -> Me:
        """Who the key belongs to."""
        return _read(Me, await self._call("GET", "/api/me"))

    async def jobs(self, filters: Mapping[str, str] | None = None) -> AsyncIterator[JobRecord]:
        """Yield the jobs that match, newest first. Of a damaged record, what can be read is yielded."""
        parameters = dict(filters or {})
        while True:
            page = _read(JobPage, await self._call("GET", "/api/jobs", parameters))
            for document in page.jobs:
                yield read_record(document)
            if page.next is None:
                return
            parameters["next"] = page.next

    async def job(self, job: str) -> JobRecord:
        """Return one job's record. Of a damaged record, return what can be read."""
        record = read_record(_read(_Document, await self._call("GET", f"/api/jobs/{job}")).root)
        return record if record.job else record.model_copy(update={"job": job})

    async def delete_job(self, job: str) -> None:
        """Delete a job and all that is stored of it."""
        await self._call("DELETE", f"/api/jobs/{job}")

    async def history(self, job: str, *, after: int, limit: int | None = None) -> Page:
        """Return the batches that hold entries after a sequence: about 1 MiB of them, or `limit` batches."""
        parameters = {"after": str(after)} | ({} if limit is None else {"limit": str(limit)})
        return await self._batches(job, parameters, after)

    async def history_before(self, job: str, *, before: int, limit: int) -> Page:
        """Return the last `limit` batches that hold entries before a sequence, ascending."""
        return await self._batches(job, {"before": str(before), "limit": str(limit)}, 0)

    async def share(self, job: str, expires_in: int, note: str) -> NewShare:
        """Create a link that works for `expires_in` seconds. Tried once: a second attempt could make a second link."""
        body = {"expires_in": expires_in, "note": note}
        try:
            return _read(NewShare, await self._once("POST", f"/api/jobs/{job}/shares", {}, body))
        except TransientError as trouble:
            raise Problem(f"{trouble}.", "Run `logferry share list` to see whether the link was created.") from None

    async def shares(self, job: str) -> list[Share]:
        """Return a job's links."""
        return _read(SharePage, await self._call("GET", f"/api/jobs/{job}/shares")).shares

    async def unshare(self, share: str) -> None:
        """Revoke a link."""
        await self._call("DELETE", f"/api/shares/{share}")

    async def ticket(self) -> str:
        """Return a one-time ticket for the viewers' WebSocket."""
        return _read(Ticket, await self._call("POST", "/api/tickets")).ticket

    async def viewers_url(self) -> str:
        """Return the address of the viewers' WebSocket, from the target or else from the viewer's configuration."""
        if self._target.viewers_url is not None:
            return self._target.viewers_url
        try:
            found = _read(LiveAddress, await self._call("GET", "/config.json"))
        except Problem:
            raise Problem(
                f"{self._target.api_url} does not name its WebSocket for viewers.",
                "Set LOGFERRY_VIEWERS_URL (the stack's output ViewersUrl).",
            ) from None
        return address(found.live, "ws", "config.json of the viewer", self._target.insecure)

    async def _batches(self, job: str, parameters: Mapping[str, str], after: int) -> Page:
        answer = await self._call("GET", f"/api/jobs/{job}/batches", parameters)
        try:
            page = HistoryPage.model_validate_json(answer.content)
            return Page(page.tip, page.batches, page.more, page.kept)
        except ValidationError:
            damaged = _read(_DamagedHistoryPage, answer)
        batches = read_batches(damaged.batches, after, damaged.tip, more=damaged.more)
        return Page(damaged.tip, batches, damaged.more, damaged.kept)

    async def _call(self, method: str, path: str, parameters: Mapping[str, str] | None = None) -> httpx.Response:
        for attempt in range(self.attempts):
            try:
                return await self._once(method, path, parameters or {})
            except TransientError as trouble:
                if self.patient:
                    raise
                if attempt + 1 == self.attempts:
                    raise Problem(f"{trouble}, {self.attempts} times.", "Try again later.") from None
                await asyncio.sleep(BACKOFF.delay(attempt + 1, random.random))
        raise AssertionError("at least one attempt is made")

    async def _once(
        self, method: str, path: str, parameters: Mapping[str, str], body: Mapping[str, Any] | None = None
    ) -> httpx.Response:
        try:
            response = await self._http.request(method, self._target.api_url + path, params=parameters, json=body)
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            cause = network_causes.of_connection(self._target.api_url, error)
            if self.patient:
                raise TransientError(cause.sentence.removesuffix(".")) from None
            # Refused or unknown: waiting does not start a cloud, so fail at once.
            raise cause from None
        except httpx.HTTPError as error:
            raise TransientError(f"{self._target.api_url} did not answer ({type(error).__name__})") from None
        self.clock_offset_s = network_causes.clock_offset(response.headers, time.time())
        if response.status_code in _TRANSIENT:
            raise TransientError(f"The API answered {response.status_code} ({_detail(response)})")
        if response.is_success:
            return response
        raise _refusal(response)


def _refusal(response: httpx.Response) -> Problem:
    match response.status_code:
        case 401:
            return Problem(
                "The viewer key was refused: it is not a key of this deployment, or it is expired or revoked.",
                "Set a valid key in LOGFERRY_VIEWER_KEY.",
            )
        # API Gateway's own answer has a `message`; a problem document of the API has a `title`.
        case 403 if "title" not in _document(response):
            return Problem(
                "The viewer key was refused: it is wrong, expired or revoked.",
                "Set a valid key in LOGFERRY_VIEWER_KEY (a local cloud's is in keys.json of its state folder).",
            )
        case 403:
            return Problem(f"You are not allowed to do this ({_detail(response)}).", "")
        case 404 if "title" not in _document(response):
            return Problem(
                f"{sanitize_word(str(response.url))} does not exist: this is not the address of Logferry's HTTP API or"
                " viewer.",
                "Set LOGFERRY_API_URL to the stack's output ViewerUrl or HttpUrl.",
            )
        case 404 | 410:
            return Problem(
                "There is no such job, or you may not read it.", "Run `logferry jobs` to list the jobs you can read."
            )
        case status:
            return Problem(f"The API answered {status} ({_detail(response)}).", "")


def _document(response: httpx.Response) -> dict[str, Any]:
    try:
        document = response.json()
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}


def _detail(response: httpx.Response) -> str:
    document = _document(response)
    for name in ("detail", "title", "message"):
        if isinstance(text := document.get(name), str) and text:
            return sanitize_word(text[:200])
    return response.reason_phrase or "no reason given"


def _read(model: type[Model], response: httpx.Response) -> Model:
    try:
        return model.model_validate_json(response.content)
    except ValidationError:
        raise Problem(
            f"{sanitize_word(str(response.url))} returned a response that is not Logferry's.",
            "Check that the address is the HTTP API's or the viewer's, and that this command has the same version.",
        ) from None
