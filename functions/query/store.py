"""Reads batches, job records and instances, and writes shares, audit records and tickets."""

import heapq
from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from itertools import chain, takewhile
from typing import Any, Final

from botocore.exceptions import ClientError

from registry import items
from registry.jobs import list_position
from registry.tombstone import put_tombstone
from runtime.aws_errors import condition_failed

FACTS: Final = ("first", "count", "end", "received", "deleted")
"""The attributes that say how far a job is. Bodies are not read."""


class Store:
    """query's access to DynamoDB."""

    def __init__(self, dynamodb: Any, log_table: str, registry_table: str) -> None:
        self._dynamodb, self._log, self._registry = dynamodb, log_table, registry_table

    # --- jobs

    def job(self, job: str) -> dict[str, Any] | None:
        """Return a job's record."""
        answer = self._dynamodb.get_item(TableName=self._registry, Key=items.job_key(job), ConsistentRead=True)
        return items.from_item(answer["Item"]) if "Item" in answer else None

    def jobs(
        self, owners: Iterable[str] | None, before: str | None, page: int, *, latest: str | None = None
    ) -> Iterator[dict[str, Any]]:
        """Yield job records, the newest first.

        The order is `<created>#<job>` in every partition. So partitions merge into one list, and one position says
        where the list continues. An earlier version stored positions of a far future. They come last, so that they do
        not hide others.

        Args:
            owners: the owners of the jobs; None for all.
            before: the position after which the list continues, if it is not the first page.
            page: how many records are read at once.
            latest: positions greater than this come last.
        """
        owner_list = None if owners is None else list(owners)
        if latest is None:
            yield from self._merged(owner_list, before, page)
            return
        ahead = partial(self._ahead, owner_list, page=page, latest=latest)
        if before is not None and before > latest:
            yield from ahead(before)
            return
        rows = self._merged(owner_list, before, page)
        first = next(rows, None)
        if before is None and (first is None or list_position(first) <= latest):
            # Usually no position is that late. No list is read to its end only to find that out.
            yield from () if first is None else chain((first,), rows)
            return
        if before is None:
            rows = self._merged(owner_list, latest, page)
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

    def last_heard(self, instances: Iterable[tuple[str, str]]) -> dict[tuple[str, str], int]:
        """Return when each instance (principal, engine id) was last heard of, in milliseconds, if it is known."""
        found: dict[tuple[str, str], int] = {}
        for principal, instance in set(instances):
            answer = self._dynamodb.get_item(TableName=self._registry, Key=items.instance_key(principal, instance))
            if "Item" in answer:
                found[principal, instance] = int(answer["Item"]["seen"]["N"])
        return found

    # --- batches

    def archived_tip(self, job: str) -> int:
        """Return the last archived sequence; 0 if nothing is archived."""
        answer = self._dynamodb.get_item(TableName=self._registry, Key=items.archive_key(job), ConsistentRead=True)
        return int(items.from_item(answer.get("Item") or {}).get("tip") or 0)

    def tip(self, job: str) -> int:
        """Return the last sequence in the log table; 0 if it holds nothing."""
        # Two, because a tombstone may follow the last batch.
        for item in self._batches(job, "job = :job", {}, forward=False, limit=2):
            return int(item["first"]) + int(item["count"]) - 1
        return 0

    def newest(self, job: str, *, consistent: bool = True) -> dict[str, Any] | None:
        """Return the facts of the last batch in the log table, or None if there is none or the job is deleted."""
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
        """Yield the batches with entries after a sequence, ascending."""
        # The batch that holds `sequence` may have entries after it. It is the last one that begins at or before it.
        for item in self._batches(job, "job = :job AND #first <= :first", {":first": sequence}, forward=False, limit=1):
            if item["first"] + item["count"] - 1 > sequence:
                yield item
        yield from self._batches(job, "job = :job AND #first > :first", {":first": sequence}, forward=True, limit=None)

    def batches_before(self, job: str, sequence: int) -> Iterator[dict[str, Any]]:
        """Yield the batches with entries before a sequence, descending."""
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
            # DynamoDB reads at most 1 MB for a page; bodies have up to 22 KB.
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
        """Mark a job's record as deleted: from now on nothing is read."""
        # The job is listed first: if nobody is told to erase it, the archive's next sweep finds it.
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
        """End a deleted job's log. `known` is a lower bound for its tip."""
        put_tombstone(self._dynamodb, self._log, job, known, now_ms)

    # --- share links

    def put_share(self, item: Mapping[str, Any]) -> None:
        """Store a share."""
        self._dynamodb.put_item(TableName=self._registry, Item=items.to_item(item))

    def share(self, share: str) -> dict[str, Any] | None:
        """Return a share."""
        answer = self._dynamodb.get_item(TableName=self._registry, Key=items.share_key(share), ConsistentRead=True)
        return items.from_item(answer["Item"]) if "Item" in answer else None

    def shares(self, job: str) -> list[dict[str, Any]]:
        """Return the shares of a job, the newest first, at most a hundred."""
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
        """Revoke a share. The stream reports the change, and broadcast closes its connections."""
        self._dynamodb.update_item(
            TableName=self._registry,
            Key=items.share_key(share),
            UpdateExpression="SET revoked = if_not_exists(revoked, :now)",
            ConditionExpression="attribute_exists(pk)",
            ExpressionAttributeValues={":now": {"N": str(now_ms)}},
        )

    # --- who did what

    def put_audit(self, job: str, sort_key: str, attributes: Mapping[str, Any]) -> None:
        """Record that somebody read, shared or deleted a job. The same `sort_key` is written once."""
        try:
            self._dynamodb.put_item(
                TableName=self._registry,
                Item={**items.key(f"AUDIT#{job}", sort_key), **items.to_item(attributes)},
                ConditionExpression="attribute_not_exists(pk)",
            )
        except ClientError as error:
            if not condition_failed(error):
                raise

    def audit(self, job: str, before: str | None, limit: int) -> list[dict[str, Any]]:
        """Return the audit records of a job, the newest first."""
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
        """Store a ticket.

        Args:
            digest: the SHA-256 of its text, in hexadecimal.
            context: the principal, as an authorizer's context.
            origin: the origin of the page that asked for it, if it was a page.
            until: the end of its validity, in milliseconds since 1970.
        """
        attributes = {**context, "origin": origin, "until": until, "expires": until // 1000 + 60}
        self._dynamodb.put_item(
            TableName=self._registry, Item={**items.ticket_key(digest), **items.to_item(attributes)}
        )
