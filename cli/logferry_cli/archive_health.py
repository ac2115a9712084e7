"""Check the archive: when it last swept, which jobs have waited too long, and which calls failed for good.

This is one check of `logferry doctor`. It reads with the operator's AWS credentials what the function itself stores:
the list of jobs with something to archive, how far each is archived, and when a sweep last ended.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final

from boto3.dynamodb.conditions import Key

from logferry_cli.deployment import Deployment
from logferry_cli.terminal import sanitize_word

SWEEP_KEY: Final = {"pk": "SWEEP", "sk": "SWEEP"}
SHARD_INDEX: Final = "by_shard"
SHARDS: Final = 8
UNARCHIVED: Final = "UNARCHIVED#"
OLD_MS: Final = 24 * 3_600_000
QUIET_MS: Final = 3 * 3_600_000
"""The function's rules and names; tests/unit/cli/test_archive_health.py compares them."""

GRACE_MS: Final = 2 * 3_600_000
"""After this time something has waited too long: two hourly sweeps should have seen it."""

MOST_JOBS: Final = 1_000
"""Limit of listed jobs to check, at two reads each."""


@dataclass(frozen=True, slots=True)
class Findings:
    """The state of the archive."""

    swept: int | None
    """When a sweep last ended, in milliseconds since 1970."""
    enabled: bool
    """Whether the hourly schedule is on."""
    listed: int
    """Number of checked jobs that may have something to archive."""
    unarchived: tuple[str, ...] = ()
    """Jobs that should be archived by now and are not."""
    unerased: tuple[str, ...] = ()
    """Deleted jobs of which something should be gone by now and is not."""
    given_up: int = 0
    """Calls of the function that failed for good."""
    function: str = ""
    rule: str = ""

    def problems(self, now_ms: int) -> list[str]:
        """Return what is wrong, one sentence each; nothing when the archive works."""
        found = []
        if not self.enabled:
            found.append(f"The hourly schedule is disabled (rule {self.rule}): enable it.")
        elif self.swept is not None and now_ms - self.swept > GRACE_MS:
            hours = (now_ms - self.swept) // 3_600_000
            found.append(f"The last sweep was {hours} hours ago, but one is due every hour (rule {self.rule}).")
        for jobs, what in (
            (self.unarchived, "should be archived by now but are not"),
            (self.unerased, "were deleted hours ago but are not erased yet"),
        ):
            if jobs:
                more = f" and {len(jobs) - 1:,} more" if len(jobs) > 1 else ""
                found.append(f"Jobs that {what}: {sanitize_word(jobs[0])}{more}.")
        if found:
            found.append(f"See the log group of {self.function} for what failed.")
        return found

    def summary(self, now_ms: int) -> str:
        """Return a summary of an archive that works."""
        when = "no sweep yet" if self.swept is None else f"swept {max(0, now_ms - self.swept) // 60_000} minutes ago"
        many = f"{self.listed:,}" if self.listed < MOST_JOBS else f"{MOST_JOBS:,} or more"
        return f"{when}, {many} jobs listed, none overdue"

    @property
    def failed_calls(self) -> str:
        """What failed for good and what to do, as a sentence; empty when nothing did."""
        if not self.given_up:
            return ""
        many = f"{self.given_up:,}" if self.given_up < 1_000 else "1,000 or more"
        return f"{many} calls of the archive failed for good: run `logferry replay` to repeat them."


def due_ms(opened_ms: int, received_ms: int) -> int:
    """Return from when on every sweep archives the rest of a job: after a day, or once nobody can write it any more.

    Args:
        opened_ms: When the job was last opened, in milliseconds since 1970.
        received_ms: When the first batch that is not archived was stored, in milliseconds since 1970.
    """
    return min(received_ms + OLD_MS, max(received_ms, opened_ms + QUIET_MS))


def inspect_archive(deployment: Deployment, now_ms: int) -> Findings:
    """Check a deployment's archive."""
    function, rule = (_physical(deployment, logical) for logical in ("Archive", "ArchiveHourly"))
    state = deployment.client("events").describe_rule(Name=rule).get("State", "ENABLED")
    swept = deployment.table("RegistryTable").get_item(Key=SWEEP_KEY).get("Item", {}).get("at")
    listed = list(islice(_listed(deployment), MOST_JOBS))
    unarchived, unerased = list[str](), list[str]()
    for item in listed:
        job = str(item["ssk"])
        if deleted_ms := _deleted(deployment, item):
            if now_ms - deleted_ms > GRACE_MS:
                unerased.append(job)
            continue
        received_ms = _received(deployment, item)
        if received_ms is not None and now_ms - due_ms(int(item.get("opened") or 0), received_ms) > GRACE_MS:
            unarchived.append(job)
    return Findings(
        swept=int(str(swept)) if swept is not None else None,
        enabled=state == "ENABLED",
        listed=len(listed),
        unarchived=tuple(unarchived),
        unerased=tuple(unerased),
        given_up=_given_up(deployment, function),
        function=function,
        rule=rule,
    )


def _physical(deployment: Deployment, logical: str) -> str:
    formation = deployment.client("cloudformation")
    found = formation.describe_stack_resource(StackName=deployment.stack, LogicalResourceId=logical)
    return str(found["StackResourceDetail"]["PhysicalResourceId"])


def _listed(deployment: Deployment) -> Iterator[Mapping[str, Any]]:
    table = deployment.table("RegistryTable")
    for shard in range(SHARDS):
        arguments: dict[str, Any] = {
            "IndexName": SHARD_INDEX,
            "KeyConditionExpression": Key("spk").eq(f"{UNARCHIVED}{shard}"),
        }
        while True:
            answer = table.query(**arguments)
            yield from answer["Items"]
            if "LastEvaluatedKey" not in answer:
                break
            arguments["ExclusiveStartKey"] = answer["LastEvaluatedKey"]


def _deleted(deployment: Deployment, item: Mapping[str, Any]) -> int:
    """Return when a job was deleted, in milliseconds since 1970; 0 if it was not.

    The tombstone says it. The list itself has it once erasing has begun.
    """
    key = {"pk": item["pk"], "sk": "JOB"}
    record = deployment.table("RegistryTable").get_item(Key=key, ConsistentRead=True).get("Item", {})
    return int(str(record.get("deleted") or 0))


def _received(deployment: Deployment, item: Mapping[str, Any]) -> int | None:
    """Return when the first of a job's unarchived batches was stored; None if all are archived."""
    answer = deployment.table("LogTable").query(
        KeyConditionExpression=Key("job").eq(item["ssk"]) & Key("first").gt(item.get("tip") or 0),
        ProjectionExpression="received, deleted",
        Limit=2,  # a tombstone may come first
        ConsistentRead=True,
    )
    batches = [batch for batch in answer["Items"] if not batch.get("deleted")]
    return int(str(batches[0].get("received") or 0)) if batches else None


def _given_up(deployment: Deployment, function: str) -> int:
    prefix = f"aws/lambda/async/{function}/"
    answer = deployment.client("s3").list_objects_v2(Bucket=deployment.output("FailureBucket"), Prefix=prefix)
    return int(answer["KeyCount"])
