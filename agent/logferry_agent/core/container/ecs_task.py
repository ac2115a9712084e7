"""The Amazon ECS task that the agent runs in, and the labels that it adds to all containers of the same engine.

ECS labels every container of a task: `com.amazonaws.ecs.cluster`, `task-arn`, `task-definition-family`,
`task-definition-version` and `container-name`. A job records these like any other labels. The task metadata endpoint
adds the cluster and the availability zone of the agent's instance. They apply to every container of the same engine,
including those without a task.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

CLUSTER_LABEL: Final = "logferry.ecs.cluster"
ZONE_LABEL: Final = "logferry.ecs.zone"


@dataclass(frozen=True, slots=True)
class EcsTask:
    """The agent's own task. A field is empty when the endpoint does not give it."""

    cluster: str
    """The cluster's name, also when the endpoint gave an ARN."""
    arn: str
    family: str
    revision: str
    container: str
    """The name of the agent's container in the task definition."""
    service: str = ""
    zone: str = ""

    def __str__(self) -> str:
        return f"{self.family}:{self.revision} in cluster {self.cluster}"

    @property
    def labels(self) -> dict[str, str]:
        """Return the labels for the jobs of every container of the instance."""
        return {name: value for name, value in ((CLUSTER_LABEL, self.cluster), (ZONE_LABEL, self.zone)) if value}


class EcsMetadataError(ValueError):
    """The endpoint's answer does not have the documented form."""

    def __init__(self, problem: str) -> None:
        self.problem = problem
        super().__init__(problem)

    def __str__(self) -> str:
        return f"the ECS task metadata endpoint gave {self.problem}"


def parse_task(container: Any, task: Any) -> EcsTask:
    """Return the task from the endpoint's two documents.

    Args:
        container: the answer of `${ECS_CONTAINER_METADATA_URI_V4}`.
        task: the answer of the same address with `/task`.

    Raises:
        EcsMetadataError: the documents do not have the documented form.
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
    """Return a cluster's name from its name or its ARN (`arn:aws:ecs:eu-west-1:111122223333:cluster/prod`)."""
    return cluster.rpartition("/")[2] if cluster.startswith("arn:") else cluster


def _text(document: Mapping[str, Any], name: str) -> str:
    value = document.get(name)
    return value if isinstance(value, str) else ""
