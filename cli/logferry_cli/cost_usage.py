"""Measure what a deployment used: its CloudWatch metrics, the sizes of what it stores, and its alarms."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any, Final

from logferry_cli.cloudwatch_metrics import DAY, Metric, MetricValues, list_own_metrics, read_metrics
from logferry_cli.cost_model import HOURS_OF_MONTH, Lines, Measure
from logferry_cli.deployment import Deployment

AGENT_PING_MINUTES: Final = 4.0
VIEWER_PING_MINUTES: Final = 0.5
"""How often each pings (PROTOCOL.md). AWS counts no connection minutes, so pings do."""

HTTP_REQUEST_BYTES: Final = 512 * 1024
"""API Gateway bills an HTTP request for each of these, begun or full."""

NO_DATA: Final = "CloudWatch has no value of this time: it was not used, or not measured"

NOT_COUNTED: Final = "S3 counts requests only in metrics that cost extra"

CLOUDFRONT_REGION: Final = "us-east-1"
"""The region that has the metrics of CloudFront, wherever the stack is."""


@dataclass(frozen=True, slots=True)
class Usage:
    """What a deployment used."""

    measures: list[Measure]
    lines: Lines


@dataclass(frozen=True, slots=True)
class _Counter:
    """A measure that is the sum of a metric, times a factor."""

    group: str
    name: str
    unit: str
    price: str
    metric: Metric
    factor: float = 1.0


class StackUsage:
    """Reads the usage of one stack."""

    def __init__(self, deployment: Deployment, start: datetime, end: datetime) -> None:
        self._deployment, self._start, self._end = deployment, start, end
        self._namespace = f"Logferry/{deployment.stack}"

    def read(self) -> Usage:
        """Measure everything."""
        functions = [(logical, self._function(name)) for logical, name in self._named("AWS::Lambda::Function").items()]
        counters = [
            *self._api_counters(),
            *(counter for function in functions for counter in _function_counters(*function)),
            *(counter for table in self._tables.values() for counter in _table_counters(table)),
            *self._log_counters(),
        ]
        sizes = dict(self._bucket_metrics())
        own = list_own_metrics(self._client("cloudwatch"), self._namespace)
        lines, raw = self._own("EntriesStored", "ingest"), self._own("RawBytesStored", "ingest")
        transferred = self._http("DataProcessed")
        values = read_metrics(
            self._client("cloudwatch"),
            [*(one.metric for one in counters), *sizes.values(), *own, lines, raw, transferred],
            self._start,
            self._end,
        )
        measures = [
            *(_counted(counter, values, self._larger_requests(counter, values, transferred)) for counter in counters),
            *self._cloudfront(),
            *self._stored_tables(),
            *(
                _kept("S3", f"{name}, storage", "s3_gigabyte_month", values.newest(metric), "bytes")
                for name, metric in sizes.items()
            ),
            Measure("S3", "requests", "requests", "", None, unknown=NOT_COUNTED),
            *self._stored_logs(),
            _own_metrics(own, values),
            *self._monitoring(),
        ]
        return Usage(measures, Lines(values.total(lines), values.total(raw), self._retention_days()))

    # --- what to count

    def _api_counters(self) -> Iterator[_Counter]:
        for word, output, service, minutes in (
            ("agents'", "AgentsApi", "ingest", AGENT_PING_MINUTES),
            ("viewers'", "ViewersApi", "connect", VIEWER_PING_MINUTES),
        ):
            dimensions = (("ApiId", self._deployment.output(output)), ("Stage", "live"))
            messages = Metric("AWS/ApiGateway", "MessageCount", dimensions)
            yield _Counter("API Gateway", f"{word} messages", "messages", "websocket_million_messages", messages)
            yield _Counter(
                "API Gateway",
                f"{word} connections",
                "minutes",
                "websocket_million_minutes",
                self._own("Pings", service),
                minutes,
            )
        yield _Counter("API Gateway", "HTTP requests", "requests", "http_million_requests", self._http("Count"))

    def _larger_requests(self, counter: _Counter, values: MetricValues, transferred: Metric) -> float:
        """Return how many requests more API Gateway bills at most, because some are larger than its unit."""
        if counter.price != "http_million_requests":
            return 0.0
        return (values.total(transferred) or 0.0) // HTTP_REQUEST_BYTES

    def _http(self, name: str) -> Metric:
        dimensions = (("ApiId", self._deployment.output("HttpApi")), ("Stage", "$default"))
        return Metric("AWS/ApiGateway", name, dimensions)

    def _log_counters(self) -> Iterator[_Counter]:
        for logical, group in self._named("AWS::Logs::LogGroup").items():
            metric = Metric("AWS/Logs", "IncomingBytes", (("LogGroupName", group),))
            yield _Counter("Own logs", f"{logical}, ingestion", "bytes", "logs_gigabyte", metric)

    def _bucket_metrics(self) -> Iterator[tuple[str, Metric]]:
        for output in ("ArchiveBucket", "FailureBucket", "ViewerBucket"):
            if bucket := self._deployment.outputs.get(output):
                dimensions = (("BucketName", bucket), ("StorageType", "StandardStorage"))
                yield output, Metric("AWS/S3", "BucketSizeBytes", dimensions, "Average", DAY)

    def _own(self, name: str, service: str) -> Metric:
        return Metric(self._namespace, name, (("service", service),))

    # --- what is there

    @cached_property
    def _resources(self) -> list[Mapping[str, str]]:
        return list(self._deployment.resources())

    def _named(self, kind: str) -> dict[str, str]:
        """Return the physical ids of the stack's resources of a type, by logical id."""
        return {
            one["LogicalResourceId"]: one["PhysicalResourceId"]
            for one in self._resources
            if one["ResourceType"] == kind and one.get("PhysicalResourceId")
        }

    def _function(self, name: str) -> Mapping[str, Any]:
        found: Mapping[str, Any] = self._client("lambda").get_function_configuration(FunctionName=name)
        return found

    @cached_property
    def _tables(self) -> dict[str, Mapping[str, Any]]:
        names = {"log table": "LogTable", "registry": "RegistryTable"}
        client = self._client("dynamodb")
        return {
            word: {**client.describe_table(TableName=self._deployment.output(output))["Table"], "word": word}
            for word, output in names.items()
        }

    def _stored_tables(self) -> Iterator[Measure]:
        for word, table in self._tables.items():
            size = table.get("TableSizeBytes")
            yield _kept("DynamoDB", f"{word}, storage", "dynamodb_gigabyte_month", size, "bytes")
            for index in table.get("GlobalSecondaryIndexes", ()):
                name, size_of = f"{word}, index {index['IndexName']}, storage", index.get("IndexSizeBytes")
                yield _kept("DynamoDB", name, "dynamodb_gigabyte_month", size_of, "bytes")
            backups = self._client("dynamodb").describe_continuous_backups(TableName=table["TableName"])
            recovery = backups["ContinuousBackupsDescription"].get("PointInTimeRecoveryDescription", {})
            if recovery.get("PointInTimeRecoveryStatus") == "ENABLED":
                yield _kept("DynamoDB", f"{word}, backup", "dynamodb_backup_gigabyte_month", size, "bytes")
        yield Measure("DynamoDB", "streams, read by Lambda", "reads", "", 0.0)

    def _stored_logs(self) -> Iterator[Measure]:
        client = self._client("logs")
        for logical, group in self._named("AWS::Logs::LogGroup").items():
            found = client.describe_log_groups(logGroupNamePrefix=group)["logGroups"]
            sizes = [one.get("storedBytes") for one in found if one["logGroupName"] == group]
            size = sizes[0] if sizes else None
            yield _kept("Own logs", f"{logical}, storage", "logs_gigabyte_month", size, "bytes")

    def _cloudfront(self) -> Iterator[Measure]:
        for distribution in self._named("AWS::CloudFront::Distribution").values():
            dimensions = (("DistributionId", distribution), ("Region", "Global"))
            counters = [
                _Counter("CloudFront", name, unit, price, Metric("AWS/CloudFront", metric, dimensions))
                for name, unit, price, metric in (
                    ("requests", "requests", "cloudfront_million_requests", "Requests"),
                    ("sent to browsers", "bytes", "cloudfront_gigabyte", "BytesDownloaded"),
                )
            ]
            client = self._deployment.client_in(CLOUDFRONT_REGION, "cloudwatch")
            values = read_metrics(client, [one.metric for one in counters], self._start, self._end)
            yield from (_counted(one, values) for one in counters)

    def _monitoring(self) -> Iterator[Measure]:
        stacks = self._named("AWS::CloudFormation::Stack").values()
        nested = [one for stack in stacks for one in self._deployment.resources(stack)]
        names = [one["PhysicalResourceId"] for one in nested if one["ResourceType"] == "AWS::CloudWatch::Alarm"]
        metrics = 0
        for at in range(0, len(names), 100):
            found = self._client("cloudwatch").describe_alarms(AlarmNames=names[at : at + 100])["MetricAlarms"]
            metrics += sum(sum("MetricStat" in one for one in alarm.get("Metrics", ())) or 1 for alarm in found)
        boards = sum(one["ResourceType"] == "AWS::CloudWatch::Dashboard" for one in nested)
        yield _kept("CloudWatch", "metrics of alarms", "alarm_metric_month", metrics, "metrics")
        yield _kept("CloudWatch", "dashboards", "dashboard_month", boards, "dashboards")

    def _retention_days(self) -> float:
        described = self._client("cloudformation").describe_stacks(StackName=self._deployment.stack)["Stacks"][0]
        parameters = {one["ParameterKey"]: one.get("ParameterValue") for one in described.get("Parameters", ())}
        return float(parameters.get("BatchRetentionDays") or 30)

    def _client(self, service: str) -> Any:
        return self._deployment.client(service)


