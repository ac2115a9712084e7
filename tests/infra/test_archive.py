"""Test that the template's archive agrees with the functions.

Athena runs on AWS only, so its table is checked here against its documented rules.
"""

import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, get_args

from archive import core
from logferry_protocol.batch import encode_body
from registry.archive_index import rows_key

ROOT = Path(__file__).parents[2]
Resources = dict[str, dict[str, Any]]
JOB = "web." + "c" * 64


def table(resources: Resources) -> dict[str, Any]:
    return resources["ArchiveRows"]["Properties"]["TableInput"]  # type: ignore[no-any-return]


def test_table_columns_are_a_rows_fields(resources: Resources) -> None:
    """OpenX's SerDe finds them by name; an extra column would be null, a missing one never seen."""
    batch = {"first": 1, "body": encode_body([1], "o", ["text"])}
    ((_day, line),) = core.rows(JOB, {"name": "a", "host": "b", "image": "c"}, batch)
    row = json.loads(line)
    columns = {column["Name"]: column["Type"] for column in table(resources)["StorageDescriptor"]["Columns"]}
    assert list(columns) == list(row)
    assert {name: "bigint" if isinstance(value, int) else "string" for name, value in row.items()} == columns
    assert all(name == name.lower() for name in columns)


def test_table_partitions_are_where_the_rows_are(resources: Resources) -> None:
    """Projection puts a query's values into the location.

    https://docs.aws.amazon.com/athena/latest/ug/partition-projection-setting-up.html
    """
    parameters = table(resources)["Parameters"]
    assert [key["Name"] for key in table(resources)["PartitionKeys"]] == ["owner", "day"]
    template = parameters["storage.location.template"]["Fn::Sub"]
    bucket = "s3://${ArchiveBucket}/"
    assert template.startswith(bucket)
    folder = template.removeprefix(bucket).replace("${!owner}", "team").replace("${!day}", "2025-11-24")
    assert rows_key("team", "2025-11-24", JOB, 1, 2).startswith(folder)
    location = table(resources)["StorageDescriptor"]["Location"]["Fn::Sub"]
    assert template.startswith(location)


def test_partitions_are_projected_and_need_no_registration(resources: Resources) -> None:
    """Every query names an owner (`injected`); a day's range holds every time a batch may have."""
    parameters = table(resources)["Parameters"]
    assert parameters["projection.enabled"] == "true"
    assert parameters["projection.owner.type"] == "injected"
    assert (parameters["projection.day.type"], parameters["projection.day.format"]) == ("date", "yyyy-MM-dd")
    assert parameters["projection.day.range"] == "1970-01-01,NOW+2DAYS"
    assert core.timestamp(0)[:10] == "1970-01-01"


def test_athena_can_read_the_rows(resources: Resources) -> None:
    """OpenX's SerDe reads JSON lines; the suffix tells zstd, and no name begins with a dot or an underscore.

    https://docs.aws.amazon.com/athena/latest/ug/compression-support-hive.html
    """
    storage = table(resources)["StorageDescriptor"]
    assert storage["SerdeInfo"]["SerializationLibrary"] == "org.openx.data.jsonserde.JsonSerDe"
    assert storage["InputFormat"] == "org.apache.hadoop.mapred.TextInputFormat"
    assert rows_key("_o", "2025-11-24", JOB, 1, 2).endswith(".zst")
    assert not re.search(r"/[._]", rows_key("_o", "2025-11-24", JOB, 1, 2))


def test_documented_statement_makes_the_same_table(resources: Resources) -> None:
    """Columns, partitions, SerDe and projection of docs/archive.md are the template's."""
    (statement,) = re.findall(r"```sql\n(.*?)```", (ROOT / "docs" / "archive.md").read_text(), re.DOTALL)
    made, storage = table(resources), table(resources)["StorageDescriptor"]
    columns = re.search(r"logs \((.*?)\n\)", statement, re.DOTALL)
    assert columns is not None
    assert [tuple(line.strip(" `,").replace("`", "").split()) for line in columns[1].strip().splitlines()] == [
        (column["Name"], column["Type"]) for column in storage["Columns"]
    ]
    partitions = ", ".join(f"{key['Name']} {key['Type']}" for key in made["PartitionKeys"])
    assert f"PARTITIONED BY ({partitions})" in statement
    assert f"SERDE '{storage['SerdeInfo']['SerializationLibrary']}'" in statement
    properties = dict(re.findall(r"'([a-z.]+)' = '(.*?)'", statement))
    wanted = {name: value for name, value in made["Parameters"].items() if "." in name}
    template = wanted.pop("storage.location.template")["Fn::Sub"]
    assert properties.pop("storage.location.template") == template.replace("${ArchiveBucket}", "BUCKET").replace(
        "!", ""
    )
    assert properties == wanted


