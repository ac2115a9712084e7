"""Test `core/container/metadata.py`: how the engine's answers become our metadata."""

from __future__ import annotations

import pytest

from logferry_agent.core.container.metadata import from_event, from_inspect, map_log_path
from logferry_protocol.limits import MAX_LABELS, MAX_LABELS_BYTES

INSPECT = {
    "Id": "c" * 64,
    "Name": "/shop-web-1",
    "Created": "2026-11-23T10:00:00.123456789Z",
    "LogPath": "/var/lib/docker/containers/c/c-json.log",
    "RestartCount": 2,
    "Config": {"Image": "shop/web:3", "Tty": True, "Labels": {}},
    "HostConfig": {"LogConfig": {"Type": "json-file", "Config": {"max-size": "10m", "max-file": "3"}}},
    "State": {
        "Status": "exited",
        "Running": False,
        "OOMKilled": True,
        "ExitCode": 137,
        "StartedAt": "2026-11-23T10:00:01Z",
        "FinishedAt": "2026-11-23T10:00:05Z",
    },
}


def with_labels(**labels: str) -> dict[str, object]:
    return {**INSPECT, "Config": {"Image": "i", "Labels": {key.replace("__", "."): v for key, v in labels.items()}}}


def test_container_is_described() -> None:
    """State, times, limits of its log."""
    found = from_inspect(INSPECT, "host-1")
    assert (found.container.name, found.container.host, found.container.tty) == ("shop-web-1", "host-1", True)
    assert (found.life.state, found.life.exit_code, found.life.oom, found.life.restarts) == ("exited", 137, True, 2)
    assert (found.max_size, found.max_file) == (10 << 20, 3)
    assert found.life.ended == (found.life.started or 0) + 4_000


def test_container_that_never_ended_has_no_end() -> None:
    """The engine writes the year 1."""
    state = {
        "Status": "running",
        "Running": True,
        "StartedAt": "2026-11-23T10:00:01Z",
        "FinishedAt": "0001-01-01T00:00:00Z",
    }
    found = from_inspect({**INSPECT, "State": state}, "h")
    assert (found.life.ended, found.life.exit_code, found.run_state.ended) == (None, None, 0)


def test_compose_swarm_and_ecs_labels_name_the_containers_project() -> None:
    """Their labels."""
    compose = from_inspect(with_labels(com__docker__compose__project="shop", com__docker__compose__service="web"), "h")
    assert (compose.container.project, compose.container.service) == ("shop", "web")
    swarm = from_inspect(
        with_labels(
            com__docker__stack__namespace="s",
            com__docker__swarm__service__name="s_w",
            com__docker__swarm__task__name="s_w.1",
        ),
        "h",
    ).container
    assert (swarm.project, swarm.service, swarm.task) == ("s", "s_w", "s_w.1")
    labels = {
        "com.amazonaws.ecs.cluster": "prod",
        "com.amazonaws.ecs.task-definition-family": "web",
        "com.amazonaws.ecs.task-arn": "arn:aws:ecs:eu-west-1:1:task/prod/0123",
    }
    ecs = from_inspect({**INSPECT, "Config": {"Image": "i", "Labels": labels}}, "h").container
    assert (ecs.project, ecs.service, ecs.task) == ("prod", "web", "arn:aws:ecs:eu-west-1:1:task/prod/0123")


def test_labels_are_capped_and_ours_are_kept() -> None:
    """Too many, too long."""
    labels = {f"a{number:03}": "x" * 60 for number in range(200)} | {"logferry.owner": "me", "long": "y" * 300}
    container = from_inspect({**INSPECT, "Config": {"Image": "i", "Labels": labels}}, "h").container
    assert container.owner == "me"
    assert len(container.labels) <= MAX_LABELS
    assert sum(len(k) + len(v) for k, v in container.labels.items()) <= MAX_LABELS_BYTES
    assert "long" not in container.labels


@pytest.mark.parametrize("owner", ["no spaces please", "x\n", "\nx", "x" * 129, "", "é", "a/b"])
def test_invalid_owner_is_omitted(owner: str) -> None:
    """It must not prevent the job from being opened."""
    assert from_inspect(with_labels(logferry__owner=owner), "h").container.owner is None


def notices(labels: dict[str, str], mode: dict[str, str] | None = None, named: frozenset[str] = frozenset()) -> str:
    found = {**INSPECT, "Config": {"Image": "i", "Labels": labels}}
    found["HostConfig"] = {"LogConfig": {"Type": "json-file", "Config": mode or {}}}
    return " | ".join(f"{notice.code}: {notice.detail}" for notice in from_inspect(found, "h", named=named).notices)


def test_omitted_labels_are_named_in_a_notice() -> None:
    """By their keys, never their values, within one sentence's limit."""
    assert notices({"a": "b", "logferry.owner": "me"}) == ""
    said = notices({"password": "hunter2 " * 40, "tier": "front"})
    assert said.startswith(
        "labels_left_out: some of the container's labels are missing or cut: 1 is not recorded (password)"
    )
    assert "hunter2" not in said
    many = notices({f"{number:03}-{'k' * 100}": "x" for number in range(300)})
    assert "are not recorded" in many
    assert len(many) < 560


def test_non_blocking_mode_is_reported_in_a_notice() -> None:
    """The engine drops lines silently in that mode."""
    assert notices({}, {"mode": "blocking"}) == ""
    said = notices({}, {"mode": "non-blocking", "max-buffer-size": "4k"})
    assert said.startswith("non_blocking: ")
    assert "buffer of 4k" in said
    assert "may be missing" in notices({}, {"mode": "non-blocking"})


def test_event_is_enough_to_describe_a_container() -> None:
    """The container is already gone."""
    found = from_event("c" * 64, {"name": "n", "image": "i", "tier": "front", "exitCode": "0"}, "h", 10**18)
    # A start's event has no exit code of the engine's: it is a label.
    assert (found.container.name, dict(found.container.labels)) == ("n", {"tier": "front", "exitCode": "0"})


def test_engines_paths_are_found_where_they_are_mounted() -> None:
    """Or not."""
    assert map_log_path("/var/lib/docker", "/var/lib/docker/containers/c/l", "/host") == "/host/containers/c/l"
    assert map_log_path("/var/lib/docker", "/elsewhere/l", "/host") is None
