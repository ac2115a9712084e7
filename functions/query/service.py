"""Does what the routes ask for, between core's decisions and the store's reads."""

import json
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, Final

from logferry_protocol.job import JobRecord, split_job_id
from logferry_protocol.limits import MAX_SEQUENCE
from registry import jobs
from registry.principal import Principal
from registry.tombstone import YEAR_S
from runtime.answer_size import encoded_bytes, to_json
from runtime.keys import secret_digest

from . import core, export, search, shares, time_lookup
from .current_tips import CurrentTips
from .history import History
from .line_assembler import Batch
from .problems import BadRequestError, ForbiddenError, NotFoundError
from .store import Store

AUDITED: Final = ("at", "did", "principal", "share")

SCANNED_MOST: Final = 2_000
"""The most job records read for one page of a filtered list. The next page continues where it stopped."""


class Service:
    """Serves the requests of one process."""

    def __init__(
        self,
        store: Store,
        history: History,
        current_tips: CurrentTips,
        *,
        origins: Sequence[str],
        erase: Callable[[str], None],
        now_ms: Callable[[], int],
        note_damaged: Callable[[jobs.DamagedRecordError], None] = lambda _error: None,
    ) -> None:
        """`note_damaged` gets the errors of records that cannot be shown."""
        self._note_damaged = note_damaged
        self._store, self._history, self._current_tips = store, history, current_tips
        self._origins, self._erase, self._now_ms = tuple(origins), erase, now_ms
        self._read: set[tuple[str, str]] = set()

    def me(self, principal: Principal) -> dict[str, Any]:
        """Return who is signed in."""
        return {
            "principal": principal.name,
            "subject": principal.subject,
            "groups": list(principal.groups),
            "groups_left_out": principal.left_out,
            "admin": principal.admin,
            "job": principal.job or None,
        }

    # --- jobs

    def readable(self, principal: Principal, job: str) -> dict[str, Any]:
        """Return the item of a job that the principal may read. Everything below `/api/jobs/{job}` passes here.

        Raises:
            NotFoundError: there is no such job, or the principal may not read it.
        """
        try:
            split_job_id(job)
        except ValueError:
            raise NotFoundError from None
        item = self._store.job(job)
        if item is None or item.get("deleted") or not principal.may_read(owner_of(item), job):
            raise NotFoundError
        return item

    def manageable(self, principal: Principal, job: str) -> dict[str, Any]:
        """Return the item of a job that the principal may share and delete.

        Raises:
            NotFoundError: the principal may not read it.
            ForbiddenError: the principal may only read it, by a share.
        """
        item = self.readable(principal, job)
        if not principal.may_manage(owner_of(item), job):
            raise ForbiddenError("A share link can only read its job.")
        return item

    def job(self, principal: Principal, job: str) -> dict[str, Any]:
        """Return a job's record with its current tip.

        Raises:
            NotFoundError: there is no such job, the principal may not read it, or its record cannot be read.
        """
        item = self.readable(principal, job)
        newest = self._store.newest(job)
        now = item if newest is None else jobs.with_batches(item, [newest])
        heard = self._store.last_heard([jobs.instance_of(item)])
        record = self._record(now, heard, self._store.archived_tip(job))
        if record is None:
            raise NotFoundError("The job's record is damaged. Open the job by its id to read its lines.")
        return _document(record)

    def jobs(self, principal: Principal, query: Mapping[str, str], labels: Sequence[str]) -> dict[str, Any]:
        """Return a page of the jobs that the principal may read, the newest first, with current tips for running ones.

        Filters look at the recorded values. Tips are read only for jobs that pass them.
        """
        if principal.grant:
            return {"jobs": [self.job(principal, principal.job)], "next": None}
        limit = core.whole_number(query, "limit", core.JOBS_DEFAULT, 1, core.JOBS_MOST)
        wanted = core.JobFilter.of(query, labels)
        owners = principal.readable_owners()
        if wanted.owner is not None:
            owners = (wanted.owner,) if owners is None or wanted.owner in owners else ()
        found: list[JobRecord] = []
        running: list[Mapping[str, Any]] = []
        heard: dict[tuple[str, str], int] = {}
        position = core.parse_list_next(query.get("next"))
        rows = self._store.jobs(owners, position, min(limit, 100), latest=jobs.latest_list_position(self._now_ms()))
        more = False
        scanned = size = 0
        while True:
            items = list(islice(rows, limit))
            if not items:
                break
            heard |= self._store.last_heard(map(jobs.instance_of, items))
            for item in items:
                if len(found) == limit or size >= core.JOBS_BYTES:
                    more = True
                    break
                position = jobs.list_position(item)
                record = None if item.get("deleted") else self._record(item, heard)
                if record is not None and wanted.matches(record):
                    found.append(record)
                    size += encoded_bytes(to_json(_document(record)))
                    if not record.life.over:  # a lost job is recorded as running
                        running.append(item)
            scanned += len(items)
            if more or scanned >= SCANNED_MOST or len(found) == limit:
                more = True
                break
        current = self._current_tips.of(running)
        records = [(self._record(current[one.job], heard) if one.job in current else None) or one for one in found]
        return {"jobs": [_document(record) for record in records], "next": position if more else None}

    def _record(
        self, item: Mapping[str, Any], heard: Mapping[tuple[str, str], int], tip: int | None = None
    ) -> JobRecord | None:
        """Return the record of an item, or None (and a metric) if it cannot be read."""
        try:
            return jobs.to_record(item, tip=tip, heard=heard.get(jobs.instance_of(item)), now=self._now_ms())
        except jobs.DamagedRecordError as error:
            self._note_damaged(error)
            return None

    # --- history

    def batches(self, principal: Principal, job: str, query: Mapping[str, str]) -> dict[str, Any]:
        """Return a page of batches after a sequence, or the last ones before it. Both are ascending in the answer."""
        item = self.readable(principal, job)
        wanted = core.HistoryRange.of(query)
        self._audit_read(principal, job)
        tip = self._tip(item)
        if wanted.before is not None:
            found = self._history.before(job, wanted.before, tip)
        else:
            found = self._history.after(job, wanted.after or 0, tip)
        page, more = core.BatchPage(wanted.limit), False
        for batch in found:
            if not page.take(batch):
                more = True
                break
        batches = page.items if wanted.before is None else page.items[::-1]
        # The page may hold what was stored during this read, after the tip was read.
        tip = max([tip, *(core.last_of(batch) for batch in batches[-1:])])
        return {
            "tip": tip,
            "kept": core.kept_from(wanted, batches, tip, more=more),
            "batches": [core.batch_document(batch) for batch in batches],
            "more": more,
        }

    def export(self, principal: Principal, job: str, query: Mapping[str, str]) -> export.ExportPage:
        """Return a page of the log as text or as JSON lines."""
        item = self.readable(principal, job)
        form = query.get("format", "jsonl")
        if form not in export.CONTENT_TYPES:
            raise BadRequestError("format must be text or jsonl")
        after = core.whole_number(query, "after", 0, 0, MAX_SEQUENCE)
        most = core.whole_number(query, "limit", export.PAGE_RAW_BYTES, 1, export.PAGE_RAW_BYTES)
        self._audit_read(principal, job)
        return export.page(job, form, self._bodies(job, after, self._tip(item)), after=after, most=most)

    def search(self, principal: Principal, job: str, query: Mapping[str, str]) -> dict[str, Any]:
        """Return the lines that match. The next search continues where the answer ends."""
        item = self.readable(principal, job)
        wanted = search.SearchQuery.of(query)
        self._audit_read(principal, job)
        tip = self._tip(item)
        batches = (_searched(batch) for batch in self._history.after(job, wanted.after, tip))

        def earlier(sequence: int) -> Iterator[Batch]:
            return (_searched(batch) for batch in self._history.before(job, sequence, tip))

        return {"tip": tip, **search.search(wanted, batches, earlier)}

    def sequence_at(self, principal: Principal, job: str, query: Mapping[str, str]) -> dict[str, Any]:
        """Return the first sequence at a time or later."""
        item = self.readable(principal, job)
        us, tip = time_lookup.parse_time(query.get("time")), self._tip(item)
        return {
            "sequence": time_lookup.sequence_at(us, tip, lambda sequence: self._history.run_at(job, sequence)),
            "tip": tip,
        }

    def _tip(self, item: Mapping[str, Any]) -> int:
        """Return a job's last sequence. The log table forgets; record and archive are written later than it."""
        return max(self._store.tip(item["job"]), int(item.get("tip") or 0), self._store.archived_tip(item["job"]))

    def _bodies(self, job: str, after: int, tip: int) -> Iterator[tuple[int, int, bytes]]:
        return ((batch["first"], batch["raw"], batch["body"]) for batch in self._history.after(job, after, tip))

    # --- share links

    def create_share(self, principal: Principal, job: str, document: Any) -> dict[str, Any]:
        """Create a share of a job. Only this answer has the secret; it travels in a URL's fragment."""
        item = self.manageable(principal, job)
        life_s, note = shares.parse_share(document)
        secret, grant = shares.new_share(job, item["owner"], principal, life_s=life_s, note=note, now_ms=self._now_ms())
        self._store.put_share(grant)
        self._audit(principal, job, "share", share=grant["pk"].removeprefix("GRANT#"))
        return {**shares.share_document(grant), "secret": secret}

    def list_shares(self, principal: Principal, job: str) -> dict[str, Any]:
        """Return the shares of a job."""
        self.manageable(principal, job)
        return {"shares": [shares.share_document(item) for item in self._store.shares(job)]}

    def revoke_share(self, principal: Principal, share: str) -> dict[str, Any]:
        """Revoke a share. The connections that it opened are closed."""
        grant = self._store.share(share) if shares.is_share(share) else None
        if grant is None or principal.grant or not principal.may_manage(grant["owner"], grant["job"]):
            raise NotFoundError("There is no such share link, or it is not yours.")
        now = self._now_ms()
        self._store.revoke_share(share, now)
        self._audit(principal, grant["job"], "unshare", share=share)
        return shares.share_document({**grant, "revoked": grant.get("revoked") or now})

    # --- deletion

    def delete(self, principal: Principal, job: str) -> dict[str, Any]:
        """Delete a job: first the tombstones, so that nothing is read or written, then its data, in the background."""
        item = self.manageable(principal, job)
        now = self._now_ms()
        self._store.mark_deleted(job, principal.name, now)
        self._store.put_tombstone(job, self._tip(item), now)
        self._audit(principal, job, "delete")
        self._erase(job)
        return {"job": job, "deleted": now}

    # --- who did what

    def audit(self, principal: Principal, job: str, query: Mapping[str, str]) -> dict[str, Any]:
        """Return who read, shared or deleted a job, the newest first. It also works after the deletion."""
        try:
            split_job_id(job)
        except ValueError:
            raise NotFoundError from None
        item = self._store.job(job)
        if item is None or not principal.may_read(owner_of(item), job):
            raise NotFoundError
        if not principal.may_manage(owner_of(item), job):
            raise ForbiddenError("A share link can only read its job.")
        limit = core.whole_number(query, "limit", 100, 1, 500)
        found = self._store.audit(job, core.parse_audit_next(query.get("next")), limit)
        records = [{name: record[name] for name in AUDITED if name in record} for record in found]
        return {"records": records, "next": found[-1]["sk"] if len(found) == limit else None}

    def _audit(self, principal: Principal, job: str, did: str, **more: str) -> None:
        now = self._now_ms()
        attributes = {"did": did, "principal": principal.name, "at": now, "expires": now // 1000 + YEAR_S, **more}
        self._store.put_audit(job, f"{now:013d}#{did}#{secrets.token_hex(4)}", attributes)

    def _audit_read(self, principal: Principal, job: str) -> None:
        # One record an hour and reader is enough: a viewer reads page after page.
        now = self._now_ms()
        hour = now - now % 3_600_000
        audit_key = f"{hour:013d}#read#{principal.name}"
        if (job, audit_key) in self._read:
            return
        attributes = {"did": "read", "principal": principal.name, "at": now, "expires": now // 1000 + YEAR_S}
        self._store.put_audit(job, audit_key, attributes)
        if len(self._read) > 10_000:
            self._read.clear()
        self._read.add((job, audit_key))

    # --- tickets

    def create_ticket(self, principal: Principal, origin: str | None) -> dict[str, Any]:
        """Create a ticket that opens one viewers' WebSocket within 30 seconds, from the same origin."""
        if origin is not None and origin not in self._origins:
            raise ForbiddenError(f"Pages from {origin[:200]} may not use this API.")
        ticket = secrets.token_urlsafe(32)
        until = self._now_ms() + core.TICKET_MS
        self._store.put_ticket(secret_digest(ticket), principal.to_context(), origin, until)
        return {"ticket": ticket, "expires": until}


def _searched(batch: Mapping[str, Any]) -> Batch:
    return batch["first"], batch["count"], batch["raw"], batch["body"]


def owner_of(item: Mapping[str, Any]) -> str:
    """Return the owner of a job's item. Only an admin may read a job without one."""
    return str(item.get("owner") or "")


def _document(record: JobRecord) -> dict[str, Any]:
    return json.loads(record.model_dump_json())  # type: ignore[no-any-return]
