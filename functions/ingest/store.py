"""Reads and writes batches in the log table, and job records and instances in the registry."""

from collections.abc import Mapping
from typing import Any

from botocore.exceptions import ClientError

from logferry_protocol.messages import Batch
from registry import items, jobs
from runtime.aws_errors import THROTTLING_CODES, condition_failed

DAY_S = 86_400


class ThrottledError(Exception):
    """The table takes no more requests now. Nothing was stored."""


class BatchExistsError(Exception):
    """Something is already stored at the batch's first sequence: `existing`."""

    def __init__(self, existing: dict[str, Any]) -> None:
        super().__init__(existing.get("digest"))
        self.existing = existing


class Store:
    """ingest's access to DynamoDB."""

    def __init__(self, dynamodb: Any, log_table: str, registry_table: str, retention_days: int) -> None:
        self._dynamodb, self._log, self._registry = dynamodb, log_table, registry_table
        self._retention_s = retention_days * DAY_S

    # --- batches

    def put_batch(self, job: str, batch: Batch, now_ms: int) -> None:
        """Store a batch if nothing is stored at its first sequence.

        Raises:
            BatchExistsError: something is stored at (job, first).
            ThrottledError: the table takes no more requests now.
        """
        item = items.to_item(
            {
                "job": job,
                "first": batch.first,
                "count": batch.count,
                "start": batch.start,
                "end": batch.end,
                "raw": batch.raw,
                "digest": batch.digest,
                "cursor": batch.cursor,
                "body": batch.body,
                "received": now_ms,
                "expires": now_ms // 1000 + self._retention_s,
            }
        )
        try:
            self._dynamodb.put_item(
                TableName=self._log,
                Item=item,
                ConditionExpression="attribute_not_exists(job)",
                ReturnValuesOnConditionCheckFailure="ALL_OLD",
            )
        except ClientError as error:
            if condition_failed(error):
                existing: Any = error.response.get("Item") or self._at(job, batch.first) or {}
                raise BatchExistsError(items.from_item(existing)) from None
            if error.response["Error"]["Code"] in THROTTLING_CODES:
                raise ThrottledError from error
            raise

    def batch_at(self, job: str, first: int) -> dict[str, Any] | None:
        """Return the item at (job, first) without its body, if there is one."""
        item = self._at(job, first)
        return items.from_item(item) if item else None

    def last_batch(self, job: str) -> dict[str, Any] | None:
        """Return the last stored batch without its body. The read is consistent."""
        answer = self._dynamodb.query(
            TableName=self._log,
            KeyConditionExpression="job = :job",
            ExpressionAttributeValues={":job": {"S": job}},
            ScanIndexForward=False,
            Limit=1,
            ConsistentRead=True,
            **_FACTS,
        )
        return items.from_item(answer["Items"][0]) if answer["Items"] else None

    def _at(self, job: str, first: int) -> Any:
        answer = self._dynamodb.query(
            TableName=self._log,
            KeyConditionExpression="job = :job AND #first = :first",
            ExpressionAttributeValues={":job": {"S": job}, ":first": {"N": str(first)}},
            ConsistentRead=True,
            **_FACTS,
        )
        return answer["Items"][0] if answer["Items"] else None

    # --- job records

    def job(self, job: str) -> dict[str, Any] | None:
        """Return a job's record."""
        return self._get(items.job_key(job))

    def open_job(
        self,
        job: str,
        *,
        owner: str,
        principal: str,
        instance: str,
        container: Mapping[str, Any],
        life: Mapping[str, Any],
        now_ms: int,
    ) -> dict[str, Any]:
        """Record that a job exists, and return its record. Owner and list position keep their first values.

        Args:
            job: the job's id.
            owner: whose job it is.
            principal: the agent's principal.
            instance: the Docker Engine's id.
            container: what the engine says of the container.
            life: where the container is in its life.
            now_ms: the time.
        """
        created = jobs.sort_time(life.get("created"), now_ms)
        now = {"job": job, "principal": principal, "instance": instance, "container": container, "life": life}
        always: dict[str, Any] = {**now, "seen": now_ms}
        first_time: dict[str, Any] = {"owner": owner, "created": created, **jobs.index_attributes(job, owner, created)}
        assignments = [f"#{name} = :{name}" for name in always]
        assignments += [f"#{name} = if_not_exists(#{name}, :{name})" for name in first_time]
        answer = self._dynamodb.update_item(
            TableName=self._registry,
            Key=items.job_key(job),
            UpdateExpression="SET " + ", ".join(assignments),
            ExpressionAttributeNames={f"#{name}": name for name in {**always, **first_time}},
            ExpressionAttributeValues=_values(**always, **first_time),
            ReturnValues="ALL_NEW",
        )
        record = items.from_item(answer["Attributes"])
        if jobs.list_position(record) > jobs.latest_list_position(now_ms):
            self._correct_position(job, record, created)
        return record

    def _correct_position(self, job: str, record: Mapping[str, Any], created: int) -> None:
        """Move a job to its right list position. An earlier version stored positions of a far future."""
        position = {"created": created, **jobs.index_attributes(job, str(record["owner"]), created)}
        self._dynamodb.update_item(
            TableName=self._registry,
            Key=items.job_key(job),
            UpdateExpression="SET " + ", ".join(f"#{name} = :{name}" for name in position),
            ConditionExpression="#created = :stored",
            ExpressionAttributeNames={f"#{name}": name for name in position},
            ExpressionAttributeValues=_values(**position, stored=record["created"]),
        )

    def record_status(self, job: str, attributes: Mapping[str, Any], now_ms: int) -> bool:
        """Set attributes of a job's record; return False if there is no record, or if it is more recent.

        A record is more recent by `noted_tip` and `noted_at`, where they are given: its tip is greater, or the tips are
        equal and the container's life is further.
        """
        given = {name: value for name, value in {**attributes, "seen": now_ms}.items() if value is not None}
        condition = "attribute_exists(pk) AND attribute_not_exists(deleted)"
        if "noted_tip" in given:
            condition += (
                " AND (attribute_not_exists(#noted_tip) OR #noted_tip < :noted_tip"
                " OR (#noted_tip = :noted_tip AND #noted_at <= :noted_at))"
            )
        try:
            self._dynamodb.update_item(
                TableName=self._registry,
                Key=items.job_key(job),
                UpdateExpression="SET " + ", ".join(f"#{name} = :{name}" for name in given),
                ConditionExpression=condition,
                ExpressionAttributeNames={f"#{name}": name for name in given},
                ExpressionAttributeValues=_values(**given),
            )
        except ClientError as error:
            if condition_failed(error):
                return False
            raise
        return True

    def list_unarchived(self, job: str, now_ms: int) -> dict[str, Any]:
        """Record that a job may be written from now on, so that the archive looks at it. Return its archive state."""
        given = {"job": job, "opened": now_ms, **items.unarchived_attributes(job)}
        answer = self._dynamodb.update_item(
            TableName=self._registry,
            Key=items.archive_key(job),
            UpdateExpression="SET " + ", ".join(f"#{name} = :{name}" for name in given),
            ExpressionAttributeNames={f"#{name}": name for name in given},
            ExpressionAttributeValues=_values(**given),
            ReturnValues="ALL_NEW",
        )
        return items.from_item(answer["Attributes"])

    def archive(self, job: str) -> dict[str, Any] | None:
        """Return a job's archive state."""
        return self._get(items.archive_key(job))

    def watch(self, job: str) -> dict[str, Any] | None:
        """Return a job's watch."""
        return self._get(items.watch_key(job))

    # --- quotas

    def add_usage(self, principal: str, day: str, size: int, expires: int) -> int:
        """Add bytes to a principal's day; return the sum.

        Args:
            principal: the principal's name.
            day: the UTC day, `YYYY-MM-DD`.
            size: the bytes to add.
            expires: when the item may be deleted, in seconds since 1970.
        """
        answer = self._dynamodb.update_item(
            TableName=self._registry,
            Key=items.usage_key(principal, day),
            UpdateExpression="ADD #bytes :size SET expires = :expires",
            ExpressionAttributeNames={"#bytes": "bytes"},
            ExpressionAttributeValues=_values(size=size, expires=expires),
            ReturnValues="UPDATED_NEW",
        )
        return int(answer["Attributes"]["bytes"]["N"])

    # --- instances

    def link_instance(self, principal: str, instance: str, connection: str, expires: int, now_ms: int) -> None:
        """Record that a connection belongs to an instance, and that the instance is alive.

        Args:
            principal: the agent's principal.
            instance: the Docker Engine's id.
            connection: the id of the WebSocket connection.
            expires: when the item may be deleted, in seconds since 1970.
            now_ms: the time.
        """
        self._dynamodb.put_item(
            TableName=self._registry,
            Item={
                **items.instance_connection_key(principal, instance, connection),
                **items.to_item(
                    {
                        "gpk": f"CONNECTION#{connection}",
                        "gsk": f"INSTANCE#{principal}.{instance}",
                        "connection": connection,
                        "created": now_ms,
                        "expires": expires,
                    }
                ),
            },
        )
        self.record_heartbeat(principal, instance, now_ms)

    def instance_of(self, connection: str) -> str | None:
        """Return the instance of a connection, or None if it never opened a job."""
        answer = self._dynamodb.query(
            TableName=self._registry,
            IndexName=items.TARGET_INDEX,
            KeyConditionExpression="gpk = :gpk AND begins_with(gsk, :gsk)",
            ExpressionAttributeValues={":gpk": {"S": f"CONNECTION#{connection}"}, ":gsk": {"S": "INSTANCE#"}},
            Limit=1,
        )
        for item in answer["Items"]:
            return str(item["gsk"]["S"]).partition(".")[2]
        return None

    def record_heartbeat(self, principal: str, instance: str, now_ms: int) -> None:
        """Record that an instance is alive."""
        self._dynamodb.put_item(
            TableName=self._registry,
            Item={
                **items.instance_key(principal, instance),
                **items.to_item({"principal": principal, "instance": instance, "seen": now_ms}),
            },
        )

    def _get(self, key: Mapping[str, Any]) -> dict[str, Any] | None:
        answer = self._dynamodb.get_item(TableName=self._registry, Key=key, ConsistentRead=True)
        return items.from_item(answer["Item"]) if "Item" in answer else None


_FACTS: dict[str, Any] = {
    "ProjectionExpression": "#first, #count, #digest, #cursor, #raw, #deleted",
    "ExpressionAttributeNames": {
        "#first": "first",
        "#count": "count",
        "#digest": "digest",
        "#cursor": "cursor",
        "#raw": "raw",
        "#deleted": "deleted",
    },
}


def _values(**values: Any) -> dict[str, Any]:
    return {f":{name}": items.to_value(value) for name, value in values.items()}
