"""The HTTP API of a deployment, as the commands use it."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Mapping
from types import TracebackType
from typing import Any, Final, Self, TypeVar

import httpx
from pydantic import BaseModel, ConfigDict, RootModel, ValidationError

from logferry_cli.problems import Problem
from logferry_cli.reader import Page
from logferry_cli.records import read_batches, read_record
from logferry_cli.target import Target, address
from logferry_cli.terminal import sanitize_word
from logferry_protocol.backoff import Backoff
from logferry_protocol.job import JobRecord
from logferry_protocol.messages import BatchFacts

ATTEMPTS: Final = 6
"""How often a request is tried."""

BACKOFF: Final = Backoff(first_s=0.5, longest_s=15.0)
"""Waits between attempts: at most 15.5 s in all."""

TIMEOUT: Final = httpx.Timeout(35.0, connect=10.0)
"""API Gateway gives an answer within 30 s or never."""

_TRANSIENT: Final = frozenset({429, 500, 502, 503, 504})


Model = TypeVar("Model", bound=BaseModel)


class _Answer(BaseModel):
    model_config = ConfigDict(extra="ignore")


class Me(_Answer):
    """Who the key belongs to."""

    principal: str
    subject: str = ""
    groups: list[str] = []
    admin: bool = False


class _Document(RootModel[dict[str, Any]]):
    """Any object."""


class JobPage(_Answer):
    """Jobs, and where the next ones begin."""

    jobs: list[Any]
    """Each read by itself (`read_record`)."""
    next: str | None = None


class HistoryPage(_Answer):
    """Batches of a job, ascending."""

    tip: int
    batches: list[BatchFacts]
    more: bool = False
    kept: int | None = None


class _DamagedHistoryPage(HistoryPage):
    """A page whose batches are read one at a time."""

    batches: list[Any]


class Ticket(_Answer):
    """Opens one WebSocket, once, within seconds."""

    ticket: str


class Share(_Answer):
    """A link by which one job may be read."""

    share: str
    principal: str
    note: str = ""
    created: int
    """Milliseconds since 1970, as the next two."""
    expires: int
    revoked: int | None = None


class NewShare(Share):
    """A link as it is shown once."""

    secret: str


class SharePage(_Answer):
    """A job's links."""

    shares: list[Share]


class LiveAddress(_Answer):
    """What the viewer's /config.json says of the live connection."""

    live: str


class TransientError(Exception):
    """Trouble that may be over soon; `str()` says which."""


