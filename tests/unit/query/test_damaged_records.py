"""Test records that an earlier version should not have stored: shown, repaired, and hiding nothing else."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.support import cloud as support
from tests.support.batches import NOW_MS
from tests.support.cloud import Cloud

from logferry_protocol import limits
from logferry_protocol.job import JobRecord
from query.store import Store
from registry import items, jobs

FAR = limits.MAX_TIME_MS
"""The end of the year 9999, which an agent of 0.1.0 could send."""
SAFE = 2**53 - 1


@pytest.fixture
def cloud() -> Iterator[Cloud]:
    made = support.cloud_in_memory()
    yield made
    made.executor.shutdown()


def store(cloud: Cloud, number: int, *, created: int = NOW_MS, owner: str = "team", **attributes: Any) -> str:
    """Store a record as 0.1.0 did and return the job's id."""
    job = f"web.{number:064x}"
    order = {"created": created, **jobs.index_attributes(job, owner, created)}
    facts = {"job": job, "owner": owner, "principal": "web", "instance": "ENGINE", "seen": NOW_MS, "container": {}}
    life = {"state": "exited", "created": created}
    cloud.put(f"JOB#{job}", "JOB", **{**order, **facts, "life": life, **attributes})
    return job


def listed(cloud: Cloud, limit: int, key: str) -> list[dict[str, Any]]:
    """Return every job, page by page; no page may fail, repeat, or go back."""
    found: list[dict[str, Any]] = []
    place = ""
    while True:
        answer = cloud.http("GET", f"/api/jobs?limit={limit}{place}", key)
        assert answer.status == 200, answer.body
        found += answer.json["jobs"]
        if answer.json["next"] is None:
            return found
        place = "&next=" + answer.json["next"].replace("#", "%23")


def test_poisoned_number_of_an_earlier_version_is_clamped(cloud: Cloud) -> None:
    """A viewer of 0.1.0 accepts exact integers only, and refuses a page with another number."""
    key = cloud.viewer_key()
    poisoned = store(
        cloud, 1, life={"state": "exited", "exit_code": 2**60, "restarts": 2**60, "ended": 2**60}, bytes=2**60,
        gaps=2**60, last=2**60, tip=2**60,
    )  # fmt: skip
    store(cloud, 2)
    records = {record["job"]: record for record in listed(cloud, 10, key)}
    assert len(records) == 2
    record = records[poisoned]
    assert record["life"]["exit_code"] == limits.MAX_EXIT_CODE
    assert record["life"]["ended"] == NOW_MS
    assert (record["bytes"], record["gaps"], record["tip"]) == (SAFE, SAFE, SAFE)
    viewer = cloud.viewer(key)
    answer = viewer.say({"type": "subscribe", "id": "s", "job": poisoned})
    assert answer["record"]["life"]["exit_code"] == limits.MAX_EXIT_CODE


def test_unreadable_field_is_omitted_and_the_record_says_so(cloud: Cloud) -> None:
    """The other fields stay: in the list, alone, and in a subscription."""
    key = cloud.viewer_key()
    job = store(
        cloud, 1, container={"name": "web", "labels": {"k": 5}, "tty": "perhaps"},
        life={"state": "happy", "exit_code": 3, "problem": "No log driver."},
    )  # fmt: skip
    [record] = listed(cloud, 10, key)
    assert record["container"]["name"] == "web"
    assert record["life"]["exit_code"] == 3
    assert record["life"]["problem"] == (
        "No log driver. The stored record is damaged: container.labels, container.tty, life.state could not be read."
    )
    assert cloud.http("GET", f"/api/jobs/{job}", key).json == record


@pytest.mark.parametrize("damage", [{"owner": "a b"}, {"principal": "X"}, {"job": "nonsense"}], ids=str)
def test_record_without_readable_names_hides_no_other(cloud: Cloud, damage: dict[str, Any]) -> None:
    """It cannot become a record, so lists omit it and a metric counts it; the page continues."""
    key = cloud.viewer_key()
    for number in range(6):
        store(cloud, number, created=NOW_MS - number, **(damage if number == 2 else {}))
    assert len(listed(cloud, 2, key)) == 5


def test_records_of_a_far_future_come_last_and_pages_continue(cloud: Cloud) -> None:
    """However many there are. Their `next` used to answer 400, and they used to come before all others."""
    key = cloud.viewer_key()
    ahead = {store(cloud, number, created=FAR - number) for number in range(7)}
    usual = [store(cloud, 100 + number, created=NOW_MS - number) for number in range(5)]
    skewed = store(cloud, 200, created=NOW_MS + 3_600_000)
    for limit in (1, 2, 3, 5, 6, 7, 20):
        for who in (key, cloud.viewer_key("root", admin=True)):
            seen = [record["job"] for record in listed(cloud, limit, who)]
            assert seen[:6] == [skewed, *usual]
            assert set(seen[6:]) == ahead
            assert len(seen) == 13


def test_record_of_a_far_future_has_its_first_heard_time(cloud: Cloud) -> None:
    """The viewer sorts by the time in the record."""
    store(cloud, 1, created=FAR, life={"state": "exited", "created": FAR, "started": FAR, "ended": FAR})
    [record] = listed(cloud, 10, cloud.viewer_key())
    assert [record["life"][name] for name in ("created", "started", "ended")] == [NOW_MS] * 3


