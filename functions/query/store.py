"""What query reads: batches, job records, instances. It writes tickets."""

import heapq
from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from itertools import chain, takewhile
from typing import Any, Final

from botocore.exceptions import ClientError

from registry import items
from registry.jobs import list_position
from registry.tombstone import put_tombstone

FACTS: Final = ("first", "count", "end", "received", "deleted")
"""What tells how far a job got; bodies stay where they are."""


class Store:
    """The function's only way to DynamoDB."""

    def __init__(self, dynamodb: Any, log_table: str, registry_table: str) -> None:
        self._dynamodb, self._log, self._registry = dynamodb, log_table, registry_table

    # --- jobs

    def job(self, job: str) -> dict[str, Any] | None:
        """A job's record."""
        answer = self._dynamodb.get_item(TableName=self._registry, Key=items.job_key(job), ConsistentRead=True)
        return items.from_item(answer["Item"]) if "Item" in answer else None

    def jobs(
        self, owners: Iterable[str] | None, before: str | None, page: int, *, latest: str | None = None
    ) -> Iterator[dict[str, Any]]:
        """Job records from the newest on, of some owners or (None) of all; `page` is how many are read at once.

        The order is `<created>#<job>` in every partition, so partitions merge into one list, and one place says where
        it goes on. Records whose place is greater than `latest` come last: an earlier version stored times of a far
        future, and those must not hide the others.
        """
        asked = None if owners is None else list(owners)
        if latest is None:
            yield from self._merged(asked, before, page)
            return
        ahead = partial(self._ahead, asked, page=page, latest=latest)
        if before is not None and before > latest:
            yield from ahead(before)
            return
        rows = self._merged(asked, before, page)
        first = next(rows, None)
        if before is None and (first is None or list_position(first) <= latest):
            # Nothing is ahead, as a rule: no list is read to its end only to find that out.
            yield from () if first is None else chain((first,), rows)
            return
        if before is None:
            rows = self._merged(asked, latest, page)
        elif first is not None:
            rows = chain((first,), rows)
        yield from rows
        yield from ahead(None)

    def _ahead(
        self, owners: list[str] | None, before: str | None, *, page: int, latest: str
    ) -> Iterator[dict[str, Any]]:
        return takewhile(lambda item: list_position(item) > latest, self._merged(owners, before, page))

    def _merged(self, owners: list[str] | None, before: str | None, page: int) -> Iterator[dict[str, Any]]:
        if owners is None:
            parts = [(items.SHARD_INDEX, "spk", "ssk", f"JOBS#{shard}") for shard in range(items.SHARDS)]
        else:
            parts = [(items.TARGET_INDEX, "gpk", "gsk", f"OWNER#{owner}") for owner in owners]
        runs = [self._jobs_of(*part, before=before, page=page) for part in parts]
        for _order, item in heapq.merge(*runs, key=lambda row: row[0], reverse=True):
            yield item

    def _jobs_of(
        self, index: str, hash_name: str, range_name: str, partition: str, *, before: str | None, page: int
    ) -> Iterator[tuple[str, dict[str, Any]]]:
        arguments: dict[str, Any] = {
            "TableName": self._registry,
            "IndexName": index,
            "KeyConditionExpression": f"{hash_name} = :partition",
            "ExpressionAttributeValues": {":partition": {"S": partition}},
            "ScanIndexForward": False,
            "Limit": page,
        }
        if before is not None:
            arguments["KeyConditionExpression"] += f" AND {range_name} < :before"
            arguments["ExpressionAttributeValues"][":before"] = {"S": before}
        while True:
            answer = self._dynamodb.query(**arguments)
            for item in map(items.from_item, answer["Items"]):
                yield item[range_name], item
            if "LastEvaluatedKey" not in answer:
                return
            arguments["ExclusiveStartKey"] = answer["LastEvaluatedKey"]

    def heard(self, instances: Iterable[tuple[str, str]]) -> dict[tuple[str, str], int]:
        """When each instance (principal, engine id) was last heard of, in milliseconds; unknown ones are left out."""
        found: dict[tuple[str, str], int] = {}
        for principal, instance in set(instances):
            answer = self._dynamodb.get_item(TableName=self._registry, Key=items.instance_key(principal, instance))
            if "Item" in answer:
                found[principal, instance] = int(answer["Item"]["seen"]["N"])
        return found

    # --- batches

    def archived_tip(self, job: str) -> int:
        """The last archived sequence; 0 when nothing is."""
        answer = self._dynamodb.get_item(TableName=self._registry, Key=items.archive_key(job), ConsistentRead=True)
        return int(items.from_item(answer.get("Item") or {}).get("tip") or 0)

    def tip(self, job: str) -> int:
        """The last sequence that the log table holds; 0 when it holds nothing."""
        # Two, because a tombstone may lie behind the last batch.
        for item in self._batches(job, "job = :job", {}, forward=False, limit=2):
            return int(item["first"]) + int(item["count"]) - 1
        return 0

    def newest(self, job: str, *, consistent: bool = True) -> dict[str, Any] | None:
        """The facts of the last batch that the log table holds; None when it holds nothing, or the job is deleted."""
        answer = self._dynamodb.query(
            TableName=self._log,
            KeyConditionExpression="job = :job",
            ExpressionAttributeValues={":job": {"S": job}},
            ExpressionAttributeNames={f"#{name}": name for name in FACTS},
            ProjectionExpression=", ".join(f"#{name}" for name in FACTS),
            ScanIndexForward=False,
            Limit=1,
            ConsistentRead=consistent,
        )
        found = [item for item in map(items.from_item, answer["Items"]) if not item.get("deleted")]
        return found[0] if found else None

    def batches_after(self, job: str, sequence: int) -> Iterator[dict[str, Any]]:
        """Batches with entries after a sequence, ascending."""
        # The batch that holds `sequence` may go on after it; it is the last one that begins at or before it.
        for item in self._batches(job, "job = :job AND #first <= :first", {":first": sequence}, forward=False, limit=1):
            if item["first"] + item["count"] - 1 > sequence:
                yield item
        yield from self._batches(job, "job = :job AND #first > :first", {":first": sequence}, forward=True, limit=None)

    def batches_before(self, job: str, sequence: int) -> Iterator[dict[str, Any]]:
        """Batches with entries before a sequence, descending."""
        condition = "job = :job AND #first < :first"
        return self._batches(job, condition, {":first": sequence}, forward=False, limit=None)

    def _batches(
        self, job: str, condition: str, values: Mapping[str, int], *, forward: bool, limit: int | None
    ) -> Iterator[dict[str, Any]]:
        arguments: dict[str, Any] = {
            "TableName": self._log,
            "KeyConditionExpression": condition,
            "ExpressionAttributeValues": {
                ":job": {"S": job},
                **{name: {"N": str(value)} for name, value in values.items()},
            },
            "ScanIndexForward": forward,
            "ConsistentRead": True,
            # 1 MB is what DynamoDB reads for a page at most; bodies are up to 22 KB.
            "Limit": limit or 50,
        }
        if values:
            arguments["ExpressionAttributeNames"] = {"#first": "first"}
        while True:
            answer = self._dynamodb.query(**arguments)
            yield from (item for item in map(items.from_item, answer["Items"]) if not item.get("deleted"))
            if limit or "LastEvaluatedKey" not in answer:
                return
            arguments["ExclusiveStartKey"] = answer["LastEvaluatedKey"]

    # --- deletion

    def mark_deleted(self, job: str, by: str, now_ms: int) -> None:
        """Sets the record's tombstone: from here on nothing is read."""
        # Listed first: should nobody be told to erase the job, the archive's next sweep finds it.
        self._dynamodb.update_item(
            TableName=self._registry,
            Key=items.archive_key(job),
            UpdateExpression="SET opened = :now, spk = :spk, ssk = :ssk",
            ExpressionAttributeValues={
                ":now": {"N": str(now_ms)},
                **{f":{name}": {"S": value} for name, value in items.unarchived_attributes(job).items()},
            },
        )
        self._dynamodb.update_item(
            TableName=self._registry,
            Key=items.job_key(job),
            UpdateExpression="SET deleted = if_not_exists(deleted, :now), deleted_by = if_not_exists(deleted_by, :by)",
            ConditionExpression="attribute_exists(pk)",
            ExpressionAttributeValues={":now": {"N": str(now_ms)}, ":by": {"S": by}},
        )

    def put_tombstone(self, job: str, known: int, now_ms: int) -> None:
        """Ends a deleted job's log; its tip is `known` at least."""
        put_tombstone(self._dynamodb, self._log, job, known, now_ms)

    # --- share links

    def put_share(self, item: Mapping[str, Any]) -> None:
        """Keeps a link."""
        self._dynamodb.put_item(TableName=self._registry, Item=items.to_item(item))

    def share(self, share: str) -> dict[str, Any] | None:
        """A link."""
        answer = self._dynamodb.get_item(TableName=self._registry, Key=items.share_key(share), ConsistentRead=True)
        return items.from_item(answer["Item"]) if "Item" in answer else None

    def shares(self, job: str) -> list[dict[str, Any]]:
        """The links of a job, the newest first; a hundred at most."""
        answer = self._dynamodb.query(
            TableName=self._registry,
            IndexName=items.SHARD_INDEX,
            KeyConditionExpression="spk = :spk",
            ExpressionAttributeValues={":spk": {"S": f"GRANTS#{job}"}},
            ScanIndexForward=False,
            Limit=100,
        )
        return [items.from_item(item) for item in answer["Items"]]

    def revoke_share(self, share: str, now_ms: int) -> None:
        """Ends a link; the change closes what it opened."""
        self._dynamodb.update_item(
            TableName=self._registry,
            Key=items.share_key(share),
            UpdateExpression="SET revoked = if_not_exists(revoked, :now)",
            ConditionExpression="attribute_exists(pk)",
            ExpressionAttributeValues={":now": {"N": str(now_ms)}},
        )

    # --- who did what

    def put_audit(self, job: str, place: str, attributes: Mapping[str, Any]) -> None:
        """Records that somebody read, shared or deleted a job; the same place is written once."""
        try:
            self._dynamodb.put_item(
                TableName=self._registry,
                Item={**items.key(f"AUDIT#{job}", place), **items.to_item(attributes)},
                ConditionExpression="attribute_not_exists(pk)",
            )
        except ClientError as error:
            if error.response["Error"]["Code"] != "ConditionalCheckFailedException":
                raise

    def audit(self, job: str, before: str | None, limit: int) -> list[dict[str, Any]]:
        """What was recorded of a job, the newest first."""
        values = {":pk": {"S": f"AUDIT#{job}"}, **({":before": {"S": before}} if before else {})}
        answer = self._dynamodb.query(
            TableName=self._registry,
            KeyConditionExpression="pk = :pk" + (" AND sk < :before" if before else ""),
            ExpressionAttributeValues=values,
            ScanIndexForward=False,
            Limit=limit,
        )
        return [items.from_item(item) for item in answer["Items"]]

    # --- tickets

    def put_ticket(self, digest: str, context: Mapping[str, str], origin: str | None, until: int) -> None:
        """Stores a ticket: only its hash, and for whom and where it counts until when (milliseconds)."""
        attributes = {**context, "origin": origin, "until": until, "expires": until // 1000 + 60}
        self._dynamodb.put_item(
            TableName=self._registry, Item={**items.ticket_key(digest), **items.to_item(attributes)}
        )
