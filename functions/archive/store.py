"""Reads, writes and deletes batches, the archive's state and index, and its objects."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, Final

from botocore.exceptions import ClientError

from registry import archive_index, items
from registry.archive_index import Index, Segment
from registry.tombstone import YEAR_S, put_tombstone
from runtime.aws_errors import condition_failed

from .core import Backlog, Batch, Plan, State

PAGE: Final = 25
"""The most requests of one BatchWriteItem."""

OBJECTS: Final = 1_000
"""The most keys of one DeleteObjects."""

_PLANNED: Final = ("planned_first", "planned_last", "planned_segments", "planned_days")


class Store:
    """archive's access to DynamoDB and S3."""

    def __init__(self, dynamodb: Any, s3: Any, log_table: str, registry_table: str, bucket: str) -> None:
        self._dynamodb, self._log, self._registry = dynamodb, log_table, registry_table
        self._s3, self._bucket = s3, bucket
        self.index = Index(dynamodb, registry_table)

    # --- jobs

    def record(self, job: str) -> dict[str, Any] | None:
        """Return a job's record."""
        return self._get(items.job_key(job))

    def state(self, job: str) -> State:
        """Return how far a job is archived."""
        item = self._get(items.archive_key(job)) or {}
        plan = None
        if "planned_last" in item:
            first, last, segments, days = (item[name] for name in _PLANNED)
            plan = Plan(first, last, tuple((part[0], part[1]) for part in segments), tuple(days))
        return State(
            int(item.get("tip") or 0),
            plan,
            item.get("opened") or 0,
            item.get("archived") or 0,
            bool(item.get("deleted")),
        )

    def unarchived(self, shard: int) -> Iterator[str]:
        """Yield the jobs of one partition that may have something to archive or to erase."""
        arguments: dict[str, Any] = {
            "TableName": self._registry,
            "IndexName": items.SHARD_INDEX,
            "KeyConditionExpression": "spk = :spk",
            "ExpressionAttributeValues": {":spk": {"S": items.unarchived_partition(shard)}},
        }
        while True:
            answer = self._dynamodb.query(**arguments)
            yield from (item["ssk"]["S"] for item in answer["Items"])
            if "LastEvaluatedKey" not in answer:
                return
            arguments["ExclusiveStartKey"] = answer["LastEvaluatedKey"]

    def note_sweep(self, now_ms: int, why: str, jobs: int) -> None:
        """Record that a sweep passed on the listed jobs."""
        facts = {"at": now_ms, "why": why, "jobs": jobs}
        self._dynamodb.put_item(TableName=self._registry, Item={**items.sweep_key(), **items.to_item(facts)})

    def remove_from_unarchived(self, job: str, state: State) -> None:
        """Remove a job from the list of unarchived jobs, unless it was opened meanwhile."""
        values = {":opened": {"N": str(state.opened)}} if state.opened else {}
        condition = "opened = :opened" if state.opened else "attribute_not_exists(opened)"
        self._update(
            items.archive_key(job),
            "REMOVE spk, ssk",
            f"{condition} AND attribute_not_exists(planned_last) AND attribute_not_exists(deleted)",
            values,
        )

    def _get(self, key: Mapping[str, Any]) -> dict[str, Any] | None:
        answer = self._dynamodb.get_item(TableName=self._registry, Key=key, ConsistentRead=True)
        return items.from_item(answer["Item"]) if "Item" in answer else None

    def _update(
        self, key: Mapping[str, Any], expression: str, condition: str, values: Mapping[str, Any], **more: Any
    ) -> bool:
        """Update an item on a condition; return whether the condition held."""
        try:
            self._dynamodb.update_item(
                TableName=self._registry,
                Key=key,
                UpdateExpression=expression,
                ConditionExpression=condition,
                **({"ExpressionAttributeValues": values} if values else {}),
                **more,
            )
        except ClientError as error:
            if condition_failed(error):
                return False
            raise
        return True

    # --- batches

    def backlog(self, job: str, tip: int) -> Backlog | None:
        """Return what of a job is stored after the archive's tip, or None for nothing."""
        first = next(self._facts(job, tip, forward=True), None)
        if first is None:
            return None
        last = next(self._facts(job, tip, forward=False), first)
        return Backlog(first["first"], first.get("received") or 0, last["first"] + last["count"] - 1)

    def _facts(self, job: str, after: int, *, forward: bool) -> Iterator[dict[str, Any]]:
        # Two, because a tombstone may follow the last batch.
        answer = self._dynamodb.query(
            TableName=self._log,
            KeyConditionExpression="job = :job AND #first > :after",
            ExpressionAttributeValues={":job": {"S": job}, ":after": {"N": str(after)}},
            ProjectionExpression="#first, #count, #received, #deleted",
            ExpressionAttributeNames={
                "#first": "first",
                "#count": "count",
                "#received": "received",
                "#deleted": "deleted",
            },
            ScanIndexForward=forward,
            Limit=2,
            ConsistentRead=True,
        )
        return (item for item in map(items.from_item, answer["Items"]) if not item.get("deleted"))

    def batches_after(self, job: str, sequence: int) -> Iterator[Batch]:
        """Yield the batches that begin after a sequence, ascending, including expired ones that are still there."""
        arguments: dict[str, Any] = {
            "TableName": self._log,
            "KeyConditionExpression": "job = :job AND #first > :after",
            "ExpressionAttributeValues": {":job": {"S": job}, ":after": {"N": str(sequence)}},
            "ExpressionAttributeNames": {"#first": "first"},
            "ConsistentRead": True,
        }
        while True:
            answer = self._dynamodb.query(**arguments)
            yield from (item for item in map(items.from_item, answer["Items"]) if not item.get("deleted"))
            if "LastEvaluatedKey" not in answer:
                return
            arguments["ExclusiveStartKey"] = answer["LastEvaluatedKey"]

    # --- steps

    def save_plan(self, job: str, state: State, plan: Plan) -> bool:
        """Write what is archived next; return False if the state has changed."""
        values = {":first": plan.first, ":last": plan.last, ":segments": plan.segments, ":days": plan.days}
        tip = "tip = :tip" if state.tip else "attribute_not_exists(tip)"
        return self._update(
            items.archive_key(job),
            "SET planned_first = :first, planned_last = :last, planned_segments = :segments, planned_days = :days",
            f"{tip} AND attribute_not_exists(planned_last) AND attribute_not_exists(deleted)",
            {**items.to_value(values)["M"], **({":tip": {"N": str(state.tip)}} if state.tip else {})},
        )

    def discard_plan(self, job: str, plan: Plan) -> bool:
        """Delete a plan that cannot be carried out; return False if it is not there any more."""
        return self._update(items.archive_key(job), "REMOVE " + ", ".join(_PLANNED), _IS_PLANNED, _planned_values(plan))

    def commit(self, job: str, plan: Plan, segments: Iterable[Segment], last: Batch, now_ms: int) -> bool:
        """Index a plan's segments and advance the tip in one transaction; return False if the plan is gone.

        Args:
            job: the job's id.
            plan: the plan that was carried out.
            segments: its segments.
            last: the last batch that it covers.
            now_ms: the time.
        """
        facts = {"tip": plan.last, "first": last["first"], "digest": last["digest"], "cursor": last.get("cursor")}
        given = {name: value for name, value in {**facts, "archived": now_ms}.items() if value is not None}
        update = {
            "TableName": self._registry,
            "Key": items.archive_key(job),
            "UpdateExpression": "SET "
            + ", ".join(f"#{name} = :{name}" for name in given)
            + " REMOVE "
            + ", ".join(_PLANNED),
            "ConditionExpression": f"{_IS_PLANNED} AND attribute_not_exists(deleted)",
            "ExpressionAttributeNames": {f"#{name}": name for name in given},
            "ExpressionAttributeValues": {
                **{f":{name}": items.to_value(value) for name, value in given.items()},
                **_planned_values(plan),
            },
        }
        puts = [{"TableName": self._registry, "Item": archive_index.to_item(job, segment)} for segment in segments]
        try:
            self._dynamodb.transact_write_items(TransactItems=[{"Update": update}, *({"Put": put} for put in puts)])
        except ClientError as error:
            reasons = error.response.get("CancellationReasons") or [{}]
            if reasons[0].get("Code") == "ConditionalCheckFailed":
                return False
            raise
        return True

    def is_archived(self, job: str, plan: Plan) -> bool:
        """Return whether a plan was carried out and indexed."""
        segment = next(self.index.from_sequence(job, plan.last), None)
        return segment is not None and (segment.run_first, segment.run_last) == (plan.first, plan.last)

    # --- objects

    def put_object(self, key: str, content: bytes) -> None:
        """Put an object. An object that is already there under the key has the same bytes."""
        self._s3.put_object(Bucket=self._bucket, Key=key, Body=content)

    def delete_objects(self, keys: Sequence[str]) -> None:
        """Delete the objects that exist.

        Raises:
            NotDeletedError: S3 did not delete one of them.
        """
        for at in range(0, len(keys), OBJECTS):
            wanted = {"Objects": [{"Key": key} for key in keys[at : at + OBJECTS]], "Quiet": True}
            answer = self._s3.delete_objects(Bucket=self._bucket, Delete=wanted)
            if answer.get("Errors"):
                raise NotDeletedError(answer["Errors"][0].get("Key", ""), answer["Errors"][0].get("Code", ""))

    # --- deletion

    def block_steps(self, job: str, now_ms: int) -> None:
        """Mark a deleted job, so that no plan of it is made or committed from now on."""
        self._dynamodb.update_item(
            TableName=self._registry,
            Key=items.archive_key(job),
            UpdateExpression="SET deleted = if_not_exists(deleted, :now)",
            ExpressionAttributeValues={":now": {"N": str(now_ms)}},
        )

    def put_tombstone(self, job: str, known: int, now_ms: int) -> None:
        """End the log of a deleted job, if the deletion did not get that far."""
        put_tombstone(self._dynamodb, self._log, job, known, now_ms)

    def batches(self, job: str) -> list[dict[str, Any]]:
        """Return some batches that are left of a job, without their bodies. Tombstones are not batches."""
        answer = self._dynamodb.query(
            TableName=self._log,
            KeyConditionExpression="job = :job",
            FilterExpression="attribute_not_exists(deleted)",
            ExpressionAttributeValues={":job": {"S": job}},
            ProjectionExpression="#first, #count, #raw",
            ExpressionAttributeNames={"#first": "first", "#count": "count", "#raw": "raw"},
            Limit=PAGE,
            ConsistentRead=True,
        )
        return [items.from_item(item) for item in answer["Items"]]

    def delete_batches(self, job: str, firsts: Iterable[int]) -> None:
        """Delete batches. Those that the table does not accept at once are left for the next call."""
        requests = [{"DeleteRequest": {"Key": {"job": {"S": job}, "first": {"N": str(first)}}}} for first in firsts]
        self._dynamodb.batch_write_item(RequestItems={self._log: requests})

    def some_segments(self, job: str) -> list[Segment]:
        """Return some segments that the index still has of a job, whatever their age."""
        return list(islice(self.index.from_sequence(job, 0), 50))

    def delete_segments(self, job: str, segments: Iterable[Segment]) -> None:
        """Delete segments from the index, after their objects."""
        for segment in segments:
            self._dynamodb.delete_item(TableName=self._registry, Key=items.segment_key(job, segment.last))

    def note_erased(self, job: str, gone: Mapping[str, int], now_ms: int | None) -> None:
        """Add to the record's counts of erased items.

        Args:
            job: the job's id.
            gone: how many of each kind were erased.
            now_ms: when everything was erased, in milliseconds; None while something is left.
        """
        values = {f":{name}": {"N": str(count)} for name, count in gone.items()}
        expression = "ADD " + ", ".join(f"erased_{name} :{name}" for name in gone)
        if now_ms is not None:
            expression += " SET erased = :now"
            values[":now"] = {"N": str(now_ms)}
        self._update(items.job_key(job), expression, "attribute_exists(deleted)", values)

    def finish_erasure(self, job: str, now_ms: int) -> None:
        """Remove an erased job from the list. The rest of its state keeps late steps out."""
        self._update(
            items.archive_key(job),
            f"SET expires = :expires REMOVE spk, ssk, {', '.join(_PLANNED)}",
            "attribute_exists(deleted)",
            {":expires": {"N": str(now_ms // 1000 + YEAR_S)}},
        )


class NotDeletedError(Exception):
    """S3 did not delete an object."""

    def __init__(self, key: str, code: str) -> None:
        super().__init__(key, code)
        self.key, self.code = key, code

    def __str__(self) -> str:
        return f"S3 did not delete {self.key}: {self.code}"


_IS_PLANNED: Final = "planned_first = :planned_first AND planned_last = :planned_last"


def _planned_values(plan: Plan) -> dict[str, Any]:
    return {":planned_first": {"N": str(plan.first)}, ":planned_last": {"N": str(plan.last)}}
