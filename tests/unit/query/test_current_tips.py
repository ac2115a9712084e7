"""Test that a job list is current for running jobs, whatever their records say."""

from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from typing import Any

import pytest
from aws_lambda_powertools import Logger
from tests.support.batches import CONTAINER, NOW_MS, batch
from tests.support.cloud import Cloud, Socket, cloud_in_memory
from tests.support.tables import failure

import query.store
from query.current_tips import CurrentTips
from registry.jobs import LOST_AFTER_MS

JOB = f"web.{CONTAINER}"
END_MS = NOW_MS + 5_000


@pytest.fixture
def cloud() -> Iterator[Cloud]:
    made = cloud_in_memory()
    yield made
    made.executor.shutdown()


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Record the jobs whose tips were read, in order."""
    jobs: list[str] = []
    read = query.store.Store.newest

    def newest(store: query.store.Store, job: str, *, consistent: bool = True) -> Any:
        jobs.append(job)
        return read(store, job, consistent=consistent)

    monkeypatch.setattr(query.store.Store, "newest", newest)
    return jobs


def listed(cloud: Cloud, key: str, parameters: str = "") -> dict[str, Any]:
    """Return the list's records by job."""
    return {record["job"]: record for record in cloud.http("GET", f"/api/jobs?{parameters}", key).json["jobs"]}


def note(agent: Socket, state: str, tip: int, container: str = CONTAINER, **more: Any) -> None:
    """Report the agent's progress."""
    job = {"job": container, "life": {"state": state}, "tip": tip, "bytes": 1, "gaps": 0, **more}
    assert agent.say({"type": "status", "id": "s", "instance": "ENGINE", "jobs": [job]})["type"] == "noted"


def test_list_shows_a_running_jobs_current_progress(cloud: Cloud, agent: Socket, key: str) -> None:
    """Its lines, last entry's time and last heard time between two statuses; nothing is written."""
    cloud.send(agent, 1)
    note(agent, "running", 3, last=NOW_MS * 1000)
    cloud.now_ms = END_MS + 100
    cloud.send(agent, 4, time=END_MS * 1000)
    before = cloud.snapshot()
    assert (before[f"JOB#{JOB}/JOB"]["tip"], before[f"JOB#{JOB}/JOB"]["last"]) == (3, NOW_MS)
    record = listed(cloud, key)[JOB]
    assert (record["tip"], record["last"], record["seen"]) == (6, END_MS, END_MS + 100)
    assert cloud.http("GET", f"/api/jobs/{JOB}", key).json == record
    after = cloud.snapshot()
    assert {place: after[place] for place in before} == before


def test_record_that_knows_more_than_the_table_wins(cloud: Cloud, agent: Socket, key: str) -> None:
    """Retention removed the last or all batches. The archive knows what the agent never reported."""
    cloud.send(agent, 1)
    cloud.send(agent, 4)
    note(agent, "running", 6, last=END_MS * 1000)
    cloud.expire(4)
    record = listed(cloud, key)[JOB]
    assert (record["tip"], record["last"]) == (6, END_MS)
    cloud.expire(1)
    assert listed(cloud, key)[JOB]["tip"] == 6
    cloud.put(f"JOB#{JOB}", "ARCHIVE", tip=9)
    assert listed(cloud, key)[JOB]["tip"] == 9


def test_lost_job_has_its_logs_progress(cloud: Cloud, agent: Socket, key: str) -> None:
    """Its agent was gone before it could report."""
    cloud.send(agent, 1)
    cloud.now_ms += LOST_AFTER_MS + 1
    record = listed(cloud, key, "state=lost")[JOB]
    assert (record["life"]["state"], record["tip"]) == ("lost", 3)


def test_only_running_jobs_of_the_page_are_read(cloud: Cloud, agent: Socket, key: str, asked: list[str]) -> None:
    """None that ended, was deleted or filtered out, is on a later page, or may not be read."""
    ended, deleted, named, older = ("d" * 64, "e" * 64, "f" * 64, "0" * 64)
    for container, life in ((ended, "exited"), (deleted, "running"), (named, "running"), (older, "running")):
        cloud.open_job(
            agent, container, container={"name": container[0]},
            life={"state": life, "created": 1 if container == older else NOW_MS},
        )  # fmt: skip
    others = cloud.agent(cloud.agent_key("db", owner="another"))
    cloud.open_job(others)
    assert cloud.http("DELETE", f"/api/jobs/web.{deleted}", key).status == 202
    asked.clear()
    found = listed(cloud, key, "limit=3")
    assert set(found) == {JOB, f"web.{ended}", f"web.{named}"}
    assert sorted(asked) == sorted({JOB, f"web.{named}"})
    asked.clear()
    assert set(listed(cloud, key, "name=f")) == {f"web.{named}"}
    assert asked == [f"web.{named}"]
    asked.clear()
    assert set(listed(cloud, key, "state=exited")) == {f"web.{ended}"}
    assert listed(cloud, key, "owner=another") == {}
    assert listed(cloud, cloud.viewer_key("stranger", groups=())) == {}
    assert asked == []


def failing(cloud: Cloud, error: Exception) -> Callable[[str, str], None]:
    """Make every read of the log table fail."""

    def before(operation: str, table: str) -> None:
        if (operation, table) == ("Query", cloud.tables.log):
            raise error

    return before


@pytest.mark.parametrize("code", ["ProvisionedThroughputExceededException", "InternalServerError"])
def test_throttled_tip_is_shown_as_recorded(cloud: Cloud, agent: Socket, key: str, code: str) -> None:
    """The list is answered all the same."""
    cloud.send(agent, 1)
    note(agent, "running", 3)
    cloud.send(agent, 4)
    cloud.tables.dynamodb.before = failing(cloud, failure("Query", code))
    assert listed(cloud, key)[JOB]["tip"] == 3


def test_list_without_the_permission_fails(cloud: Cloud, agent: Socket, key: str) -> None:
    """A misconfiguration does not pass by itself, so it is not hidden."""
    cloud.send(agent, 1)
    cloud.tables.dynamodb.before = failing(cloud, failure("Query", "AccessDeniedException"))
    assert cloud.http("GET", "/api/jobs", key).status == 500


class StallingExecutor(Executor):
    """Answer for some jobs at once, and never for the others."""

    def __init__(self, *never: str) -> None:
        self._never = never
        self.left: list[Future[Any]] = []

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        if args[0]["job"] in self._never:
            self.left.append(future)
        else:
            future.set_result(fn(*args, **kwargs))
        return future


def test_slow_tip_is_shown_as_recorded(cloud: Cloud) -> None:
    """Reads that have not begun by then are skipped."""
    fast, slow = f"web.{'1' * 64}", f"web.{'2' * 64}"
    for job in (fast, slow):
        cloud.ingest_store.put_batch(job, batch(1), NOW_MS)
    executor = StallingExecutor(slow)
    store = query.store.Store(cloud.tables.dynamodb, cloud.tables.log, cloud.tables.registry)
    grown = CurrentTips(store, executor, Logger(service="tests", level="CRITICAL"), timeout_s=0).of(
        [{"job": fast, "tip": 1}, {"job": slow, "tip": 1}]
    )
    assert {job: item["tip"] for job, item in grown.items()} == {fast: 3, slow: 1}
    assert [future.cancelled() for future in executor.left] == [True]
