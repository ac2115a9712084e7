"""Convert the engine's answers to `inspect`, and its events, to the metadata of a container."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath
from typing import Any, Final

from logferry_protocol.events import Notice
from logferry_protocol.job import OWNER_PATTERN, Container, LifeCycle, State
from logferry_protocol.limits import (
    MAX_EXIT_CODE,
    MAX_IMAGE_CHARS,
    MAX_MESSAGE_CHARS,
    MAX_NAME_CHARS,
    MAX_RESTARTS,
    MIN_EXIT_CODE,
)

from ..batching.lifecycle import RunState
from ..parsing.engine_values import instant, mapping, number, strings, text
from ..parsing.timestamps import nanoseconds
from .ecs_task import EcsTask, cluster_name
from .filters import OWNER_LABEL
from .labels import select_labels

_OWNER: Final = re.compile(OWNER_PATTERN)
_SIZE: Final = re.compile(r"(\d+(?:\.\d+)?)\s*([kmgt]?)i?b?", re.IGNORECASE)
_UNITS: Final = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}
_MOST_BYTES: Final = 1 << 62
_MOST_FILES: Final = 1 << 20
_PROJECT: Final = ("com.docker.compose.project", "com.docker.stack.namespace", "com.amazonaws.ecs.cluster")
_SERVICE: Final = (
    "com.docker.compose.service",
    "com.docker.swarm.service.name",
    "com.amazonaws.ecs.task-definition-family",
)
_TASK: Final = ("com.docker.swarm.task.name", "com.amazonaws.ecs.task-arn")
_EVENT_ATTRIBUTES: Final = frozenset({"name", "image"})
"""The engine's own attributes in the event of a creation or a start. All other attributes are labels, even one that is
called `exitCode`."""
_NON_BLOCKING: Final = "non-blocking"
_STATES: Final[Mapping[str, State]] = {
    "created": "created",
    "running": "running",
    "paused": "paused",
    "restarting": "restarting",
    "exited": "exited",
    "dead": "exited",
    "removing": "exited",
}


@dataclass(frozen=True, slots=True)
class ContainerMetadata:
    """Everything about a container that reading its log needs."""

    id: str
    container: Container
    life: LifeCycle
    run_state: RunState
    labels: Mapping[str, str]
    """All labels of the container, for the filters."""
    log_path: str = ""
    """The log file on the engine's machine; empty before the first start, and when the driver keeps no json-file."""
    max_size: int = 0
    """The size in bytes at which the driver begins a new file; 0: never, or not known."""
    max_file: int = 1
    """The number of files that the driver keeps."""
    created: int = 0
    """Nanoseconds since 1970."""
    name: str = ""
    image: str = ""
    """The whole reference that the container was created with. Name, image and labels are for the filters."""
    image_id: str = ""
    """The image's id; empty when only an event is known."""
    named: frozenset[str] = frozenset()
    """Keys of the labels in the agent's filters."""
    options: Mapping[str, str] = field(default_factory=dict)
    """Options of the logging driver."""
    notices: tuple[Notice, ...] = ()
    """Notices that the job begins with."""
    left_out: str = ""
    """Why the log is not read any more, in words that follow "because"; empty while it is read."""

    def with_start(self, time_ns: int) -> ContainerMetadata:
        """Return the metadata after a run began at this time (nanoseconds since 1970)."""
        run_state = replace(self.run_state, running=True, started=time_ns, exit_code=None, oom=False)
        life = self.life.model_copy(
            update={"state": "running", "started": time_ns // 1_000_000, "ended": None, "exit_code": None, "oom": False}
        )
        return replace(self, run_state=run_state, life=life)

    def with_end(self, run_state: RunState, *, removed: bool = False) -> ContainerMetadata:
        """Return the metadata after a run ended, or after the container was removed."""
        state: State = "removed" if removed or run_state.gone else "exited"
        created = (self.life.created or 0) * 1_000_000
        life = build_life_cycle(state, run_state, created) if run_state.started else self.life
        return replace(self, run_state=run_state, life=life)

    def with_redacted_notices(self, hide: Callable[[str], str]) -> ContainerMetadata:
        """Return the metadata with notices whose quotes are redacted by `hide`."""
        if not self.notices:
            return self
        return replace(self, notices=_notices(self.labels, self.named, self.options, hide))

    def with_task(self, task: EcsTask) -> ContainerMetadata:
        """Return the metadata with the labels and the project of the agent's own ECS task."""
        known = self.container
        container = build_container(
            name=known.name,
            image=known.image,
            host=known.host,
            labels=self.labels,
            driver=known.driver,
            tty=known.tty,
            task=task,
            named=self.named,
        )
        return replace(self, container=container)


def from_inspect(
    found: Mapping[str, Any], host: str, task: EcsTask | None = None, *, named: frozenset[str] = frozenset()
) -> ContainerMetadata:
    """Return a container's metadata from the engine's answer to `inspect`.

    Args:
        found: the engine's answer.
        host: the name to record as the container's host.
        task: the ECS task that the agent runs in, if it is known.
        named: keys of the labels in the agent's filters.
    """
    config, state = mapping(found.get("Config")), mapping(found.get("State"))
    log_config = mapping(mapping(found.get("HostConfig")).get("LogConfig"))
    options, labels = strings(log_config.get("Config")), strings(config.get("Labels"))
    driver, name, image = text(log_config.get("Type")), text(found.get("Name")).lstrip("/"), text(config.get("Image"))
    running = bool(state.get("Running")) and not state.get("Restarting")
    run_state = RunState(
        running=running,
        started=_time(state.get("StartedAt")),
        ended=_time(state.get("FinishedAt")),
        exit_code=None if running else number(state.get("ExitCode"), MIN_EXIT_CODE, MAX_EXIT_CODE),
        oom=bool(state.get("OOMKilled")),
        restarts=number(found.get("RestartCount"), 0, MAX_RESTARTS) or 0,
    )
    created = _time(found.get("Created"))
    status = _STATES.get(str(state.get("Status")), "exited")
    return ContainerMetadata(
        id=text(found.get("Id")),
        container=build_container(
            name=name,
            image=image,
            host=host,
            labels=labels,
            driver=driver,
            tty=bool(config.get("Tty")),
            task=task,
            named=named,
        ),
        life=build_life_cycle(status, run_state, created),
        run_state=run_state,
        labels=labels,
        log_path=text(found.get("LogPath")) if driver == "json-file" else "",
        max_size=_size(options.get("max-size"), 20 << 20 if driver == "local" else 0),
        max_file=number(options.get("max-file"), 1, _MOST_FILES) or (5 if driver == "local" else 1),
        created=created,
        name=name,
        image=image,
        image_id=text(found.get("Image")),
        named=named,
        options=options,
        notices=_notices(labels, named, options),
    )


def from_event(
    container: str,
    attributes: Mapping[str, str],
    host: str,
    time: int,
    task: EcsTask | None = None,
    *,
    named: frozenset[str] = frozenset(),
) -> ContainerMetadata:
    """Return the metadata of a container of which only the event of its creation or start is left.

    The event's attributes hold all labels, and the engine's own name and image.

    Args:
        container: the container's id.
        attributes: the event's attributes.
        host: the name to record as the container's host.
        time: the event's time in nanoseconds since 1970.
        task: the ECS task that the agent runs in, if it is known.
        named: keys of the labels in the agent's filters.
    """
    attributes, time = strings(attributes), max(1, instant(time))
    labels = {key: value for key, value in attributes.items() if key not in _EVENT_ATTRIBUTES}
    run_state = RunState(running=True, started=time)
    return ContainerMetadata(
        id=container,
        container=build_container(
            name=attributes.get("name", ""),
            image=attributes.get("image", ""),
            host=host,
            labels=labels,
            task=task,
            named=named,
        ),
        life=build_life_cycle("running", run_state, time),
        run_state=run_state,
        labels=labels,
        created=time,
        name=attributes.get("name", ""),
        image=attributes.get("image", ""),
        named=named,
        notices=_notices(labels, named, {}),
    )


def build_container(
    *,
    name: str,
    image: str,
    host: str,
    labels: Mapping[str, str],
    driver: str = "",
    tty: bool = False,
    task: EcsTask | None = None,
    named: Collection[str] = (),
) -> Container:
    """Return a container as the wire describes it, within the limits of the wire."""
    owner = labels.get(OWNER_LABEL, "")
    project = cluster_name(_first(labels, _PROJECT) or (task.cluster if task is not None else ""))
    return Container(
        name=name[:MAX_NAME_CHARS],
        image=image[:MAX_IMAGE_CHARS],
        host=host[:MAX_NAME_CHARS],
        labels=dict(select_labels({**labels, **(task.labels if task is not None else {})}, named).kept),
        driver=driver[:64],
        tty=tty,
        project=project[:MAX_NAME_CHARS] or None,
        service=_first(labels, _SERVICE),
        task=_first(labels, _TASK),
        owner=owner if _OWNER.fullmatch(owner) else None,
    )


def build_life_cycle(state: State, run_state: RunState, created: int) -> LifeCycle:
    """Return a container's state as the wire describes it.

    Args:
        state: the container's state.
        run_state: its newest run.
        created: when it was created, in nanoseconds since 1970; 0: not known.
    """
    return LifeCycle(
        state=state,
        created=created // 1_000_000 or None,
        started=run_state.started // 1_000_000 or None,
        ended=None if run_state.running else run_state.ended // 1_000_000 or None,
        exit_code=None if run_state.running or not run_state.started else run_state.exit_code,
        oom=run_state.oom,
        restarts=run_state.restarts,
    )


def map_log_path(root: str, log_path: str, mounted: str) -> str | None:
    """Return the path of a log file on the agent's side; None when the file is outside of the engine's data root.

    Args:
        root: the data root on the engine's machine.
        log_path: the log file on the engine's machine.
        mounted: the path of the data root on the agent's side.
    """
    try:
        return str(PurePosixPath(mounted) / PurePosixPath(log_path).relative_to(root))
    except ValueError:
        return None


def _notices(
    labels: Mapping[str, str], named: Collection[str], options: Mapping[str, str], hide: Callable[[str], str] = str
) -> tuple[Notice, ...]:
    """Return the notices that a job begins with: labels that are not recorded, and lines that may be missing."""
    found = []
    if (left_out := select_labels(labels, named).notice(hide)) is not None:
        found.append(Notice(code="labels_left_out", detail=left_out))
    if options.get("mode") == _NON_BLOCKING:
        size = options.get("max-buffer-size")
        buffer = f" of {hide(size)}" if size else ""
        detail = (
            f"the container's logging driver is set to mode=non-blocking: when its buffer{buffer} is full, the engine"
            " drops lines without a report or a count, so lines may be missing here without a gap"
        )
        found.append(Notice(code="non_blocking", detail=detail[:MAX_MESSAGE_CHARS]))
    return tuple(found)


def _first(labels: Mapping[str, str], keys: tuple[str, ...]) -> str | None:
    return next((labels[key][:MAX_NAME_CHARS] for key in keys if labels.get(key)), None)


def _time(written: object) -> int:
    """Return nanoseconds since 1970, at least 1 because a clock may not be set; 0 for the engine's "never" (year 1)."""
    if not isinstance(written, str) or written.startswith("0001-"):
        return 0
    try:
        return max(1, instant(nanoseconds(written)))
    except ValueError:
        return 0


def _size(written: str | None, default: int) -> int:
    match = _SIZE.fullmatch(written or "")
    return int(min(float(match[1]) * _UNITS[match[2].lower()], _MOST_BYTES)) if match else default
