"""Provide DynamoDB in memory, as far as Logferry's stores use it; their conditions and queries run on it.

It takes the place of boto3's low-level client. `tests/unit/support/test_tables.py` runs one suite on this and on moto,
so that it cannot drift. In addition it can fail before or after an operation, and reports every change like a stream.
"""

from __future__ import annotations

import base64
import copy
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from botocore.exceptions import ClientError

Item = dict[str, Any]
Hook = Callable[[str, str], None]
"""Called with an operation and a table; may raise."""

TOKEN = re.compile(r"\s*(:\w+|#?\w+|<=|>=|<>|[<>=(),+])")


@dataclass(slots=True)
class Table:
    """One table: its keys, its indexes (hash and range attribute by name), and its items by their keys."""

    hash_name: str
    range_name: str
    indexes: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    partitions: dict[Any, dict[Any, Item]] = field(default_factory=dict)


def failure(operation: str, code: str, **more: Any) -> ClientError:
    """Return an error as botocore makes them."""
    status = 400 if code != "InternalServerError" else 500
    response: Any = {"Error": {"Code": code, "Message": code}, "ResponseMetadata": {"HTTPStatusCode": status}, **more}
    return ClientError(response, operation)


class MemoryTables:
    """boto3's DynamoDB client over tables in memory. Every operation is atomic and immediately consistent."""

    def __init__(self, tables: Mapping[str, Table]) -> None:
        self.tables = dict(tables)
        self.before: Hook = lambda _operation, _table: None
        self.after: Hook = lambda _operation, _table: None
        self.changed: Callable[[str, str, Item, Item], None] = lambda _table, _event, _keys, _image: None
        """Called with every change: the table, INSERT or MODIFY, the keys and the new image."""

    # --- operations -------------------------------------------------------------------------------------------------

    def get_item(self, *, TableName: str, Key: Item, **_: Any) -> Item:  # noqa: N803 - boto3's names
        self.before("GetItem", TableName)
        item = self._at(TableName, Key)
        self.after("GetItem", TableName)
        return {"Item": copy.deepcopy(item)} if item else {}

    def put_item(self, *, TableName: str, Item: Item, **given: Any) -> Item:  # noqa: N803
        self.before("PutItem", TableName)
        old = self._at(TableName, Item)
        self._require(old, "PutItem", given)
        self._write(TableName, copy.deepcopy(Item), old)
        self.after("PutItem", TableName)
        return {}

    def update_item(self, *, TableName: str, Key: Item, UpdateExpression: str, **given: Any) -> Item:  # noqa: N803
        self.before("UpdateItem", TableName)
        old = self._at(TableName, Key)
        self._require(old, "UpdateItem", given)
        new = _updated(dict(copy.deepcopy(old or Key)), UpdateExpression, given)
        self._write(TableName, new, old)
        self.after("UpdateItem", TableName)
        wanted = given.get("ReturnValues", "NONE")
        return {"Attributes": copy.deepcopy({"ALL_NEW": new, "ALL_OLD": old or {}}[wanted])} if wanted != "NONE" else {}

    def delete_item(self, *, TableName: str, Key: Item, **given: Any) -> Item:  # noqa: N803
        self.before("DeleteItem", TableName)
        old = self._at(TableName, Key)
        self._require(old, "DeleteItem", given)
        table = self.tables[TableName]
        table.partitions.get(_plain(Key[table.hash_name]), {}).pop(_plain(Key[table.range_name]), None)
        self.after("DeleteItem", TableName)
        return {"Attributes": old} if old and given.get("ReturnValues") == "ALL_OLD" else {}

    def batch_write_item(self, *, RequestItems: Item) -> Item:  # noqa: N803
        """Delete items; no caller puts this way."""
        for name, requests in RequestItems.items():
            for request in requests:
                self.delete_item(TableName=name, Key=request["DeleteRequest"]["Key"])
        return {"UnprocessedItems": {}}

    def transact_write_items(self, *, TransactItems: list[Item]) -> Item:  # noqa: N803
        """Put and conditionally update items: all or nothing."""
        self.before("TransactWriteItems", "")
        reasons, writes = [], []
        for action in TransactItems:
            ((kind, given),) = action.items()
            old = self._at(given["TableName"], given["Key"] if kind == "Update" else given["Item"])
            try:
                self._require(old, kind, given)
                reasons.append({"Code": "None"})
            except ClientError:
                reasons.append({"Code": "ConditionalCheckFailed"})
            new = given.get("Item")
            if kind == "Update":
                new = _updated(dict(copy.deepcopy(old or given["Key"])), given["UpdateExpression"], given)
            writes.append((given["TableName"], copy.deepcopy(new), old))
        if any(reason["Code"] != "None" for reason in reasons):
            raise failure("TransactWriteItems", "TransactionCanceledException", CancellationReasons=reasons)
        for name, new, old in writes:
            self._write(name, new, old)
        self.after("TransactWriteItems", "")
        return {}

    def query(self, *, TableName: str, KeyConditionExpression: str, **given: Any) -> Item:  # noqa: N803
        self.before("Query", TableName)
        table = self.tables[TableName]
        index = given.get("IndexName")
        hash_name, range_name = table.indexes[index] if index else (table.hash_name, table.range_name)
        condition = _Condition(KeyConditionExpression, given)
        wanted = condition.equal_to(hash_name)
        if index:
            rows = [
                item
                for partition in table.partitions.values()
                for item in partition.values()
                if _plain(item.get(hash_name)) == wanted and range_name in item
            ]
        else:
            rows = list(table.partitions.get(wanted, {}).values())
        forward = given.get("ScanIndexForward", True)

        def place(item: Item) -> tuple[Any, ...]:
            names = [range_name, *((table.hash_name, table.range_name) if index else ())]
            return tuple(_plain(item[name]) for name in names)

        rows = sorted((item for item in rows if condition.holds(item)), key=place, reverse=not forward)
        if start := given.get("ExclusiveStartKey"):
            rows = [item for item in rows if (place(item) > place(start)) == forward and place(item) != place(start)]
        limit = given.get("Limit")
        more = limit is not None and len(rows) >= limit
        rows = rows[:limit]
        answer: Item = {"Count": len(rows), "ScannedCount": len(rows)}
        if more:
            names = {hash_name, range_name, table.hash_name, table.range_name}
            answer["LastEvaluatedKey"] = {name: rows[-1][name] for name in names}
        if "FilterExpression" in given:
            rows = [item for item in rows if _Condition(given["FilterExpression"], given).holds(item)]
        if given.get("Select") != "COUNT":
            answer["Items"] = [_projected(item, given) for item in rows]
        self.after("Query", TableName)
        return answer

    def scan(self, *, TableName: str) -> Item:  # noqa: N803
        partitions = self.tables[TableName].partitions.values()
        return {"Items": [copy.deepcopy(item) for partition in partitions for item in partition.values()]}

    # --- internals --------------------------------------------------------------------------------------------------

    def _at(self, name: str, key: Item) -> Item | None:
        table = self.tables[name]
        return table.partitions.get(_plain(key[table.hash_name]), {}).get(_plain(key[table.range_name]))

    def _write(self, name: str, item: Item, old: Item | None) -> None:
        table = self.tables[name]
        keys = {part: item[part] for part in (table.hash_name, table.range_name)}
        table.partitions.setdefault(_plain(item[table.hash_name]), {})[_plain(item[table.range_name])] = item
        if item != old:  # a write that changes nothing makes no stream record
            self.changed(name, "MODIFY" if old else "INSERT", keys, copy.deepcopy(item))

    def _require(self, old: Item | None, operation: str, given: Mapping[str, Any]) -> None:
        expression = given.get("ConditionExpression")
        if expression is None or _Condition(expression, given).holds(old or {}):
            return
        more = {}
        if old and given.get("ReturnValuesOnConditionCheckFailure") == "ALL_OLD":
            more["Item"] = copy.deepcopy(old)
        raise failure(operation, "ConditionalCheckFailedException", **more)