def test_job_created_in_a_far_future_is_opened_as_of_now(cloud: Cloud) -> None:
    """Its position is where it was first heard of, and a status of its next run is stored."""
    key = cloud.viewer_key()
    agent = cloud.agent(cloud.agent_key())
    life = {"state": "exited", "created": FAR, "started": FAR, "ended": FAR}
    cloud.open_job(agent, "a" * 64, life=life)
    agent.say({"type": "status", "id": "s", "instance": "ENGINE", "jobs": [{"job": "a" * 64, "life": life, "tip": 0}]})
    cloud.now_ms += 1_000
    cloud.open_job(agent, "b" * 64, life={"state": "running", "created": cloud.now_ms})
    assert [record["job"][4] for record in listed(cloud, 1, key)] == ["b", "a"]
    again = {"job": "a" * 64, "life": {"state": "exited", "created": NOW_MS, "ended": NOW_MS + 1, "exit_code": 9}}
    agent.say({"type": "status", "id": "s", "instance": "ENGINE", "jobs": [{**again, "tip": 0}]})
    stored = cloud.get(f"JOB#web.{'a' * 64}", "JOB")
    assert stored is not None
    assert stored["life"]["exit_code"] == 9


def test_job_of_an_earlier_version_is_reindexed_when_reopened(cloud: Cloud) -> None:
    """Both indexes change with it."""
    agent = cloud.agent(cloud.agent_key())
    job = store(cloud, 1, created=FAR)
    cloud.now_ms += 5
    cloud.open_job(agent, job.partition(".")[2], life={"state": "running", "created": FAR})
    stored = cloud.get(f"JOB#{job}", "JOB")
    assert stored is not None
    assert stored["created"] == cloud.now_ms
    assert stored["gsk"] == stored["ssk"] == f"{cloud.now_ms:013d}#{job}"


def test_list_without_records_of_the_future_is_read_once(cloud: Cloud) -> None:
    """Looking for them costs nothing when the first record is none."""
    for number in range(3):
        store(cloud, number, created=NOW_MS - number)
    asked: list[str] = []
    tables: Any = cloud.tables.dynamodb
    tables.before = lambda operation, _table: asked.append(operation)
    found = list(Store(tables, "log", "registry").jobs(["team"], None, 100, latest=jobs.latest_list_position(NOW_MS)))
    assert (len(found), asked) == (3, ["Query"])


def test_page_of_large_records_stays_below_lambdas_limit(cloud: Cloud) -> None:
    """Six megabytes, part of it JSON within JSON: 500 records of 30 KB were 15 MB."""
    wide = {f"{number:02d}": "\x01" * 250 for number in range(10)}
    for number in range(240):
        store(cloud, number, container={"name": "\x01" * 255, "image": "\x01" * 512, "labels": wide})
    key = cloud.viewer_key()
    first = cloud.http("GET", "/api/jobs?limit=500", key)
    assert len(json.dumps(first.body)) < 5_000_000
    assert first.json["next"]
    assert len(listed(cloud, 500, key)) == 240


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.text(max_size=6) | st.binary(max_size=4),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=6), inner, max_size=2),
    max_leaves=4,
)
FIELDS = [
    "job",
    "owner",
    "principal",
    "instance",
    "container",
    "life",
    "tip",
    "bytes",
    "gaps",
    "last",
    "seen",
    "created",
]
INSIDE = {"container": ["name", "image", "labels", "tty", "owner"], "life": ["state", "created", "ended", "exit_code"]}


@st.composite
def damaged(draw: st.DrawFn) -> dict[str, Any]:
    """Generate a stored record with junk in some of its fields."""
    item: dict[str, Any] = {
        "job": f"web.{'a' * 64}", "owner": "team", "principal": "web", "instance": "ENGINE", "created": NOW_MS,
        "container": {"name": "web"}, "life": {"state": "running"}, "tip": 3, "seen": NOW_MS,
    }  # fmt: skip
    for name in draw(st.lists(st.sampled_from(FIELDS), min_size=1, max_size=4, unique=True)):
        if name in INSIDE and draw(st.booleans()):
            item[name] = dict(item[name]) | {draw(st.sampled_from(INSIDE[name])): draw(JUNK)}
        else:
            item[name] = draw(JUNK)
    return item


@settings(max_examples=60, deadline=None, database=None, suppress_health_check=list(HealthCheck))
@given(item=damaged(), now=st.none() | st.just(NOW_MS))
def test_any_item_becomes_a_valid_record_or_none(item: dict[str, Any], now: int | None) -> None:
    """It fits its model and JavaScript's numbers; an unreadable one says whose it is."""
    plain = items.from_item(items.to_item(item))
    try:
        record = jobs.to_record(plain, heard=now, now=now)
    except jobs.DamagedRecordError:
        assert [item["job"], item["owner"], item["principal"]] != [f"web.{'a' * 64}", "team", "web"]
        return
    document = json.loads(record.model_dump_json())
    assert JobRecord.model_validate(document) == record
    numbers = [document[name] for name in ("tip", "bytes", "gaps", "seen")]
    numbers += [value for value in document["life"].values() if isinstance(value, int)]
    assert all(abs(number) <= SAFE for number in numbers)
