"""Read a job's stored entries page by page. The next page is fetched while one is processed."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from time import monotonic

from logferry_cli.api import Api
from logferry_cli.reader import Page, Reader, Taken


async def stored_entries(api: Api, job: str, *, after: int = 0, tip: int | None = None) -> AsyncIterator[Taken]:
    """Yield the entries after a sequence, in order.

    Args:
        api: The deployment.
        job: The job's id.
        after: Begin after this sequence.
        tip: End with this sequence; None: with the last one stored at the first response.

    Raises:
        Problem: The API refuses or stays silent.
    """
    reader = Reader(random.random, after)
    first = await api.history(job, after=after)
    end = first.tip if tip is None else tip
    reader.update_tip(end, monotonic(), at_once=True)
    reader.request(monotonic())
    fetching: asyncio.Task[Page] | None = None
    page: Page | None = first
    try:
        while True:
            if page is not None:
                reader.answer(page, monotonic())
            # Send the next request before the entries are handed on, so that it is under way while they are processed.
            asked = reader.request(monotonic())
            fetching = asyncio.create_task(api.history(job, after=asked)) if asked is not None else None
            for taken in reader.take():
                yield taken
            if reader.position >= end:
                return
            if fetching is not None:
                page = await fetching
            else:
                page = None
                await asyncio.sleep(max(0.0, (reader.due or monotonic()) - monotonic()))
    finally:
        if fetching is not None and not fetching.done():
            fetching.cancel()


async def last_sequence(api: Api, job: str) -> int:
    """Return the last stored sequence."""
    return (await api.history_before(job, before=2**53 - 1, limit=1)).tip
