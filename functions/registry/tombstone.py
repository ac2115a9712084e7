"""The end of a deleted job's log: a tombstone where its next batch would be.

Whoever writes the job puts at the same place on the same condition, also a process that does not look at the record; so
behind a tombstone nothing can be stored any more, and what came before is there to be deleted.
"""

from typing import Any, Final

from botocore.exceptions import ClientError

from . import items

YEAR_S: Final = 366 * 86_400


def put_tombstone(dynamodb: Any, log_table: str, job: str, known: int, now_ms: int) -> None:
    """Ends a job's log, once; its tip is `known` at least, whatever the table holds."""
    while True:
        last = _last(dynamodb, log_table, job)
        if last.get("deleted"):
            return
        first = max(last.get("first", 0) + last.get("count", 0) - 1, known) + 1
        ends = {"job": job, "first": first, "count": 0, "deleted": now_ms, "expires": now_ms // 1000 + YEAR_S}
        try:
            dynamodb.put_item(
                TableName=log_table, Item=items.to_item(ends), ConditionExpression="attribute_not_exists(job)"
            )
        except ClientError as error:
            if error.response["Error"]["Code"] != "ConditionalCheckFailedException":
                raise
            continue  # something was stored there meanwhile: a batch, behind which it goes then, or another's tombstone
        return


def _last(dynamodb: Any, log_table: str, job: str) -> dict[str, Any]:
    """What stands last in the table, without its body; empty for nothing."""
    answer = dynamodb.query(
        TableName=log_table,
        KeyConditionExpression="job = :job",
        ExpressionAttributeValues={":job": {"S": job}},
        ProjectionExpression="#first, #count, #deleted",
        ExpressionAttributeNames={"#first": "first", "#count": "count", "#deleted": "deleted"},
        ScanIndexForward=False,
        Limit=1,
        ConsistentRead=True,
    )
    return items.from_item(answer["Items"][0]) if answer["Items"] else {}