def stream_record(event: str, keys: Item, image: Item, number: int) -> Item:
    """Return a record as a stream gives it to Lambda: JSON, so binary values are base64."""
    return {
        "eventID": str(number),
        "eventName": event,
        "eventSource": "aws:dynamodb",
        "dynamodb": {
            "Keys": keys,
            "NewImage": {name: _json(value) for name, value in image.items()},
            "SequenceNumber": str(number),
            "StreamViewType": "NEW_IMAGE",
        },
    }


def _json(value: Item) -> Item:
    return {kind: base64.b64encode(inner).decode() if kind == "B" else inner for kind, inner in value.items()}


def _plain(value: Item | None) -> Any:
    """Return a scalar as Python compares it; None for a missing attribute."""
    if value is None:
        return None
    ((kind, inner),) = value.items()
    if kind != "N":
        return inner
    return int(inner) if str(inner).lstrip("-").isdigit() else float(inner)


def _projected(item: Item, given: Mapping[str, Any]) -> Item:
    expression = given.get("ProjectionExpression")
    if expression is None:
        return copy.deepcopy(item)
    names = [_named(name.strip(), given) for name in expression.split(",")]
    return {name: copy.deepcopy(item[name]) for name in names if name in item}


def _named(name: str, given: Mapping[str, Any]) -> str:
    return str(given["ExpressionAttributeNames"][name]) if name.startswith("#") else name


