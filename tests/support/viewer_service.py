"""Extend the fake cloud with search, times and share links: the query function's own code over its memory."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from aiohttp import web
from tests.support.viewer_cloud import DIST, Job, ViewerCloud, index_of, problem

from query import search, shares, time_lookup
from query.core import ParameterError
from query.history import EntryRun
from query.line_assembler import Batch
from registry.principal import Principal
from runtime.keys import secret_digest


class ViewerService(ViewerCloud):
    """Serve everything that the viewer requests from the HTTP API."""

    def __init__(self, dist: Path = DIST) -> None:
        super().__init__(dist)
        self.search_delay = 0.0
        self.grants: dict[str, dict[str, Any]] = {}
        """Share links by id, as the registry keeps them."""

    def add_routes(self, app: web.Application) -> None:
        """Add search, times, share links."""
        app.router.add_get("/api/jobs/{job}/search", self._search)
        app.router.add_get("/api/jobs/{job}/at", self._at)
        app.router.add_get("/api/jobs/{job}/shares", self._shares)
        app.router.add_post("/api/jobs/{job}/shares", self._share)
        app.router.add_delete("/api/shares/{share}", self._unshare)

    def grant(self, request: web.Request) -> dict[str, Any] | None:
        """Return the share link behind a request, as the registry keeps it."""
        secret = request.headers.get("Authorization", "").removeprefix("Bearer ")
        return next((grant for grant in self.grants.values() if grant["sha256"] == secret_digest(secret)), None)

    async def _search(self, request: web.Request) -> web.Response:
        if refused := self.refused(request):
            return refused
        job = self.readable(request.match_info["job"], request)
        if job is None:
            return problem(404, "There is no such job, or it is another owner's.")
        if self.search_delay:
            await asyncio.sleep(self.search_delay)
        try:
            wanted = search.SearchQuery.of(request.query)
        except ParameterError as error:
            return problem(400, str(error))
        found = await asyncio.to_thread(search.search, wanted, _after(job, wanted.after), partial(_before, job))
        return web.json_response({"tip": job.tip, **found})

    async def _at(self, request: web.Request) -> web.Response:
        if refused := self.refused(request):
            return refused
        job = self.readable(request.match_info["job"], request)
        if job is None:
            return problem(404, "There is no such job, or it is another owner's.")

        def run_at(sequence: int) -> EntryRun | None:
            index = index_of(job.batches, sequence)
            if index == len(job.batches):
                return None
            facts = job.batches[index]
            return EntryRun(facts.first, facts.last, facts.end, lambda: [{**job.facts[index], "body": facts.body}])

        us = time_lookup.parse_time(request.query.get("time"))
        return web.json_response({"sequence": time_lookup.sequence_at(us, job.tip, run_at), "tip": job.tip})

    async def _shares(self, request: web.Request) -> web.Response:
        if refused := self.refused(request) or self._no_member(request):
            return refused
        listed = [grant for grant in self.grants.values() if grant["job"] == request.match_info["job"]]
        newest = sorted(listed, key=lambda grant: str(grant["ssk"]), reverse=True)
        return web.json_response({"shares": [shares.share_document(grant) for grant in newest]})

    async def _share(self, request: web.Request) -> web.Response:
        if refused := self.refused(request) or self._no_member(request):
            return refused
        try:
            life, note = shares.parse_share(await request.json())
        except ParameterError as error:
            return problem(400, str(error))
        who = Principal(kind="viewer", name="me", credential="")
        now = time.time_ns() // 1_000_000
        secret, grant = shares.new_share(request.match_info["job"], "local", who, life_s=life, note=note, now_ms=now)
        self.grants[grant["pk"].removeprefix("GRANT#")] = grant
        return web.json_response({**shares.share_document(grant), "secret": secret}, status=201)

    async def _unshare(self, request: web.Request) -> web.Response:
        if refused := self.refused(request) or self._no_member(request):
            return refused
        grant = self.grants.get(request.match_info["share"])
        if grant is None:
            return problem(404, "There is no such share link, or it is not yours.")
        grant.setdefault("revoked", time.time_ns() // 1_000_000)
        return web.json_response(shares.share_document(grant))

    def _no_member(self, request: web.Request) -> web.Response | None:
        if self.grant(request) is None:
            return None
        return problem(403, "A share link can only read its job.")


def _after(job: Job, sequence: int) -> Iterator[Batch]:
    for facts in job.batches[index_of(job.batches, sequence + 1) :]:
        yield facts.first, facts.count, facts.raw, facts.body


def _before(job: Job, sequence: int) -> Iterator[Batch]:
    for facts in reversed(job.batches):
        if facts.first < sequence:
            yield facts.first, facts.count, facts.raw, facts.body