class Api:
    """One deployment, by one viewer key. An asynchronous context manager.

    Every call raises Problem when no more can be done. Trouble that may pass is waited out for half a minute; with
    `patient` set, it is raised as TransientError instead, for a caller that waits as long as it takes.
    """

    def __init__(self, target: Target) -> None:
        self.patient = False
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
        """The jobs that match, the newest first; a record that is damaged, as far as it can be read."""
        parameters = dict(filters or {})
        while True:
            page = _read(JobPage, await self._call("GET", "/api/jobs", parameters))
            for document in page.jobs:
                yield read_record(document)
            if page.next is None:
                return
            parameters["next"] = page.next

    async def job(self, job: str) -> JobRecord:
        """One job's record; a damaged one as far as it can be read."""
        record = read_record(_read(_Document, await self._call("GET", f"/api/jobs/{job}")).root)
        return record if record.job else record.model_copy(update={"job": job})

    async def delete_job(self, job: str) -> None:
        """Delete a job and all that is stored of it."""
        await self._call("DELETE", f"/api/jobs/{job}")

    async def history(self, job: str, *, after: int, limit: int | None = None) -> Page:
        """The batches that hold entries after a sequence: about 1 MiB of them, or `limit` batches."""
        parameters = {"after": str(after)} | ({} if limit is None else {"limit": str(limit)})
        return await self._batches(job, parameters, after)

    async def history_before(self, job: str, *, before: int, limit: int) -> Page:
        """The last `limit` batches that hold entries before a sequence, ascending."""
        return await self._batches(job, {"before": str(before), "limit": str(limit)}, 0)

    async def share(self, job: str, expires_in: int, note: str) -> NewShare:
        """Make a link that works for so many seconds. Tried once: a second one would be a second link."""
        body = {"expires_in": expires_in, "note": note}
        try:
            return _read(NewShare, await self._once("POST", f"/api/jobs/{job}/shares", {}, body))
        except TransientError as trouble:
            raise Problem(f"{trouble}.", "`logferry share list` shows whether the link was made.") from None

    async def shares(self, job: str) -> list[Share]:
        """A job's links."""
        return _read(SharePage, await self._call("GET", f"/api/jobs/{job}/shares")).shares

    async def unshare(self, share: str) -> None:
        """Revoke a link."""
        await self._call("DELETE", f"/api/shares/{share}")

    async def ticket(self) -> str:
        """A one-time ticket for the viewers' WebSocket."""
        return _read(Ticket, await self._call("POST", "/api/tickets")).ticket

    async def viewers_url(self) -> str:
        """The viewers' WebSocket: as the target says it, else as the viewer's own configuration does."""
        if self._target.viewers_url is not None:
            return self._target.viewers_url
        try:
            found = _read(LiveAddress, await self._call("GET", "/config.json"))
        except Problem:
            raise Problem(
                f"{self._target.api_url} does not say where its WebSocket for viewers is.",
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
        for attempt in range(ATTEMPTS):
            try:
                return await self._once(method, path, parameters or {})
            except TransientError as trouble:
                if self.patient:
                    raise
                if attempt + 1 == ATTEMPTS:
                    raise Problem(f"{trouble}, {ATTEMPTS} times.", "Try again a little later.") from None
                await asyncio.sleep(BACKOFF.delay(attempt + 1, random.random))
        raise AssertionError("at least one attempt is made")

    async def _once(
        self, method: str, path: str, parameters: Mapping[str, str], body: Mapping[str, Any] | None = None
    ) -> httpx.Response:
        try:
            response = await self._http.request(method, self._target.api_url + path, params=parameters, json=body)
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            sentence = f"{self._target.api_url} cannot be reached ({str(error) or type(error).__name__})"
            if self.patient:
                raise TransientError(sentence) from None
            # Refused or unknown: waiting does not start a cloud, and the one who asks should hear of it at once.
            raise Problem(
                f"{sentence}.", "Is the address right? `logferry status` says whether the local cloud runs."
            ) from None
        except httpx.HTTPError as error:
            raise TransientError(f"{self._target.api_url} did not answer ({type(error).__name__})") from None
        if response.status_code in _TRANSIENT:
            raise TransientError(f"The API answered {response.status_code} ({_detail(response)})")
        if response.is_success:
            return response
        raise _refusal(response)


def _refusal(response: httpx.Response) -> Problem:
    match response.status_code:
        case 401:
            return Problem(
                "The viewer key was refused: it is not one of this deployment, or it is expired or revoked.",
                "Give a valid one in LOGFERRY_VIEWER_KEY.",
            )
        # API Gateway's own answer for an authorizer's no has a `message`; a problem document of ours has a `title`.
        case 403 if "title" not in _document(response):
            return Problem(
                "The viewer key was refused: it is wrong, expired or revoked.",
                "Give a valid one in LOGFERRY_VIEWER_KEY (a local cloud's is in keys.json of its state folder).",
            )
        case 403:
            return Problem(f"This is not allowed to you ({_detail(response)}).", "")
        case 404 | 410:
            return Problem(
                "There is no such job, or it is not yours to read.", "`logferry jobs` lists those you can read."
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
            f"{sanitize_word(str(response.url))} answered something that is not Logferry's.",
            "Is the address that of the HTTP API or of the viewer, and is this command of the deployment's version?",
        ) from None
