"""DynamoDB's typed JSON, and every key of the registry.

boto3's resource layer would convert items too, but it is slow to import, and users wait for a cold start.
"""

import zlib
from collections.abc import Mapping
from typing import Any, Final

TARGET_INDEX: Final = "by_target"
SHARD_INDEX: Final = "by_shard"
SHARDS: Final = 8
"""Partitions of a list over all jobs. A single partition would take at most a thousand writes a second."""


def to_value(value: Any) -> dict[str, Any]:  # noqa: PLR0911 - one line a type
    """Return a value as DynamoDB's JSON."""
    match value:
        case bool():
            return {"BOOL": value}
        case int():
            return {"N": str(value)}
        case str():
            return {"S": value}
        case bytes():
            return {"B": value}
        case None:
            return {"NULL": True}
        case Mapping():
            return {"M": {str(key): to_value(inner) for key, inner in value.items()}}
        case list() | tuple():
            return {"L": [to_value(inner) for inner in value]}
    raise TypeError(f"DynamoDB has no type for {type(value).__name__}")


def from_value(value: Mapping[str, Any]) -> Any:
    """Return the value of DynamoDB's JSON. Numbers become integers."""
    ((kind, inner),) = value.items()
    match kind:
        case "N":
            return _whole(inner)
        case "M":
            return {key: from_value(each) for key, each in inner.items()}
        case "L":
            return [from_value(each) for each in inner]
        case "NULL":
            return None
        case "SS":
            return list(inner)
    return inner


def _whole(number: str) -> int:
    try:
        return int(number)
    except ValueError:  # a fraction or an exponent
        return int(float(number))


def to_item(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Return attributes as a DynamoDB item, without those that are None."""
    return {name: to_value(value) for name, value in attributes.items() if value is not None}


def from_item(item: Mapping[str, Any]) -> dict[str, Any]:
    """Return the attributes of a DynamoDB item."""
    return {name: from_value(value) for name, value in item.items()}


def key(pk: str, sk: str) -> dict[str, Any]:
    """Return a primary key of the registry."""
    return {"pk": {"S": pk}, "sk": {"S": sk}}


def job_key(job: str) -> dict[str, Any]:
    """Return the key of a job's record."""
    return key(f"JOB#{job}", "JOB")


def watch_key(job: str) -> dict[str, Any]:
    """Return the key of a job's watch: until when its agent sends at once.

    It is an item of its own, so that a watch is not a change of the job's record.
    """
    return key(f"JOB#{job}", "WATCH")


def archive_key(job: str) -> dict[str, Any]:
    """Return the key of a job's archive state: how far it is archived, and the plan of a step under way."""
    return key(f"JOB#{job}", "ARCHIVE")


def segment_key(job: str, last: int) -> dict[str, Any]:
    """Return the index key of a segment, from the segment's last sequence."""
    return key(f"ARCHIVE#{job}", f"{last:016d}")


def unarchived_attributes(job: str) -> dict[str, str]:
    """Return the attributes that put a job into the list of jobs that may have something to archive."""
    return {"spk": unarchived_partition(shard_of(job)), "ssk": job}


def unarchived_partition(shard: int) -> str:
    """Return the key of one partition of the list of unarchived jobs."""
    return f"UNARCHIVED#{shard}"


def sweep_key() -> dict[str, Any]:
    """Return the key of the one item that says when the archive last swept. `logferry doctor` reads it."""
    return key("SWEEP", "SWEEP")


def shard_of(job: str) -> int:
    """Return a job's partition in a list over all jobs."""
    return zlib.crc32(job.encode()) % SHARDS


def principal_key(name: str) -> dict[str, Any]:
    """Return the key of a principal."""
    return key(f"PRINCIPAL#{name}", "PRINCIPAL")


def credential_key(credential: str) -> dict[str, Any]:
    """Return the key of a principal's credential."""
    return key(f"CREDENTIAL#{credential}", "CREDENTIAL")


def share_key(share: str) -> dict[str, Any]:
    """Return the key of a share. The table's word for it is GRANT."""
    return key(f"GRANT#{share}", "GRANT")


def role_key(arn: str) -> dict[str, Any]:
    """Return the key of the mapping from an AWS role or user to a principal."""
    return key(f"ROLE#{arn}", "ROLE")


def role_id_key(arn: str, mapped: int) -> dict[str, Any]:
    """Return the key of the unique id to which a role's mapping is bound.

    A role that is deleted and created again keeps its ARN and gets another unique id. The item has a partition of its
    own, so that `connect` may write it without the permission to write mappings. Each mapping, told by its time, has
    its own.

    Args:
        arn: the role's ARN.
        mapped: when the mapping was made, in milliseconds.
    """
    return key(f"ROLEID#{arn}", f"{mapped:013d}")


def ticket_key(digest: str) -> dict[str, Any]:
    """Return the key of a ticket, from the SHA-256 of its text."""
    return key(f"TICKET#{digest}", "TICKET")


def connection_key(connection: str) -> dict[str, Any]:
    """Return the key of a WebSocket connection."""
    return key(f"CONNECTION#{connection}", "CONNECTION")


def usage_key(principal: str, day: str) -> dict[str, Any]:
    """Return the key of what an agent principal stored on a day. Only principals with a quota have it."""
    return key(f"USAGE#{principal}", day)


def instance_key(principal: str, instance: str) -> dict[str, Any]:
    """Return the key of an instance, whose item says when the cloud last heard from it."""
    return key(f"INSTANCE#{principal}.{instance}", "INSTANCE")


def instance_connection_key(principal: str, instance: str, connection: str) -> dict[str, Any]:
    """Return the key of one live connection of an instance."""
    return key(f"INSTANCE#{principal}.{instance}", f"CONNECTION#{connection}")


def subscription_key(job: str, connection: str) -> dict[str, Any]:
    """Return the key of a connection's subscription to a job."""
    return key(f"JOB#{job}", f"SUBSCRIPTION#{connection}")


def list_key(owner: str, connection: str) -> dict[str, Any]:
    """Return the key of a connection's subscription to the list of an owner's jobs; `*` stands for every owner."""
    return key(f"LIST#{owner}", f"SUBSCRIPTION#{connection}")