def _function_counters(name: str, function: Mapping[str, Any]) -> Iterator[_Counter]:
    dimensions = (("FunctionName", str(function["FunctionName"])),)
    architecture = (function.get("Architectures") or ["x86_64"])[0]
    gigabytes = int(function.get("MemorySize") or 128) / 1024
    requests = Metric("AWS/Lambda", "Invocations", dimensions)
    yield _Counter("Lambda", f"{name}, calls", "calls", "lambda_million_requests", requests)
    yield _Counter(
        "Lambda",
        f"{name}, time",
        "GB-seconds",
        f"lambda_{architecture}_gigabyte_second",
        Metric("AWS/Lambda", "Duration", dimensions),
        gigabytes / 1000,
    )


def _table_counters(table: Mapping[str, Any]) -> Iterator[_Counter]:
    name = (("TableName", str(table["TableName"])),)
    places: list[tuple[str, tuple[tuple[str, str], ...]]] = [(str(table["word"]), name)]
    for index in table.get("GlobalSecondaryIndexes", ()):
        word = f"{table['word']}, index {index['IndexName']}"
        places.append((word, (*name, ("GlobalSecondaryIndexName", str(index["IndexName"])))))
    for word, dimensions in places:
        for verb in ("Write", "Read"):
            metric = Metric("AWS/DynamoDB", f"Consumed{verb}CapacityUnits", dimensions)
            price = f"dynamodb_million_{verb.lower()}s"
            yield _Counter("DynamoDB", f"{word}, {verb.lower()}s", "units", price, metric)


def _counted(counter: _Counter, values: MetricValues, more: float = 0.0) -> Measure:
    total = values.total(counter.metric)
    amount = None if total is None else total * counter.factor + more
    return Measure(counter.group, counter.name, counter.unit, counter.price, amount, unknown=NO_DATA)


def _kept(group: str, name: str, price: str, amount: float | None, unit: str) -> Measure:
    known = None if amount is None else float(amount)
    return Measure(group, name, unit, price, known, "kept", NO_DATA)


def _own_metrics(own: list[Metric], values: MetricValues) -> Measure:
    """Return the months of the functions' own metrics: AWS bills each for the hours in which it gets a value."""
    hours = sum(values.count(metric) for metric in own)
    months = hours / HOURS_OF_MONTH if hours else None
    return Measure("CloudWatch", "metrics of the functions", "months", "metric_month", months, unknown=NO_DATA)
