"""How far the running jobs of a list's page have got."""

from collections.abc import Iterable, Mapping
from concurrent.futures import Executor, wait
from typing import Any, Final

from aws_lambda_powertools import Logger
from botocore.exceptions import BotoCoreError, ClientError

from registry import jobs
from runtime.aws_errors import is_transient

from .store import Store

TIMEOUT_S: Final = 2.0
"""How long a list waits for the tips of its jobs, all together."""


class CurrentTips:
    """Reads where the logs of running jobs end.

    Their records are written on a change of state and every few minutes, not per batch, so that a batch costs one
    write; who asks for a list pays for the truth instead. A running job costs one query, which leaves the body where it
    is, and is read as the list itself is, eventually consistent: half a read unit for 4 KB of the last batch, so three
    at most. One of which the table has nothing costs a look at its archive's tip besides, one unit. DynamoDB has no
    batch of queries, so as many are under way as the executor has workers; a page has `core.JOBS_MOST` jobs at most.
    """

    def __init__(self, store: Store, executor: Executor, logger: Logger, timeout_s: float = TIMEOUT_S) -> None:
        self._store, self._executor, self._logger, self._timeout_s = store, executor, logger, timeout_s

    def of(self, items: Iterable[Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
        """The jobs' records as their logs make them, by job; as recorded where a table takes no more or takes long."""
        known = {item["job"]: item for item in items}
        asked = {self._executor.submit(self._with_current_tip, item): job for job, item in known.items()}
        done, late = wait(asked, self._timeout_s)
        for question in late:
            question.cancel()
        unread = len(late)
        for question in done:
            try:
                known[asked[question]] = question.result()
            except (BotoCoreError, ClientError) as error:
                if not is_transient(error):
                    raise
                unread += 1
        if unread:
            self._logger.warning("tips could not be read; a list shows the recorded ones", extra={"jobs": unread})
        return known

    def _with_current_tip(self, item: Mapping[str, Any]) -> Mapping[str, Any]:
        newest = self._store.newest(item["job"], consistent=False)
        if newest is not None:
            return jobs.with_batches(item, [newest])
        # No line yet, or the table has forgotten them all, and its agent was gone before it could tell the last tip.
        return {**item, "tip": max(int(item.get("tip") or 0), self._store.archived_tip(item["job"]))}
