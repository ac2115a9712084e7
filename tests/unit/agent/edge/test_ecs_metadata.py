"""Test `core/container/ecs_task.py` and `edge/ecs_metadata.py` against a real HTTP server."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest
from tests.support.ecs_endpoint import PATH, TASK, TASK_ARN, Endpoint, endpoint

from logferry_agent.core.container.ecs_task import EcsMetadataError, EcsTask, parse_task
from logferry_agent.core.container.metadata import from_event, from_inspect
from logferry_agent.edge import ecs_metadata
from logferry_agent.edge.ecs_metadata import TaskLookup, ask
from logferry_protocol.backoff import Backoff

HERE = EcsTask("prod", TASK_ARN, "logferry-agent", "24", "agent", "logferry", "eu-west-1b")


@pytest.fixture(name="server")
def _server() -> Iterator[Endpoint]:
    with endpoint() as made:
        yield made


def test_agents_own_task_is_read(server: Endpoint) -> None:
    """Cluster, task, family and revision, container, service, zone."""
    assert ask(server.uri) == HERE
    assert server.asked == [PATH, PATH + "/task"]
    assert str(HERE) == "logferry-agent:24 in cluster prod"


def test_no_proxy_is_used(server: Endpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    """The endpoint is on the host itself; the agent's proxy is for the cloud."""
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    assert ask(server.uri) == HERE


@pytest.mark.parametrize(
    ("document", "problem"),
    [
        (b"<html>", "the answer is not JSON"),
        (["a list"], "no JSON object"),
        ({**TASK, "Cluster": 7}, "a task without Cluster"),
        ({**TASK, "TaskARN": ""}, "a task without TaskARN"),
        (None, "status 404"),
        (b" " * (2 << 20), "the answer does not end"),
    ],
)
def test_invalid_answer_is_a_clear_error(server: Endpoint, document: Any, problem: str) -> None:
    """Whatever server has the address."""
    server.documents[PATH + "/task"] = document
    with pytest.raises(EcsMetadataError, match=problem):
        ask(server.uri)


def test_slow_answer_times_out(server: Endpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each byte arrives in time, the whole never."""
    monkeypatch.setattr(ecs_metadata, "_WHOLE_S", 0.2)
    server.trickles = True
    with pytest.raises(EcsMetadataError, match="does not end"):
        ask(server.uri)


def test_missing_answer_times_out(server: Endpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    """Connected, and silent."""
    monkeypatch.setattr(ecs_metadata, "_READ_S", 0.1)
    server.held.clear()
    with pytest.raises(EcsMetadataError, match="no answer"):
        ask(server.uri)


def test_absent_endpoint_is_reported() -> None:
    """Not on ECS."""
    with pytest.raises(EcsMetadataError, match="no answer"):
        ask("http://127.0.0.1:9/v4/x")


def test_lookup_is_retried_until_answered(server: Endpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    """The ECS agent throttles, or is not up yet."""
    monkeypatch.setattr(ecs_metadata, "_RETRY", Backoff(0.01, 0.01))
    server.status = 429
    found: list[EcsTask] = []
    done = threading.Event()

    def take(task: EcsTask) -> None:
        found.append(task)
        done.set()

    lookup = TaskLookup(server.uri, take)
    lookup.start()
    while len(server.asked) < 3:
        pass
    server.status = 200
    assert done.wait(60)
    assert found == [HERE]


def test_lookup_goes_on_for_a_minute_on_average(monkeypatch: pytest.MonkeyPatch) -> None:
    """The ECS agent may take that long to come up."""
    waits: list[float] = []

    class Clock(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            waits.append(timeout or 0.0)
            return False

    def fail(_uri: str) -> EcsTask:
        raise EcsMetadataError("no answer")

    monkeypatch.setattr(ecs_metadata, "ask", fail)
    monkeypatch.setattr(ecs_metadata, "random", lambda: 0.5)
    lookup = TaskLookup("http://127.0.0.1:9/v4/x", lambda _: None)
    lookup._stopping = Clock()
    lookup._run()
    assert 55 < sum(waits[:-1]) < 70  # nothing is asked after the last one


def test_arn_names_its_cluster() -> None:
    """Fargate and newer ECS agents give the ARN."""
    arn = {**TASK, "Cluster": "arn:aws:ecs:eu-west-1:111122223333:cluster/prod"}
    assert parse_task({"Name": "agent"}, arn).cluster == "prod"


def inspected(labels: dict[str, str]) -> dict[str, Any]:
    return {"Id": "c" * 64, "Name": "/x", "Config": {"Image": "i", "Labels": labels}}


OTHER = {
    "com.amazonaws.ecs.cluster": "arn:aws:ecs:eu-west-1:111122223333:cluster/prod",
    "com.amazonaws.ecs.container-name": "web",
    "com.amazonaws.ecs.task-arn": TASK_ARN.replace("8f03", "ffff"),
    "com.amazonaws.ecs.task-definition-family": "shop",
    "com.amazonaws.ecs.task-definition-version": "7",
}


def test_another_tasks_container_is_recorded_with_its_own_task() -> None:
    """By its labels; the zone comes from the agent's own task."""
    job = from_inspect(inspected(OTHER), "h", HERE).container
    assert (job.project, job.service, job.task) == ("prod", "shop", OTHER["com.amazonaws.ecs.task-arn"])
    assert job.labels["com.amazonaws.ecs.task-definition-version"] == "7"
    assert job.labels["com.amazonaws.ecs.container-name"] == "web"
    assert job.labels["logferry.ecs.zone"] == "eu-west-1b"


def test_container_without_a_task_belongs_to_the_cluster() -> None:
    """The ECS agent's own, or one started by hand; another project is kept."""
    assert from_inspect(inspected({}), "h", HERE).container.project == "prod"
    assert from_event("c" * 64, {}, "h", 1, HERE).container.labels["logferry.ecs.cluster"] == "prod"
    compose = from_inspect(inspected({"com.docker.compose.project": "shop"}), "h", HERE).container
    assert (compose.project, compose.labels["logferry.ecs.cluster"]) == ("shop", "prod")


def test_late_information_is_added_to_the_known() -> None:
    """The selection still uses only the container's own labels."""
    before = from_inspect(inspected(OTHER), "h")
    assert "logferry.ecs.zone" not in before.container.labels
    after = before.with_task(HERE)
    assert after == from_inspect(inspected(OTHER), "h", HERE)
    assert dict(after.labels) == OTHER
