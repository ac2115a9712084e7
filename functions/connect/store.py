"""Reads and writes connect's items in the registry, and reads a job's tip in the log table."""

from collections.abc import Iterator, Mapping
from typing import Any

from botocore.exceptions import ClientError

from registry import items
from registry.principal import Principal
from runtime.aws_errors import condition_failed


class Store:
    """connect's access to DynamoDB."""

    def __init__(self, dynamodb: Any, registry_table: str, log_table: str) -> None:
        self._dynamodb, self._registry, self._log = dynamodb, registry_table, log_table

    # --- who you are

    def credential(self, credential: str) -> dict[str, Any] | None:
        """Return a credential. The read is consistent, so that a revoked one is refused at once."""
        return self._get(items.credential_key(credential))

    def role(self, arn: str) -> dict[str, Any] | None:
        """Return the mapping of an AWS role or user to a principal."""
        return self._get(items.role_key(arn))

    def bind_role(self, arn: str, mapped: int, unique_id: str, now_ms: int) -> str:
        """Return the unique id to which a role's mapping is bound, and bind it to the caller's if it is the first.

        Args:
            arn: the role's ARN.
            mapped: when the mapping was made, in milliseconds.
            unique_id: the unique id of the role that signs in now.
            now_ms: the time.
        """
        key = items.role_id_key(arn, mapped)
        bound = self._get(key)
        if bound is None:
            try:
                self._dynamodb.put_item(
                    TableName=self._registry,
                    Item={**key, **items.to_item({"arn": arn, "unique_id": unique_id, "bound": now_ms})},
                    ConditionExpression="attribute_not_exists(pk)",
                )
            except ClientError as error:
                if not condition_failed(error):
                    raise
                bound = self._get(key)
        return str(bound["unique_id"]) if bound else unique_id

    def share(self, share: str) -> dict[str, Any] | None:
        """Return a share."""
        return self._get(items.share_key(share))

    def principal(self, name: str) -> dict[str, Any] | None:
        """Return a principal."""
        return self._get(items.principal_key(name))

    def opener_and_holder(self, principal: Principal) -> tuple[dict[str, Any] | None, dict[str, Any] | None]:
        """Return what a principal's rights depend on: its share or key, if any, and the principal behind it."""
        opener = None
        if principal.grant:
            opener = self.share(principal.grant)
        elif principal.credential:
            opener = self.credential(principal.credential)
        return opener, self.principal(str(opener["principal"]) if opener else principal.name)

    def redeem_ticket(self, digest: str) -> dict[str, Any] | None:
        """Delete a ticket and return it. Only one caller can delete it, so it opens one connection."""
        answer = self._dynamodb.delete_item(
            TableName=self._registry, Key=items.ticket_key(digest), ReturnValues="ALL_OLD"
        )
        return items.from_item(answer["Attributes"]) if answer.get("Attributes") else None

    # --- connections

    def put_connection(self, connection: str, principal: Principal, expires: int, now_ms: int) -> None:
        """Store a connection. Its index key finds it when the credential is revoked.

        Args:
            connection: the id of the WebSocket connection.
            principal: who opened it.
            expires: when the item may be deleted, in seconds since 1970.
            now_ms: the time.
        """
        self._put(
            items.connection_key(connection),
            kind=principal.kind,
            principal=principal.name,
            credential=principal.credential,
            grant=principal.grant or None,
            gpk=principal.opener,
            gsk=f"CONNECTION#{connection}",
            connected=now_ms,
            expires=expires,
        )

    def remove_connection(self, connection: str) -> None:
        """Delete a connection and its subscriptions. Ids are unique, so this never deletes anything newer."""
        for key in self._keys_by_target(f"CONNECTION#{connection}"):
            self._dynamodb.delete_item(TableName=self._registry, Key=key)
        self._dynamodb.delete_item(TableName=self._registry, Key=items.connection_key(connection))

    # --- subscriptions

    def job(self, job: str) -> dict[str, Any] | None:
        """Return a job's record."""
        return self._get(items.job_key(job))

    def tip(self, job: str, *, consistent: bool = True) -> int | None:
        """Return the last stored sequence, or None if the log table holds nothing of the job."""
        answer = self._dynamodb.query(
            TableName=self._log,
            KeyConditionExpression="job = :job",
            ExpressionAttributeValues={":job": {"S": job}},
            ExpressionAttributeNames={"#first": "first", "#count": "count"},
            ProjectionExpression="#first, #count",
            ScanIndexForward=False,
            Limit=1,
            ConsistentRead=consistent,
        )
        for item in answer["Items"]:
            return int(item["first"]["N"]) + int(item.get("count", {"N": "0"})["N"]) - 1
        return None

    def archived_tip(self, job: str) -> int:
        """Return the last archived sequence; 0 if nothing is archived."""
        return int((self._get(items.archive_key(job)) or {}).get("tip") or 0)

    def put_subscription(self, job: str, connection: str, principal: Principal, expires: int, now_ms: int) -> None:
        """Subscribe a connection to a job.

        Args:
            job: the job's id.
            connection: the id of the WebSocket connection.
            principal: the viewer.
            expires: when the subscription ends, in seconds since 1970.
            now_ms: the time.
        """
        self._put(
            items.subscription_key(job, connection),
            connection=connection,
            gpk=f"CONNECTION#{connection}",
            gsk=f"JOB#{job}",
            credential=principal.credential,
            grant=principal.grant or None,
            principal=principal.name,
            created=now_ms,
            expires=expires,
        )

    def put_list(
        self,
        owner: str,
        connection: str,
        principal: Principal,
        selector: Mapping[str, str],
        *,
        expires: int,
        now_ms: int,
    ) -> None:
        """Subscribe a connection to the changes of an owner's jobs.

        Args:
            owner: the owner; `*` for all.
            connection: the id of the WebSocket connection.
            principal: the viewer.
            selector: which of the jobs, as in `subscribe`.
            expires: when the subscription ends, in seconds since 1970.
            now_ms: the time.
        """
        self._put(
            items.list_key(owner, connection),
            connection=connection,
            gpk=f"CONNECTION#{connection}",
            gsk=f"LIST#{owner}",
            credential=principal.credential,
            principal=principal.name,
            selector=dict(selector),
            created=now_ms,
            expires=expires,
        )

    def remove_subscription(self, job: str, connection: str) -> None:
        """End a connection's subscription to a job."""
        self._dynamodb.delete_item(TableName=self._registry, Key=items.subscription_key(job, connection))

    def remove_lists(self, connection: str) -> None:
        """End a connection's live list."""
        for key in self._keys_by_target(f"CONNECTION#{connection}", "LIST#"):
            self._dynamodb.delete_item(TableName=self._registry, Key=key)

    def subscribed_jobs(self, connection: str) -> list[str]:
        """Return the jobs that a connection is subscribed to."""
        return [key["pk"]["S"].removeprefix("JOB#") for key in self._keys_by_target(f"CONNECTION#{connection}", "JOB#")]

    def count_viewers(self, job: str) -> int:
        """Return how many connections are subscribed to a job, as far as one page of the query counts."""
        answer = self._dynamodb.query(
            TableName=self._registry,
            KeyConditionExpression="pk = :pk AND begins_with(sk, :sk)",
            ExpressionAttributeValues={":pk": {"S": f"JOB#{job}"}, ":sk": {"S": "SUBSCRIPTION#"}},
            Select="COUNT",
        )
        return int(answer["Count"])

    # --- watch

    def extend_watch(self, job: str, until: int, if_before: int, interval: int) -> bool:
        """Extend a job's watch if it ends before `if_before`; return whether this call did it.

        Of several callers at the same time one succeeds. It tells the agent.

        Args:
            job: the job's id.
            until: the new end, in milliseconds.
            if_before: extend only a watch that ends before this time, in milliseconds.
            interval: the least time between two batches, in milliseconds.
        """
        try:
            self._dynamodb.update_item(
                TableName=self._registry,
                Key=items.watch_key(job),
                UpdateExpression="SET #until = :until, #interval = :interval, expires = :expires",
                ConditionExpression="attribute_not_exists(#until) OR #until < :before",
                ExpressionAttributeNames={"#until": "until", "#interval": "interval"},
                ExpressionAttributeValues={
                    ":until": {"N": str(until)},
                    ":before": {"N": str(if_before)},
                    ":interval": {"N": str(interval)},
                    ":expires": {"N": str(until // 1000 + 3600)},
                },
            )
        except ClientError as error:
            if condition_failed(error):
                return False
            raise
        return True

    def instance_connections(self, principal: str, instance: str) -> list[str]:
        """Return an instance's live connections. The read is consistent, because `open` writes before it reads."""
        answer = self._dynamodb.query(
            TableName=self._registry,
            KeyConditionExpression="pk = :pk AND begins_with(sk, :sk)",
            ExpressionAttributeValues={
                ":pk": {"S": f"INSTANCE#{principal}.{instance}"},
                ":sk": {"S": "CONNECTION#"},
            },
            ProjectionExpression="sk",
            ConsistentRead=True,
        )
        return [item["sk"]["S"].removeprefix("CONNECTION#") for item in answer["Items"]]

    def remove_link(self, principal: str, instance: str, connection: str) -> None:
        """Delete a closed connection of an instance."""
        self._dynamodb.delete_item(
            TableName=self._registry, Key=items.instance_connection_key(principal, instance, connection)
        )

    # --- the table

    def _get(self, key: Mapping[str, Any]) -> dict[str, Any] | None:
        answer = self._dynamodb.get_item(TableName=self._registry, Key=key, ConsistentRead=True)
        return items.from_item(answer["Item"]) if "Item" in answer else None

    def _put(self, key: Mapping[str, Any], **attributes: Any) -> None:
        self._dynamodb.put_item(TableName=self._registry, Item={**key, **items.to_item(attributes)})

    def _keys_by_target(self, target: str, prefix: str = "") -> Iterator[dict[str, Any]]:
        names = {"ProjectionExpression": "pk, sk"}
        condition, values = "gpk = :gpk", {":gpk": {"S": target}}
        if prefix:
            condition, values = f"{condition} AND begins_with(gsk, :gsk)", {**values, ":gsk": {"S": prefix}}
        start: dict[str, Any] = {}
        while True:
            answer = self._dynamodb.query(
                TableName=self._registry,
                IndexName=items.TARGET_INDEX,
                KeyConditionExpression=condition,
                ExpressionAttributeValues=values,
                **names,
                **start,
            )
            yield from ({"pk": item["pk"], "sk": item["sk"]} for item in answer["Items"])
            if "LastEvaluatedKey" not in answer:
                return
            start = {"ExclusiveStartKey": answer["LastEvaluatedKey"]}
