"""A job's names, its container, its life cycle, and the record that viewers get."""

import re
from typing import Annotated, Final, Literal

import pydantic_core
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

from .integers import ExitCode, Milliseconds, Restarts, Sequence, ToldCount
from .limits import (
    MAX_DRIVER_CHARS,
    MAX_IMAGE_CHARS,
    MAX_LABEL_KEY_CHARS,
    MAX_LABEL_VALUE_CHARS,
    MAX_LABELS,
    MAX_LABELS_BYTES,
    MAX_LABELS_JSON_BYTES,
    MAX_MESSAGE_CHARS,
    MAX_NAME_CHARS,
)

PRINCIPAL_PATTERN: Final = r"^[a-z0-9][a-z0-9-]{0,62}$"
CONTAINER_PATTERN: Final = r"^[0-9a-f]{64}$"
JOB_PATTERN: Final = r"^[a-z0-9][a-z0-9-]{0,62}\.[0-9a-f]{64}$"
OWNER_PATTERN: Final = r"^[A-Za-z0-9._@:-]{1,128}$"

PrincipalName = Annotated[str, StringConstraints(pattern=PRINCIPAL_PATTERN)]
ContainerId = Annotated[str, StringConstraints(pattern=CONTAINER_PATTERN)]
JobId = Annotated[str, StringConstraints(pattern=JOB_PATTERN)]
Owner = Annotated[str, StringConstraints(pattern=OWNER_PATTERN)]

State = Literal["created", "running", "paused", "restarting", "exited", "removed", "lost"]
"""A job's state. No agent sends `lost`: the cloud shows it for running jobs of an instance that has been silent."""

SourceName = Literal["file", "api", "none"]
"""Where the agent reads a job from. `none` stands for a logging driver that cannot be read."""

_JOB: Final = re.compile(JOB_PATTERN)


def job_id(principal: str, container: str) -> str:
    """Return the id of a job, `<principal>.<container id>`. Agents' messages use the container id alone."""
    return f"{principal}.{container}"


def split_job_id(job: str) -> tuple[str, str]:
    """Return the principal and the container id of a job id.

    Raises:
        ValueError: it is not a job id.
    """
    if not _JOB.fullmatch(job):
        raise ValueError(f"not a job id: {job[:160]!r}")
    principal, _, container = job.partition(".")
    return principal, container


def _capped(labels: dict[str, str]) -> dict[str, str]:
    if len(labels) > MAX_LABELS:
        raise ValueError(f"more than {MAX_LABELS} labels")
    if sum(len(key.encode()) + len(value.encode()) for key, value in labels.items()) > MAX_LABELS_BYTES:
        raise ValueError(f"labels of more than {MAX_LABELS_BYTES} bytes")
    for key, value in labels.items():
        if len(key) > MAX_LABEL_KEY_CHARS or len(value) > MAX_LABEL_VALUE_CHARS:
            raise ValueError(f"a label over {MAX_LABEL_KEY_CHARS} or a value over {MAX_LABEL_VALUE_CHARS} characters")
    return labels


def _json_bytes(text: str) -> int:
    return len(pydantic_core.to_json(text))


def _fitting(labels: dict[str, str]) -> dict[str, str]:
    """Return the labels without as many values, and then as many labels, as make their JSON too long.

    The values that take most bytes are emptied first, then the keys that take most are removed; of two alike the later.
    Only control characters, which take six bytes each, make labels within the other limits too long.
    """
    if sum(map(len, labels)) + sum(map(len, labels.values())) + len(labels) <= MAX_LABELS_JSON_BYTES // 6:
        return labels
    # Quotes are counted. A colon and a comma for each label are not, nor are the two brackets.
    keys = {key: _json_bytes(key) + 2 for key in labels}
    values = {key: _json_bytes(value) for key, value in labels.items()}
    size = 2 + sum(keys.values()) + sum(values.values())
    kept = dict(labels)
    order = list(labels)
    for key in sorted(order, key=lambda one: (-values[one], -order.index(one))):
        if size <= MAX_LABELS_JSON_BYTES:
            return kept
        kept[key], size = "", size - values[key] + 2
    for key in sorted(order, key=lambda one: (-keys[one], -order.index(one))):
        if size <= MAX_LABELS_JSON_BYTES:
            break
        del kept[key]
        size -= keys[key] + 2
    return kept


Labels = Annotated[dict[str, str], AfterValidator(_capped), AfterValidator(_fitting)]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", defer_build=True)


class Container(_Frozen):
    """What the engine says of the container; sent when its job is opened."""

    name: Annotated[str, StringConstraints(max_length=MAX_NAME_CHARS)] = ""
    image: Annotated[str, StringConstraints(max_length=MAX_IMAGE_CHARS)] = ""
    host: Annotated[str, StringConstraints(max_length=MAX_NAME_CHARS)] = ""
    labels: Labels = Field(default_factory=dict)
    driver: Annotated[str, StringConstraints(max_length=MAX_DRIVER_CHARS)] = ""
    """The engine's logging driver for it."""
    tty: bool = False
    project: Annotated[str, StringConstraints(max_length=MAX_NAME_CHARS)] | None = None
    """Compose project, Swarm stack or ECS cluster."""
    service: Annotated[str, StringConstraints(max_length=MAX_NAME_CHARS)] | None = None
    """Compose or Swarm service, or ECS task definition family."""
    task: Annotated[str, StringConstraints(max_length=MAX_NAME_CHARS)] | None = None
    """Swarm or ECS task."""
    owner: Owner | None = None
    """The owner that the container's label `logferry.owner` asks for. The agent's key must allow it."""


class LifeCycle(_Frozen):
    """Where the container is in its life. Times are in milliseconds since 1970.

    Numbers come from an engine: those out of bounds are moved to the nearer bound.
    """

    state: State = "created"
    created: Milliseconds | None = None
    started: Milliseconds | None = None
    """When the newest run began."""
    ended: Milliseconds | None = None
    exit_code: ExitCode | None = None
    oom: bool = False
    """The kernel ended it because memory ran out."""
    restarts: Restarts = 0
    source: SourceName | None = None
    problem: Annotated[str, StringConstraints(max_length=MAX_MESSAGE_CHARS)] | None = None
    """A sentence for a person: why lines cannot be read, or may be missing."""

    @property
    def over(self) -> bool:
        """Whether its newest run has ended. False for a lost job, of which nobody knows."""
        return self.state in {"exited", "removed"}


class JobRecord(_Frozen):
    """What a viewer gets of a job. Times are in milliseconds since 1970."""

    job: JobId
    owner: Owner
    principal: PrincipalName
    instance: Annotated[str, StringConstraints(max_length=128)]
    container: Container
    life: LifeCycle
    tip: Sequence = 0
    """The last stored sequence that the record knows of. The log itself may be further."""
    bytes: ToldCount = 0
    """Raw bytes of the entries up to the tip."""
    gaps: ToldCount = 0
    """Gap entries up to the tip."""
    last: Milliseconds | None = None
    """The time of the last entry."""
    seen: Milliseconds
    """When the cloud last heard of the job from its agent."""
