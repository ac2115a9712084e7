"""The tombstone that ends a deleted job's log, at the sequence of its next batch.

Every writer of the job puts its next batch there, on the condition that nothing is there. That holds for a process that
does not read the record, too. So nothing can be stored after a tombstone, and what came before can be deleted.
"""

from typing import Any, Final

from botocore.exceptions import ClientError

from runtime.aws_errors import condition_failed

from . import items

YEAR_S: Final = 366 * 86_400


def put_tombstone(dynamodb: Any, log_table: str, job: str, known: int, now_ms: int) -> None:
    """End a job's log, once.

    Args:
        dynamodb: the client.
        log_table: the table with the batches.
        job: the job's id.
        known: a lower bound for the job's tip, whatever the table still holds.
        now_ms: the time.
    """
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
            if not condition_failed(error):
                raise
            continue  # meanwhile a batch was stored there (the tombstone goes after it), or another tombstone
        return


def _last(dynamodb: Any, log_table: str, job: str) -> dict[str, Any]:
    """Return the last item of a job without its body; empty if there is none."""
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
