"""DynamoDB's typed JSON, without boto3's resource layer: that is slow to import, and users wait for a cold start.

The registry's keys are made here and nowhere else.
"""

import zlib
from collections.abc import Mapping
from typing import Any, Final

TARGET_INDEX: Final = "by_target"
SHARD_INDEX: Final = "by_shard"
SHARDS: Final = 8
"""Partitions of the list of all jobs: one would bear a thousand writes a second."""


def to_value(value: Any) -> dict[str, Any]:  # noqa: PLR0911 - one line a type
    """One value as DynamoDB's JSON."""
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
    raise TypeError(f"no DynamoDB type for {type(value).__name__}")


def from_value(value: Mapping[str, Any]) -> Any:
    """One value of DynamoDB's JSON; numbers are whole here."""
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
    except ValueError:  # a fraction, or an exponent
        return int(float(number))


def to_item(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """An item as DynamoDB takes it; attributes that are None are left out."""
    return {name: to_value(value) for name, value in attributes.items() if value is not None}


def from_item(item: Mapping[str, Any]) -> dict[str, Any]:
    """An item as DynamoDB gives it."""
    return {name: from_value(value) for name, value in item.items()}


def key(pk: str, sk: str) -> dict[str, Any]:
    """A primary key of the registry."""
    return {"pk": {"S": pk}, "sk": {"S": sk}}


def job_key(job: str) -> dict[str, Any]:
    """The job's record."""
    return key(f"JOB#{job}", "JOB")


def watch_key(job: str) -> dict[str, Any]:
    """Until when the job's agent believes it watched. An item of its own, so that a watch is no change of the job."""
    return key(f"JOB#{job}", "WATCH")


def archive_key(job: str) -> dict[str, Any]:
    """How far the job is archived, and what is being archived of it. Of its own, as is the watch."""
    return key(f"JOB#{job}", "ARCHIVE")


def segment_key(job: str, last: int) -> dict[str, Any]:
    """A segment of the job's archive, by its last sequence."""
    return key(f"ARCHIVE#{job}", f"{last:016d}")


def unarchived_attributes(job: str) -> dict[str, str]:
    """Where a job stands in the list of those that may have something to archive."""
    return {"spk": unarchived_partition(shard_of(job)), "ssk": job}


def unarchived_partition(shard: int) -> str:
    """One partition of that list."""
    return f"UNARCHIVED#{shard}"


def sweep_key() -> dict[str, Any]:
    """When the archive last swept: one item, for whoever looks whether it does."""
    return key("SWEEP", "SWEEP")


def shard_of(job: str) -> int:
    """The partition of a list over all jobs in which a job stands."""
    return zlib.crc32(job.encode()) % SHARDS


def principal_key(name: str) -> dict[str, Any]:
    """A principal."""
    return key(f"PRINCIPAL#{name}", "PRINCIPAL")


def credential_key(credential: str) -> dict[str, Any]:
    """A credential of a principal."""
    return key(f"CREDENTIAL#{credential}", "CREDENTIAL")


def share_key(share: str) -> dict[str, Any]:
    """A share link."""
    return key(f"GRANT#{share}", "GRANT")


def role_key(arn: str) -> dict[str, Any]:
    """Which principal an AWS role or user stands for."""
    return key(f"ROLE#{arn}", "ROLE")


def role_id_key(arn: str, mapped: int) -> dict[str, Any]:
    """Which of all roles that ever had this ARN a mapping is for. Its own partition, so that connect, which writes it,
    may not write the mapping itself; each mapping, told by its time, has its own.
    """
    return key(f"ROLEID#{arn}", f"{mapped:013d}")


def ticket_key(digest: str) -> dict[str, Any]:
    """A ticket, by the SHA-256 of its text."""
    return key(f"TICKET#{digest}", "TICKET")


def connection_key(connection: str) -> dict[str, Any]:
    """A WebSocket connection."""
    return key(f"CONNECTION#{connection}", "CONNECTION")


def usage_key(principal: str, day: str) -> dict[str, Any]:
    """How much an agent principal stored on a day; kept for those alone that have a quota."""
    return key(f"USAGE#{principal}", day)


def instance_key(principal: str, instance: str) -> dict[str, Any]:
    """When an instance was last heard of."""
    return key(f"INSTANCE#{principal}.{instance}", "INSTANCE")


def instance_connection_key(principal: str, instance: str, connection: str) -> dict[str, Any]:
    """That a connection is one of an instance's live ones."""
    return key(f"INSTANCE#{principal}.{instance}", f"CONNECTION#{connection}")


def subscription_key(job: str, connection: str) -> dict[str, Any]:
    """That a connection wants a job's batches."""
    return key(f"JOB#{job}", f"SUBSCRIPTION#{connection}")


def list_key(owner: str, connection: str) -> dict[str, Any]:
    """That a connection wants the changes of an owner's jobs; `*` is every owner's."""
    return key(f"LIST#{owner}", f"SUBSCRIPTION#{connection}")