def _updated(item: Item, expression: str, given: Mapping[str, Any]) -> Item:
    """Apply SET (values, if_not_exists, sums), REMOVE and ADD. All right sides see the original item."""
    before = copy.deepcopy(item)
    for verb, body in re.findall(r"(SET|REMOVE|ADD)\s+(.*?)(?=\s+(?:SET|REMOVE|ADD)\s|$)", expression, re.DOTALL):
        for part in re.split(r",(?![^(]*\))", body):
            if verb == "ADD":
                name, value = part.split()
                known = int(before.get(_named(name, given), {"N": "0"})["N"])
                item[_named(name, given)] = {"N": str(known + int(given["ExpressionAttributeValues"][value]["N"]))}
                continue
            name, _, value = part.strip().partition("=")
            if verb == "REMOVE":
                item.pop(_named(name.strip(), given), None)
            else:
                item[_named(name.strip(), given)] = _value(value.strip(), before, given)
    return item


def _value(text: str, item: Item, given: Mapping[str, Any]) -> Item:
    if found := re.fullmatch(r"if_not_exists\(\s*(\S+?)\s*,\s*(\S+?)\s*\)", text):
        name = _named(found[1], given)
        return item[name] if name in item else _value(found[2], item, given)
    if "+" in text:
        left, right = (_value(side.strip(), item, given) for side in text.split("+"))
        return {"N": str(int(left["N"]) + int(right["N"]))}
    if text.startswith(":"):
        return dict(copy.deepcopy(given["ExpressionAttributeValues"][text]))
    return dict(item[_named(text, given)])


class _Condition:
    """A condition or key condition: AND, OR, NOT, comparisons, begins_with, attribute_exists, attribute_not_exists."""

    def __init__(self, expression: str, given: Mapping[str, Any]) -> None:
        self._tokens = TOKEN.findall(expression)
        self._given = given
        self._item: Item = {}
        self._next = 0

    def equal_to(self, name: str) -> Any:
        """Return the value that an attribute must equal; raise ValueError when the condition does not say."""
        for left, sign, right in zip(self._tokens, self._tokens[1:], self._tokens[2:], strict=False):
            if sign == "=" and _named(left, self._given) == name:
                return _plain(self._given["ExpressionAttributeValues"][right])
        raise ValueError(f"{name} is not said")

    def holds(self, item: Item) -> bool:
        """Report whether an item meets it."""
        self._item, self._next = item, 0
        result = self._either()
        if self._next != len(self._tokens):
            raise ValueError(f"not understood: {self._tokens[self._next :]}")
        return result

    def _take(self) -> str:
        self._next += 1
        return str(self._tokens[self._next - 1])

    def _peek(self) -> str:
        return str(self._tokens[self._next]) if self._next < len(self._tokens) else ""

    def _either(self) -> bool:
        result = self._both()
        while self._peek() == "OR":
            self._take()
            result = self._both() or result
        return result

    def _both(self) -> bool:
        result = self._one()
        while self._peek() == "AND":
            self._take()
            result = self._one() and result
        return result

    def _one(self) -> bool:
        token = self._take()
        if token == "NOT":
            return not self._one()
        if token == "(":
            result = self._either()
            self._take()
            return result
        if token in ("attribute_exists", "attribute_not_exists", "begins_with"):
            self._take()
            name = _named(self._take(), self._given)
            if token != "begins_with":
                self._take()
                return (name in self._item) == (token == "attribute_exists")
            self._take()
            prefix = self._operand(self._take())
            self._take()
            return name in self._item and str(_plain(self._item[name])).startswith(prefix)
        return self._compare(self._operand(token), self._take(), self._operand(self._take()))

    def _operand(self, token: str) -> Any:
        if token.startswith(":"):
            return _plain(self._given["ExpressionAttributeValues"][token])
        return _plain(self._item.get(_named(token, self._given)))

    @staticmethod
    def _compare(left: Any, sign: str, right: Any) -> bool:
        if left is None or right is None:
            return False
        return bool(
            {
                "=": left == right,
                "<>": left != right,
                "<": left < right,
                "<=": left <= right,
                ">": left > right,
                ">=": left >= right,
            }[sign]
        )


def logferry_tables() -> MemoryTables:
    """Return the two tables of template.yaml."""
    indexes = {"by_target": ("gpk", "gsk"), "by_shard": ("spk", "ssk")}
    return MemoryTables({"log": Table("job", "first"), "registry": Table("pk", "sk", indexes)})
