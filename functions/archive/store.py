"""What archive reads and deletes."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from botocore.exceptions import ClientError

from registry import items

PAGE: Final = 25
"""What one BatchWriteItem takes."""


class Store:
    """The function's only way to DynamoDB."""

    def __init__(self, dynamodb: Any, log_table: str, registry_table: str) -> None:
        self._dynamodb, self._log, self._registry = dynamodb, log_table, registry_table

    def is_deleted(self, job: str) -> bool:
        """Whether a job has its tombstone: nothing else is ever erased."""
        key = items.job_key(job)
        answer = self._dynamodb.get_item(TableName=self._registry, Key=key, ConsistentRead=True)
        return bool(items.from_item(answer.get("Item") or {}).get("deleted"))

    def batches(self, job: str) -> list[dict[str, Any]]:
        """Some batches that are left of a job, without their bodies; tombstones are none."""
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
        """Deletes batches; those that the table does not take at once are left for the next look."""
        requests = [{"DeleteRequest": {"Key": {"job": {"S": job}, "first": {"N": str(first)}}}} for first in firsts]
        self._dynamodb.batch_write_item(RequestItems={self._log: requests})

    def note_erased(self, job: str, gone: Mapping[str, int], now_ms: int | None) -> None:
        """Adds to what the record says is gone; with a time, that it is all of it."""
        values = {f":{name}": {"N": str(count)} for name, count in gone.items()}
        expression = "ADD " + ", ".join(f"erased_{name} :{name}" for name in gone)
        if now_ms is not None:
            expression += " SET erased = :now"
            values[":now"] = {"N": str(now_ms)}
        try:
            self._dynamodb.update_item(
                TableName=self._registry,
                Key=items.job_key(job),
                UpdateExpression=expression,
                ConditionExpression="attribute_exists(deleted)",
                ExpressionAttributeValues=values,
            )
        except ClientError as error:
            if error.response["Error"]["Code"] != "ConditionalCheckFailedException":
                raise
