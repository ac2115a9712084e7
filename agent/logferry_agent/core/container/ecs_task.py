"""What Amazon ECS says of the task that the agent runs in, and what that tells of the other containers beside it.

ECS labels every container of a task: `com.amazonaws.ecs.cluster`, `task-arn`, `task-definition-family`,
`task-definition-version` and `container-name`; these are recorded with a job like any labels. What the task metadata
endpoint adds is where the agent itself is: the cluster and the availability zone of its instance, which hold for
every container of the same engine, those without a task included.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

CLUSTER_LABEL: Final = "logferry.ecs.cluster"
ZONE_LABEL: Final = "logferry.ecs.zone"


@dataclass(frozen=True, slots=True)
class EcsTask:
    """The agent's own task. Empty where the endpoint does not say."""

    cluster: str
    """Its name, whether the endpoint gave that or an ARN."""
    arn: str
    family: str
    revision: str
    container: str
    """The agent's container in the task definition."""
    service: str = ""
    zone: str = ""

    def __str__(self) -> str:
        return f"{self.family}:{self.revision} in cluster {self.cluster}"

    @property
    def labels(self) -> dict[str, str]:
        """What is so for every container of the instance, as labels of its jobs."""
        return {name: value for name, value in ((CLUSTER_LABEL, self.cluster), (ZONE_LABEL, self.zone)) if value}


class EcsMetadataError(ValueError):
    """The endpoint answered something else than it should."""

    def __init__(self, problem: str) -> None:
        self.problem = problem
        super().__init__(problem)

    def __str__(self) -> str:
        return f"the ECS task metadata endpoint gave {self.problem}"


def parse_task(container: Any, task: Any) -> EcsTask:
    """The task, from the endpoint's two documents (`${ECS_CONTAINER_METADATA_URI_V4}` and the same with `/task`).

    Raises:
        NoTaskError: they are not what the endpoint is documented to answer.
    """
    if not isinstance(container, Mapping) or not isinstance(task, Mapping):
        raise EcsMetadataError("no JSON object")
    for name in ("Cluster", "TaskARN"):
        if not _text(task, name):
            raise EcsMetadataError(f"a task without {name}")
    return EcsTask(
        cluster=cluster_name(_text(task, "Cluster")),
        arn=_text(task, "TaskARN"),
        family=_text(task, "Family"),
        revision=_text(task, "Revision"),
        container=_text(container, "Name"),
        service=_text(task, "ServiceName"),
        zone=_text(task, "AvailabilityZone"),
    )


def cluster_name(cluster: str) -> str:
    """A cluster's name, of its name or its ARN (`arn:aws:ecs:eu-west-1:111122223333:cluster/prod`)."""
    return cluster.rpartition("/")[2] if cluster.startswith("arn:") else cluster


def _text(document: Mapping[str, Any], name: str) -> str:
    value = document.get(name)
    return value if isinstance(value, str) else ""
