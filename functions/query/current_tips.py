"""Reads the current tips of the running jobs of a list's page."""

from collections.abc import Iterable, Mapping
from concurrent.futures import Executor, wait
from typing import Any, Final

from aws_lambda_powertools import Logger
from botocore.exceptions import BotoCoreError, ClientError

from registry import jobs
from runtime.aws_errors import is_transient

from .store import Store

TIMEOUT_S: Final = 2.0
"""How long a list waits for the tips of all its jobs together."""


class CurrentTips:
    """Reads where the logs of running jobs end.

    Job records are written on a change of state and every few minutes, not for each batch, so that a batch costs one
    write. Instead, a request for a list reads the tips. A running job costs one query, which does not read the
    body. The query is eventually consistent, as the list itself is: half a read unit for each 4 KB of the last batch,
    so at most three. A job of which the table has nothing costs one unit more, for its archive's tip. DynamoDB has no
    batch of queries, so the executor's workers run them side by side. A page has at most `core.JOBS_MOST` jobs.
    """

    def __init__(self, store: Store, executor: Executor, logger: Logger, timeout_s: float = TIMEOUT_S) -> None:
        self._store, self._executor, self._logger, self._timeout_s = store, executor, logger, timeout_s

    def of(self, items: Iterable[Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
        """Return the records with current tips, by job. Where a table throttles or is slow, the recorded tip stays."""
        known = {item["job"]: item for item in items}
        futures = {self._executor.submit(self._with_current_tip, item): job for job, item in known.items()}
        done, late = wait(futures, self._timeout_s)
        for future in late:
            future.cancel()
        unread = len(late)
        for future in done:
            try:
                known[futures[future]] = future.result()
            except (BotoCoreError, ClientError) as error:
                if not is_transient(error):
                    raise
                unread += 1
        if unread:
            self._logger.warning("tips could not be read; the list shows recorded tips", extra={"jobs": unread})
        return known

    def _with_current_tip(self, item: Mapping[str, Any]) -> Mapping[str, Any]:
        newest = self._store.newest(item["job"], consistent=False)
        if newest is not None:
            return jobs.with_batches(item, [newest])
        # There is no entry yet, or the table has forgotten them all and the agent was gone before it sent the last tip.
        return {**item, "tip": max(int(item.get("tip") or 0), self._store.archived_tip(item["job"]))}
