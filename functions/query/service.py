"""What the routes do, between core's decisions and the store's reads."""

import json
import secrets
from collections.abc import Callable, Mapping, Sequence
from itertools import islice
from typing import Any, Final

from logferry_protocol.job import JobRecord, split_job_id
from logferry_protocol.limits import MAX_SEQUENCE
from registry import jobs
from registry.principal import Principal
from registry.secrets import digest

from . import core, export
from .problems import BadRequestError, ForbiddenError, NotFoundError, ProblemError
from .store import Store

SCANNED_MOST: Final = 2_000
"""Job records read for one page of a filtered list; the list goes on where it stopped."""


class Service:
    """Serves one process's requests."""

    def __init__(self, store: Store, origins: Sequence[str], now_ms: Callable[[], int]) -> None:
        self._store, self._origins, self._now_ms = store, tuple(origins), now_ms

    def me(self, principal: Principal) -> dict[str, Any]:
        """Who asks."""
        return {
            "principal": principal.name,
            "subject": principal.subject,
            "groups": list(principal.groups),
            "admin": principal.admin,
        }

    # --- jobs

    def readable(self, principal: Principal, job: str) -> dict[str, Any]:
        """The item of a job that the principal may read: the gate in front of everything below `/api/jobs/{job}`.

        Raises:
            NotFoundError: there is none, or it is somebody else's.
        """
        try:
            split_job_id(job)
        except ValueError:
            raise NotFoundError from None
        item = self._store.job(job)
        if item is None or item.get("deleted") or not principal.may_read(item["owner"]):
            raise NotFoundError
        return item

    def job(self, principal: Principal, job: str) -> dict[str, Any]:
        """A job's record, its tip up to date."""
        item = self.readable(principal, job)
        heard = self._store.heard([(item["principal"], item["instance"])])
        tip = self._store.tip(job)
        return _document(self._record(item, heard, tip))

    def jobs(self, principal: Principal, query: Mapping[str, str], labels: Sequence[str]) -> dict[str, Any]:
        """A page of the jobs that the principal may read, the newest first."""
        limit = core.whole_number(query, "limit", core.JOBS_DEFAULT, 1, core.JOBS_MOST)
        wanted = core.Filter.of(query, labels)
        owners = principal.readable_owners()
        if wanted.owner is not None:
            owners = (wanted.owner,) if owners is None or wanted.owner in owners else ()
        found: list[JobRecord] = []
        place = core.list_place(query.get("next"))
        rows = self._store.jobs(owners, place, min(limit, 100))
        more = False
        scanned = 0
        while True:
            items = list(islice(rows, limit))
            if not items:
                break
            heard = self._store.heard((item["principal"], item["instance"]) for item in items)
            for item in items:
                if len(found) == limit:
                    more = True
                    break
                place = f"{int(item['created']):013d}#{item['job']}"
                record = self._record(item, heard)
                if not item.get("deleted") and wanted.matches(record):
                    found.append(record)
            scanned += len(items)
            if more or scanned >= SCANNED_MOST or len(found) == limit:
                more = True
                break
        return {"jobs": [_document(record) for record in found], "next": place if more else None}

    def _record(
        self, item: Mapping[str, Any], heard: Mapping[tuple[str, str], int], tip: int | None = None
    ) -> JobRecord:
        last_heard = heard.get((item["principal"], item["instance"]))
        return jobs.to_record(item, tip=tip, heard=last_heard, now=self._now_ms())

    # --- history

    def batches(self, principal: Principal, job: str, query: Mapping[str, str]) -> dict[str, Any]:
        """A page of batches: ascending after a sequence, or the last ones before it (ascending in the answer too)."""
        self.readable(principal, job)
        wanted = core.Range.of(query)
        if wanted.before is not None:
            found, backwards = self._store.batches_before(job, wanted.before), True
        else:
            found, backwards = self._store.batches_after(job, wanted.after or 0), False
        page, more = core.Page(wanted.limit), False
        for item in found:
            if not page.take(item):
                more = True
                break
        batches = page.items[::-1] if backwards else page.items
        # Read last, so that it is never behind what the page holds.
        return {"tip": self._store.tip(job), "batches": [core.batch_document(item) for item in batches], "more": more}

    def export(self, principal: Principal, job: str, query: Mapping[str, str]) -> export.Page:
        """A page of the log as text or as JSON lines."""
        self.readable(principal, job)
        form = query.get("format", "jsonl")
        if form not in export.CONTENT_TYPES:
            raise BadRequestError("format must be text or jsonl")
        after = core.whole_number(query, "after", 0, 0, MAX_SEQUENCE)
        most = core.whole_number(query, "limit", export.PAGE_RAW_BYTES, 1, export.PAGE_RAW_BYTES)
        found = ((item["first"], item["raw"], item["body"]) for item in self._store.batches_after(job, after))
        return export.page(job, form, found, after=after, most=most)

    # --- tickets

    def ticket(self, principal: Principal, origin: str | None) -> dict[str, Any]:
        """A ticket that opens one viewers' WebSocket within 30 seconds, from the same origin."""
        if origin is not None and origin not in self._origins:
            raise ForbiddenError(f"Pages of {origin[:200]} may not connect here.")
        ticket = secrets.token_urlsafe(32)
        until = self._now_ms() + core.TICKET_MS
        self._store.put_ticket(digest(ticket), principal.to_context(), origin, until)
        return {"ticket": ticket, "expires": until}


def _document(record: JobRecord) -> dict[str, Any]:
    return json.loads(record.model_dump_json())  # type: ignore[no-any-return]


__all__ = ["ProblemError", "Service"]
