"""Reads and writes subscriptions, connections and credentials in the registry."""

from collections.abc import Iterator, Mapping
from typing import Any

from botocore.exceptions import ClientError

from registry import items
from registry.principal import creator_revoked
from runtime.aws_errors import condition_failed

from .core import Subscriber


class Store:
    """broadcast's access to DynamoDB."""

    def __init__(self, dynamodb: Any, registry_table: str) -> None:
        self._dynamodb, self._registry = dynamodb, registry_table

    def subscribers(self, pk: str) -> Iterator[Subscriber]:
        """Return the subscribers of `JOB#<job>` or `LIST#<owner>`.

        The read is consistent. A viewer writes its subscription and then reads the tip; a batch is stored and then the
        subscribers are read. Whichever came first, the viewer learns of the batch.
        """
        for item in self._query(pk, "SUBSCRIPTION#"):
            yield Subscriber(
                key={"pk": {"S": item["pk"]}, "sk": {"S": item["sk"]}},
                connection=item["connection"],
                credential=item.get("credential", ""),
                principal=item.get("principal", ""),
                created=int(item["created"]),
                expires=int(item.get("expires") or 0),
                lagging=int(item.get("lagging") or 0),
                selector=item.get("selector"),
                grant=item.get("grant"),
            )

    def job(self, job: str) -> dict[str, Any] | None:
        """Return a job's record."""
        return self._get(items.job_key(job))

    def remove_subscriber(self, subscriber: Subscriber) -> None:
        """Delete the subscription of a closed connection, if it is still the same one.

        API Gateway answers 410 for a connection that it is still opening. A viewer may subscribe again on that
        connection between the read and this delete. The newer subscription has another `created`, and stays.
        """
        self._if_unchanged(
            self._dynamodb.delete_item,
            Key=subscriber.key,
            ConditionExpression="created = :created",
            ExpressionAttributeValues={":created": {"N": str(subscriber.created)}},
        )

    def mark_lagging(self, subscriber: Subscriber, until: int) -> None:
        """Mark a viewer as slow, so that nothing is sent to it until a time in milliseconds."""
        self._if_unchanged(
            self._dynamodb.update_item,
            Key=subscriber.key,
            UpdateExpression="SET lagging = :until",
            ConditionExpression="created = :created",
            ExpressionAttributeValues={":until": {"N": str(until)}, ":created": {"N": str(subscriber.created)}},
        )

    def credential_revoked(self, credential: str) -> bool:
        """Return whether a credential or the principal behind it was revoked or deleted."""
        item = self._get(items.credential_key(credential))
        if item is None or item.get("revoked"):
            return True
        principal = self._get(items.principal_key(item["principal"]))
        return principal is None or bool(principal.get("revoked"))

    def principal_revoked(self, principal: str) -> bool:
        """Return whether a principal without a key (OpenID Connect, an AWS role) was revoked."""
        return bool((self._get(items.principal_key(principal)) or {}).get("revoked"))

    def share_revoked(self, grant: str) -> bool:
        """Return whether a share or the principal that made it was revoked or deleted."""
        item = self._get(items.share_key(grant))
        if item is None or item.get("revoked"):
            return True
        return creator_revoked(item, self._get(items.principal_key(item["principal"])))

    def connections_of(self, opener: str) -> list[dict[str, Any]]:
        """Return the connections that `CREDENTIAL#<credential>`, `GRANT#<share>` or `PRINCIPAL#<name>` opened."""
        return list(self._query(opener, "CONNECTION#", index=True))

    def openers_of(self, principal: str) -> list[str]:
        """Return the index keys of a principal's connections, those of its keys and shares included."""
        found = self._query(f"PRINCIPAL#{principal}", "", index=True)
        return [f"PRINCIPAL#{principal}", *(item["pk"] for item in found if item["sk"] in {"CREDENTIAL", "GRANT"})]

    def remove_connection(self, connection: str) -> None:
        """Delete a connection and its subscriptions."""
        for item in self._query(f"CONNECTION#{connection}", "", index=True):
            self._delete(item["pk"], item["sk"])
        self._delete(f"CONNECTION#{connection}", "CONNECTION")

    def _delete(self, pk: str, sk: str) -> None:
        self._dynamodb.delete_item(TableName=self._registry, Key=items.key(pk, sk))

    def _get(self, key: Mapping[str, Any]) -> dict[str, Any] | None:
        answer = self._dynamodb.get_item(TableName=self._registry, Key=key, ConsistentRead=True)
        return items.from_item(answer["Item"]) if "Item" in answer else None

    def _if_unchanged(self, call: Any, **arguments: Any) -> None:
        try:
            call(TableName=self._registry, **arguments)
        except ClientError as error:
            if not condition_failed(error):
                raise

    def _query(self, partition: str, prefix: str, *, index: bool = False) -> Iterator[dict[str, Any]]:
        hash_name, range_name = ("gpk", "gsk") if index else ("pk", "sk")
        arguments: dict[str, Any] = {
            "TableName": self._registry,
            "KeyConditionExpression": f"{hash_name} = :partition",
            "ExpressionAttributeValues": {":partition": {"S": partition}},
        }
        if prefix:
            arguments["KeyConditionExpression"] += f" AND begins_with({range_name}, :prefix)"
            arguments["ExpressionAttributeValues"][":prefix"] = {"S": prefix}
        arguments |= {"IndexName": items.TARGET_INDEX} if index else {"ConsistentRead": True}
        while True:
            answer = self._dynamodb.query(**arguments)
            yield from map(items.from_item, answer["Items"])
            if "LastEvaluatedKey" not in answer:
                return
            arguments["ExclusiveStartKey"] = answer["LastEvaluatedKey"]
