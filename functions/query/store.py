"""What query reads: batches, job records, instances. It writes tickets."""

import heapq
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from registry import items


class Store:
    """The function's only way to DynamoDB."""

    def __init__(self, dynamodb: Any, log_table: str, registry_table: str) -> None:
        self._dynamodb, self._log, self._registry = dynamodb, log_table, registry_table

    # --- jobs

    def job(self, job: str) -> dict[str, Any] | None:
        """A job's record."""
        answer = self._dynamodb.get_item(TableName=self._registry, Key=items.job_key(job), ConsistentRead=True)
        return items.from_item(answer["Item"]) if "Item" in answer else None

    def jobs(self, owners: Iterable[str] | None, before: str | None, page: int) -> Iterator[dict[str, Any]]:
        """Job records from the newest on, of some owners or (None) of all; `page` is how many are read at once.

        The order is `<created>#<job>` in every partition, so partitions merge into one list, and one place says where
        it goes on.
        """
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

    def tip(self, job: str) -> int:
        """The last stored sequence; 0 when nothing is kept."""
        for item in self._batches(job, "job = :job", {}, forward=False, limit=1):
            return int(item["first"]) + int(item["count"]) - 1
        return 0

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

    # --- tickets

    def put_ticket(self, digest: str, context: Mapping[str, str], origin: str | None, until: int) -> None:
        """Stores a ticket: only its hash, and for whom and where it counts until when (milliseconds)."""
        attributes = {**context, "origin": origin, "until": until, "expires": until // 1000 + 60}
        self._dynamodb.put_item(
            TableName=self._registry, Item={**items.ticket_key(digest), **items.to_item(attributes)}
        )
