"""Test history, export, search and times over HTTP."""

import base64
import json
from typing import Any

import pytest
from tests.support.batches import CONTAINER, NOW_MS
from tests.support.cloud import Cloud, Socket

from logferry_protocol.batch import decode_body
from query import search, time_lookup
from query.core import BatchPage, ParameterError
from query.rate_limiter import RateLimiter
from query.routes import openapi

JOB = f"web.{CONTAINER}"


def entries(page: Any) -> list[tuple[int, str]]:
    found = []
    for one in page["batches"]:
        rows = decode_body(base64.b64decode(one["body"])).rows(one["first"])
        found += [(sequence, text) for sequence, _time, _character, text in rows]
    return found


def test_history_is_read_forwards_and_backwards(cloud: Cloud, agent: Socket, key: str) -> None:
    """Both directions give every entry once, ascending."""
    for first in range(1, 31, 3):
        cloud.send(agent, first)
    seen, after = [], 0
    while True:
        page = cloud.http("GET", f"/api/jobs/{JOB}/batches?after={after}&limit=3", key).json
        seen += entries(page)
        after = seen[-1][0]
        if not page["more"]:
            break
    assert [sequence for sequence, _ in seen] == list(range(1, 31))
    backwards, before = seen[:0], 2**53 - 1
    while True:
        page = cloud.http("GET", f"/api/jobs/{JOB}/batches?before={before}&limit=4", key).json
        backwards = entries(page) + backwards
        before = backwards[0][0]
        if not page["more"]:
            break
    assert backwards == seen
    assert page["tip"] == 30


def test_page_ends_by_its_size() -> None:
    """Answers fit Lambda's six megabytes, and a page always advances."""
    page = BatchPage(limit=10, bytes_left=10)
    assert [page.take({"body": bytes(size)}) for size in (20, 1)] == [True, False]
    page = BatchPage(limit=2, bytes_left=100)
    assert [page.take({"body": b"x"}) for _ in range(3)] == [True, True, False]


def test_jsonl_export_is_one_object_an_entry(cloud: Cloud, agent: Socket, key: str) -> None:
    """RFC 3339 in UTC with microseconds; sequences from 1 without holes; with system events."""
    cloud.send(agent, 1, ("out", "err é", '{"event":"exited"}'), streams="oes")
    lines = cloud.http("GET", f"/api/jobs/{JOB}/export?format=jsonl", key).body.splitlines()
    assert [json.loads(line) for line in lines] == [
        {"jobId": JOB, "timestamp": "2025-11-24T16:00:00.000000Z", "stream": "stdout", "line": "out", "sequence": 1},
        {"jobId": JOB, "timestamp": "2025-11-24T16:00:00.000001Z", "stream": "stderr", "line": "err é", "sequence": 2},
        {
            "jobId": JOB, "timestamp": "2025-11-24T16:00:00.000002Z", "stream": "system",
            "line": '{"event":"exited"}', "sequence": 3,
        },
    ]  # fmt: skip


def test_text_export_joins_fragments_over_pages(cloud: Cloud, agent: Socket, key: str) -> None:
    """A line that Docker split is one line again, wherever batches and pages end, despite the other stream."""
    long = "x" * 16_384
    cloud.send(agent, 1, ("first", long), streams="oo")
    cloud.send(agent, 3, ("between", long), streams="eO")
    cloud.send(agent, 5, ("end", "last"), streams="Oo")
    text, after = "", 0
    while True:
        answer = cloud.http("GET", f"/api/jobs/{JOB}/export?format=text&after={after}&limit=1", key)
        text += answer.body
        if "logferry-next" not in answer.headers:
            break
        assert int(answer.headers["logferry-next"]) > after
        after = int(answer.headers["logferry-next"])
    assert text == f"first\n{long}{long}end\nbetween\nlast\n"
    assert answer.headers["content-type"].startswith("text/plain")


def test_filter_finds_jobs(cloud: Cloud, agent: Socket, key: str) -> None:
    """By owner, host, name, image, label, state, container and time; page by page."""
    for index in range(5):
        cloud.open_job(
            agent, f"{index}" * 64,
            container={"name": f"n{index % 2}", "host": "h", "labels": {"tier": "a,b", "k": "v"}},
            life={"state": "exited", "created": NOW_MS - index},
        )  # fmt: skip

    def count(query: str) -> int:
        return len(cloud.http("GET", f"/api/jobs?{query}", key).json["jobs"])

    assert count("") == 6
    assert count("name=n0") == 3
    assert count("label=tier") == 5
    assert count("label=tier=a,b&label=k=v") == 5
    assert count("label=tier=a&label=k") == 0
    assert count("state=exited&host=h") == 5
    assert count("container=333") == 1
    assert count("owner=team") == 6
    assert count("owner=other") == 0
    assert count(f"before={NOW_MS - 2}&state=exited") == 2
    assert count(f"after={NOW_MS + 1}") == 0
    seen, place = [], ""
    while True:
        page = cloud.http("GET", f"/api/jobs?limit=2&state=exited{place}", key).json
        seen += [job["job"] for job in page["jobs"]]
        if page["next"] is None:
            break
        place = f"&next={page['next'].replace('#', '%23')}"
    assert seen == [f"web.{str(index) * 64}" for index in range(5)]


