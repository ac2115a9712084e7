"""Decide which kept tables and bucket a new stack takes over."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from logferry_cli.problems import Problem

KEYS: Final = {
    "log": (("job", "HASH"), ("first", "RANGE")),
    "registry": (("pk", "HASH"), ("sk", "RANGE")),
}
INDEXES: Final = frozenset({"by_target", "by_shard"})


@dataclass(frozen=True, slots=True)
class KeptData:
    """The names of what a deleted stack kept."""

    log_table: str
    registry_table: str
    archive_bucket: str


def of_outputs(outputs: Mapping[str, str]) -> KeptData | None:
    """Return the data that a stack's outputs name; None when one is missing."""
    names = [outputs.get(name, "") for name in ("LogTable", "RegistryTable", "ArchiveBucket")]
    return KeptData(*names) if all(names) else None


def of_resources(resources: Iterable[Mapping[str, Any]], parameters: Mapping[str, str]) -> KeptData | None:
    """Return the data of a deleted stack.

    Args:
        resources: Its resources, as `ListStackResources` returns them.
        parameters: Its parameters, which name the data if it had taken over an earlier stack's.
    """
    kept = {
        one["LogicalResourceId"]: one.get("PhysicalResourceId", "")
        for one in resources
        if one.get("ResourceStatus") in ("DELETE_SKIPPED", "DELETE_COMPLETE")
    }
    taken = {name.removeprefix("Existing"): value for name, value in parameters.items() if value}
    return of_outputs({**kept, **taken})


def of_names(stack: str, tables: Sequence[str], buckets: Sequence[str]) -> KeptData | None:
    """Return the data that names alone tell: those that CloudFormation made for this stack, if there is one of each.

    Raises:
        Problem: There are several of a kind.
    """
    found = {
        "LogTable": [name for name in tables if name.startswith(f"{stack}-LogTable-")],
        "RegistryTable": [name for name in tables if name.startswith(f"{stack}-RegistryTable-")],
        # CloudFormation makes buckets' names lower case.
        "ArchiveBucket": [name for name in buckets if name.startswith(f"{stack}-archivebucket-".lower())],
    }
    for kind, names in found.items():
        if len(names) > 1:
            raise Problem(
                f"Several kept resources may be the {kind} of {stack}: {', '.join(sorted(names))}.",
                "Name the right ones with --parameter ExistingLogTable=…, ExistingRegistryTable=… and "
                "ExistingArchiveBucket=….",
            )
    return of_outputs({kind: names[0] for kind, names in found.items() if names})


def of_parameters(given: Mapping[str, str]) -> KeptData | None:
    """Return the data that parameters name; None when none does.

    Raises:
        Problem: Only some of the three are named.
    """
    named = {name: given.get(f"Existing{name}", "") for name in ("LogTable", "RegistryTable", "ArchiveBucket")}
    if not any(named.values()):
        return None
    found = of_outputs(named)
    if found is None:
        missing = ", ".join(f"Existing{name}" for name, value in named.items() if not value)
        raise Problem(f"Some kept data is named, but not {missing}.", "Name all three, or none.")
    return found


def parameters_of(kept: KeptData, log_table: Mapping[str, Any], registry_table: Mapping[str, Any]) -> dict[str, str]:
    """Return the template's parameters for kept data.

    Args:
        kept: The names.
        log_table: The description of the table, as `DescribeTable` returns it.
        registry_table: The same of the other table.

    Raises:
        Problem: A table is not one of Logferry's, or has no stream.
    """
    return {
        "ExistingLogTable": kept.log_table,
        "ExistingLogStream": _stream_of(log_table, "log"),
        "ExistingRegistryTable": kept.registry_table,
        "ExistingRegistryStream": _stream_of(registry_table, "registry"),
        "ExistingArchiveBucket": kept.archive_bucket,
    }


def _stream_of(table: Mapping[str, Any], kind: str) -> str:
    name = table["TableName"]
    keys = tuple((key["AttributeName"], key["KeyType"]) for key in table["KeySchema"])
    if keys != KEYS[kind]:
        shown = ", ".join(key for key, _ in keys)
        raise Problem(f"The table {name} is no {kind} table of Logferry (its keys are {shown}).", "Name another one.")
    if table["TableStatus"] != "ACTIVE":
        raise Problem(f"The table {name} is {table['TableStatus']}.", "Try again when it is ACTIVE.")
    if kind == "registry":
        indexes = {index["IndexName"] for index in table.get("GlobalSecondaryIndexes", ())}
        if missing := INDEXES - indexes:
            raise Problem(
                f"The table {name} lacks the index {', '.join(sorted(missing))}.",
                "Add it with the keys that template.yaml gives RegistryTable.",
            )
    stream = table.get("StreamSpecification", {})
    if not stream.get("StreamEnabled") or stream.get("StreamViewType") not in ("NEW_IMAGE", "NEW_AND_OLD_IMAGES"):
        raise Problem(
            f"The table {name} has no stream of new images.",
            f"Run `aws dynamodb update-table --table-name {name} --stream-specification "
            "StreamEnabled=true,StreamViewType=NEW_IMAGE`.",
        )
    return str(table["LatestStreamArn"])