def test_times_are_what_athena_parses() -> None:
    """ISO 8601, as Python reads it too, over all times that a batch may have."""
    for us in (0, 1, 1_764_000_000_123_456, 253_402_300_799_999_999):
        text = core.timestamp(us)
        parsed = datetime.fromisoformat(text)
        assert parsed.tzinfo == UTC
        assert round(parsed.timestamp() * 1_000_000) == us or us > 2**52  # a float holds no more


def test_sweeps_run_hourly_and_daily(resources: Resources) -> None:
    """Nothing else invokes the function on its own: no stream, and no queue that is polled while idle."""
    rules = {name: one["Properties"] for name, one in resources.items() if one["Type"] == "AWS::Events::Rule"}
    inputs = {rule["ScheduleExpression"]: json.loads(rule["Targets"][0]["Input"]) for rule in rules.values()}
    assert inputs == {"rate(1 hour)": {"sweep": "hourly"}, "cron(17 3 * * ? *)": {"sweep": "daily"}}
    assert {event["sweep"] for event in inputs.values()} < set(get_args(core.Trigger))
    for name, rule in rules.items():
        assert rule["Targets"][0]["Arn"] == {"Fn::GetAtt": "Archive.Arn"}
        permission = resources[f"{name}Permission"]["Properties"]
        assert permission["SourceArn"] == {"Fn::GetAtt": f"{name}.Arn"}
        assert permission["Principal"] == "events.amazonaws.com"


def test_archive_precedes_the_time_to_live(template: dict[str, Any]) -> None:
    """Hourly sweeps try everything a day old, and at least a day is left for that."""
    shortest_ms = template["Parameters"]["BatchRetentionDays"]["MinValue"] * 86_400_000
    assert shortest_ms >= 2 * core.MAX_AGE_MS


def test_failed_event_is_retried_and_then_kept(resources: Resources) -> None:
    """Sweeps, ended jobs and deletions alike."""
    retries = resources["ArchiveRetries"]["Properties"]
    assert retries["FunctionName"] == {"Ref": "Archive"}
    assert 0 < retries["MaximumRetryAttempts"] <= 2
    assert retries["DestinationConfig"]["OnFailure"]["Destination"] == {"Fn::GetAtt": "FailureBucket.Arn"}


def test_archive_outlives_the_stack_and_expires_only_on_request(template: dict[str, Any], resources: Resources) -> None:
    """0 days means never."""
    bucket = resources["ArchiveBucket"]
    assert (bucket["DeletionPolicy"], bucket["UpdateReplacePolicy"]) == ("RetainExceptOnCreate", "Retain")
    assert template["Parameters"]["ArchiveRetentionDays"]["Default"] == 0
    assert bucket["Properties"]["LifecycleConfiguration"]["Fn::If"][0] == "ArchiveExpires"
    (rule,) = bucket["Properties"]["LifecycleConfiguration"]["Fn::If"][1]["Rules"]
    assert (rule["Status"], rule["ExpirationInDays"]) == ("Enabled", {"Ref": "ArchiveRetentionDays"})
    assert "VersioningConfiguration" not in bucket["Properties"], "a deleted job would live on in old versions"


def test_query_reads_segments_and_never_writes_the_archive(resources: Resources) -> None:
    """One role a function, its own prefix only."""

    def s3_rights(role: str) -> set[tuple[str, str]]:
        (policy,) = resources[role]["Properties"]["Policies"]
        found = set()
        for statement in policy["PolicyDocument"]["Statement"]:
            for action in [statement["Action"]] if isinstance(statement["Action"], str) else statement["Action"]:
                places = statement["Resource"]
                for place in places if isinstance(places, list) else [places]:
                    found.add((action, next(iter(place.values()))))
        return {right for right in found if right[0].startswith("s3:") and "ArchiveBucket" in right[1]}

    inside = "${ArchiveBucket.Arn}/"
    assert s3_rights("QueryRole") == {("s3:GetObject", f"{inside}segments/*"), ("s3:ListBucket", "ArchiveBucket.Arn")}
    assert s3_rights("ArchiveRole") == {
        (f"s3:{action}", f"{inside}{prefix}/*")
        for action in ("PutObject", "DeleteObject")
        for prefix in ("segments", "logs")
    }
    assert s3_rights("IngestRole") == set()