@pytest.mark.parametrize(
    ("query", "sequences"),
    [
        ("q=error", [2, 5]),
        ("q=ERROR&ignore_case=1", [2, 5]),
        ("q=ERROR", []),
        ("q=e.*r", []),
        ("q=e.*r&regex=1", [2, 5]),
        ("q=^ok$&regex=1", [1, 4]),
        ("q=error&after=2", [5]),
        ("q=error&before=5", [2]),
        ("q=o&after=1&before=4", [2]),
        ("q=event", []),  # system entries are ours, not the container's
    ],
)
def test_search_finds_lines(cloud: Cloud, agent: Socket, key: str, query: str, sequences: list[int]) -> None:
    """By a text, or by an RE2 expression."""
    cloud.send(agent, 1, ("ok", "an error", '{"event":"restarted"}'), streams="oes")
    cloud.send(agent, 4, ("ok", "more errors"))
    answer = cloud.http("GET", f"/api/jobs/{JOB}/search?{query}", key).json
    assert [match["sequence"] for match in answer["matches"]] == sequences
    assert answer["next"] is None


def test_search_continues_where_it_stopped_with_context(cloud: Cloud, agent: Socket, key: str) -> None:
    """Pages neither repeat nor omit a match."""
    cloud.send(agent, 1, tuple("hit" if index % 3 == 0 else f"miss {index}" for index in range(30)))
    seen, after = [], 0
    while after is not None:
        path = f"/api/jobs/{JOB}/search?q=hit&limit=4&context=1&after={after}"
        answer = cloud.http("GET", path, key).json
        seen += [match["sequence"] for match in answer["matches"]]
        after = answer["next"]
    assert seen == list(range(1, 31, 3))
    match = cloud.http("GET", f"/api/jobs/{JOB}/search?q=hit&limit=2&context=1", key).json["matches"][1]
    assert ([one["sequence"] for one in match["before"]], match["sequence"]) == ([3], 4)


@pytest.mark.parametrize("pattern", ["(", "a{1001}", "(?=x)", r"\1", "*", "[z-a]", "(" * 500, "(?P<n>"])
def test_expression_unsupported_by_re2_is_reported(pattern: str) -> None:
    """Backreferences and lookaround: no other engine that could hang is used."""
    with pytest.raises(ParameterError):
        search.SearchQuery.of({"q": pattern, "regex": "1"})


@pytest.mark.parametrize(
    ("time", "sequence"), [(0, 1), (1, 1), (10, 1), (11, 2), (30, 3), (31, 4), (60, 6), (61, 7), (10**15, 7)]
)
def test_time_becomes_a_sequence(cloud: Cloud, agent: Socket, key: str, time: int, sequence: int) -> None:
    """The first entry at that time or later; behind the tip when there is none."""
    for first in range(1, 7):
        cloud.send(agent, first, (f"at {first * 10}",), time=first * 10)
    answer = cloud.http("GET", f"/api/jobs/{JOB}/at?time={time}", key).json
    assert answer == {"sequence": sequence, "tip": 6}


@pytest.mark.parametrize(
    ("text", "us"),
    [("1764000000000001", 1764000000000001), ("2025-11-24T16:00:00Z", 1764000000000000),
     ("2025-11-24T17:00:00.000001+01:00", 1764000000000001)],
)  # fmt: skip
def test_times_are_microseconds_or_rfc_3339(text: str, us: int) -> None:
    """With a zone: a time without one is ambiguous."""
    assert time_lookup.parse_time(text) == us


def test_principal_is_rate_limited() -> None:
    """A burst is served, then the rate; another principal is unaffected."""
    rates = RateLimiter(rate=2, burst=3)
    assert [rates.take("a", 0) for _ in range(4)] == [0, 0, 0, 0.5]
    assert rates.take("b", 0) == 0
    assert rates.take("a", 500) == 0
    assert rates.take("a", 500) == 0.5


def test_rate_limited_answer_says_when_to_retry(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    """RFC 9110's Retry-After, in whole seconds."""
    monkeypatch.setattr("query.app.RateLimiter", lambda: RateLimiter(rate=0.5, burst=2))
    limited = Cloud(cloud.tables)
    key = limited.viewer_key()
    answers = [limited.http("GET", "/api/me", key) for _ in range(3)]
    limited.executor.shutdown()
    assert [answer.status for answer in answers] == [200, 200, 429]
    assert answers[2].headers["retry-after"] == "2"


def test_openapi_document_names_every_route_and_its_rights() -> None:
    """It is made from the resolver's table."""
    document = openapi()
    assert document["openapi"] == "3.1.0"
    for path, operations in document["paths"].items():
        for operation in operations.values():
            named = [parameter["name"] for parameter in operation["parameters"] if parameter["in"] == "path"]
            assert [f"{{{name}}}" in path for name in named] == [True] * path.count("{")
            assert {"401", "403", "404"} <= set(operation["responses"])
