"""Enforce what the template allows each function to do with DynamoDB, including the condition on leading keys.

`RestrictedClient` takes the place of a function's client, and refuses what its role would refuse. Plain MiniStack and
moto, which tests of stores run on, do not know `dynamodb:LeadingKeys`: under them every call passes the condition.
"""

from __future__ import annotations

import fnmatch
import functools
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import yaml
from tests.support import clouds


class NotPermittedError(BaseException):
    """The function's role does not allow this. No `except Exception` of a function may hide it."""


@dataclass(frozen=True)
class Grant:
    """An action on a table or on one of its indexes, on keys that match one of the patterns; None: on any."""

    action: str
    resource: str
    """`RegistryTable`, or `RegistryTable/index/by_target`."""
    keys: tuple[str, ...] | None

    def allows(self, action: str, resource: str, keys: list[str]) -> bool:
        """Report whether it covers a call.

        `ForAllValues` is true of none, so a call without keys must not be granted by it.
        """
        if (action, resource) != (self.action, self.resource):
            return False
        return self.keys is None or all(any(fnmatch.fnmatchcase(key, one) for one in self.keys) for key in keys)


class _Loader(yaml.SafeLoader):
    """Read the template's functions as their own text."""


def _plain(loader: Any, _suffix: str, node: yaml.Node) -> Any:
    if isinstance(node, yaml.ScalarNode):
        return node.value
    if isinstance(node, yaml.SequenceNode):
        values = loader.construct_sequence(node)
        # By default, a deployment has tables of its own.
        return values[1] if values[0] == "OwnData" else values
    return loader.construct_mapping(node)


_Loader.add_multi_constructor("!", _plain)


@functools.cache
def grants() -> dict[str, tuple[Grant, ...]]:
    """Return what each function's role may do with the tables, by its logical id without `Role`."""
    resources = yaml.load((clouds.ROOT / "template.yaml").read_text(), _Loader)["Resources"]
    found: dict[str, tuple[Grant, ...]] = {}
    for logical, resource in resources.items():
        if resource["Type"] == "AWS::IAM::Role":
            statements = [
                # A list has the parts of `Fn::If`.
                statement[1] if isinstance(statement, list) else statement
                for policy in resource["Properties"].get("Policies", ())
                for statement in policy["PolicyDocument"]["Statement"]
            ]
            found[logical.removesuffix("Role")] = tuple(one for each in statements for one in _grants_of(each))
    return found


def _grants_of(statement: Mapping[str, Any]) -> Iterator[Grant]:
    condition = statement.get("Condition", {}).get("ForAllValues:StringLike", {}).get("dynamodb:LeadingKeys")
    for action in _listed(statement["Action"]):
        for resource in _listed(statement["Resource"]):
            if action.startswith("dynamodb:") and "Stream" not in resource:
                name = re.sub(r"\$\{(\w+)\.Arn\}", r"\1", resource).removesuffix(".Arn")
                yield Grant(action.removeprefix("dynamodb:"), name, tuple(condition) if condition else None)


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


class RestrictedClient:
    """boto3's DynamoDB client, limited by one function's role."""

    made: ClassVar[set[tuple[str, str, str, str]] | None] = None
    """Function, action, resource and key of each call; None unless a test sets it, as properties make thousands."""

    def __init__(self, dynamodb: Any, function: str, names: Mapping[str, str]) -> None:
        """`names`: the tables' logical ids by their names."""
        self._dynamodb, self._function, self._names = dynamodb, function, names
        definitions = clouds.table_definitions()
        self._hash_names = {
            resource: schema[0]["AttributeName"]
            for logical, definition in definitions.items()
            for resource, schema in (
                (logical, definition["KeySchema"]),
                *(
                    (f"{logical}/index/{index['IndexName']}", index["KeySchema"])
                    for index in definition.get("GlobalSecondaryIndexes", ())
                ),
            )
        }

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method = getattr(self._dynamodb, name)

        def called(**arguments: Any) -> Any:
            for action, resource, keys in self._calls(name, arguments):
                if not any(grant.allows(action, resource, keys) for grant in grants()[self._function]):
                    raise NotPermittedError(f"{self._function} may not {action} {resource} {keys}")
                if RestrictedClient.made is not None:
                    RestrictedClient.made |= {(self._function, action, resource, key) for key in keys}
            return method(**arguments)

        return called

    def _calls(self, name: str, arguments: Mapping[str, Any]) -> Iterator[tuple[str, str, list[str]]]:
        match name:
            case "put_item":
                yield self._call("PutItem", arguments, arguments["Item"])
            case "get_item" | "update_item" | "delete_item":
                action = name.title().replace("_", "")
                yield self._call(action, arguments, arguments["Key"])
            case "query":
                yield self._query(arguments)
            case "batch_write_item":
                for table, requests in arguments["RequestItems"].items():
                    keys = [request["DeleteRequest"]["Key"] for request in requests]
                    resource = self._names[table]
                    yield "BatchWriteItem", resource, [key[self._hash_names[resource]]["S"] for key in keys]
            case "transact_write_items":
                for item in arguments["TransactItems"]:
                    ((kind, given),) = item.items()
                    yield self._call(f"{kind}Item", given, given["Item"] if kind == "Put" else given["Key"])
            case _:
                raise NotPermittedError(f"{self._function} calls {name}, which no test of permissions knows")

    def _call(self, action: str, given: Mapping[str, Any], item: Mapping[str, Any]) -> tuple[str, str, list[str]]:
        resource = self._names[given["TableName"]]
        return action, resource, [item[self._hash_names[resource]]["S"]]

    def _query(self, given: Mapping[str, Any]) -> tuple[str, str, list[str]]:
        resource = self._names[given["TableName"]]
        if "IndexName" in given:
            resource = f"{resource}/index/{given['IndexName']}"
        name = self._hash_names[resource]
        found = re.search(rf"\b{name}\s*=\s*(:\w+)", given["KeyConditionExpression"])
        assert found, given["KeyConditionExpression"]
        return "Query", resource, [given["ExpressionAttributeValues"][found[1]]["S"]]
