"""Test that alarms and the dashboard are complete, off by default, and based on existing metrics."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).parents[2]
Document = dict[str, Any]


def alarms(watch: Document) -> dict[str, Document]:
    return {
        name: resource["Properties"]
        for name, resource in watch["Resources"].items()
        if resource["Type"] == "AWS::CloudWatch::Alarm"
    }


def dimensions(alarm: Document) -> dict[str, Any]:
    return {one["Name"]: one["Value"] for one in alarm["Dimensions"]}


def own_metrics() -> set[tuple[str, str]]:
    """Return (function, name) of every custom count; names built from an outcome are expanded."""
    found = {("ingest", f"Batches{end}") for end in ("Stored", "Duplicate", "Conflict", "Rejected")}
    found |= {("broadcast", f"Viewers{end}") for end in ("Sent", "Gone", "Expired", "Lagging", "LeftAlone")}
    for path in (ROOT / "functions").rglob("*.py"):
        function, source = path.relative_to(ROOT / "functions").parts[0], path.read_text()
        found |= {(function, name) for name in re.findall(r'add_metric\(\s*name="(\w+)"', source)}
    assert 'f"Batches{' in (ROOT / "functions/ingest/service.py").read_text()
    assert 'f"Viewers{' in (ROOT / "functions/broadcast/app.py").read_text()
    return found


def test_watch_is_omitted_by_default(template: Document) -> None:
    """An idle deployment costs nothing, and CloudWatch charges for alarms by the month."""
    assert template["Parameters"]["Monitoring"]["Default"] == "off"
    assert template["Resources"]["Watch"]["Condition"] == "Monitored"


def test_template_gives_every_parameter(template: Document, watch: Document) -> None:
    """And no other."""
    assert set(template["Resources"]["Watch"]["Properties"]["Parameters"]) == set(watch["Parameters"])


def test_every_function_is_watched(resources: dict[str, Document], watch: Document) -> None:
    """A new function without alarms fails here; the one that a deployment itself runs needs none."""
    functions = {name for name, one in resources.items() if one["Type"] == "AWS::Serverless::Function"} - {"Publish"}
    for metric in ("Errors", "Throttles"):
        watched = {
            dimensions(alarm)["FunctionName"]["Ref"]
            for alarm in alarms(watch).values()
            if (alarm["Namespace"], alarm["MetricName"]) == ("AWS/Lambda", metric)
        }
        assert watched == functions


def test_every_table_api_and_stream_is_watched(resources: dict[str, Document], watch: Document) -> None:
    """Throttles and failures of each table, errors of each API, age and failures of the streams."""
    found = {
        (alarm["Namespace"], alarm["MetricName"], next(iter(dimensions(alarm).values())).get("Ref"))
        for alarm in alarms(watch).values()
        if isinstance(alarm["Namespace"], str)
    }
    for name, resource in resources.items():
        match resource["Type"]:
            case "AWS::DynamoDB::Table":
                for metric in ("WriteThrottleEvents", "ReadThrottleEvents", "SystemErrors"):
                    assert ("AWS/DynamoDB", metric, name) in found
            case "AWS::Serverless::WebSocketApi":
                for metric in ("IntegrationError", "ClientError"):
                    assert ("AWS/ApiGateway", metric, name) in found
            case "AWS::ApiGatewayV2::Api":
                assert ("AWS/ApiGateway", "5xx", name) in found
            case "AWS::Lambda::EventSourceMapping":
                function = resource["Properties"]["FunctionName"]["Fn::GetAtt"].removesuffix(".Arn")
                assert ("AWS/Lambda", "IteratorAge", function) in found
    assert ("AWS/S3", "NumberOfObjects", "FailureBucket") in found


def test_every_custom_metric_is_counted_by_a_function(template: Document, watch: Document) -> None:
    """A renamed metric would leave an alarm that never fires, and an empty graph."""
    namespace = template["Globals"]["Function"]["Environment"]["Variables"]["POWERTOOLS_METRICS_NAMESPACE"]
    assert template["Resources"]["Watch"]["Properties"]["Parameters"]["Namespace"] == namespace
    ours = [alarm for alarm in alarms(watch).values() if alarm["Namespace"] == {"Ref": "Namespace"}]
    rung = {(dimensions(alarm)["service"], alarm["MetricName"]) for alarm in ours}
    assert rung >= {
        ("ingest", "GapsStored"),
        ("ingest", "BatchesConflict"),
        ("archive", "EntriesLost"),
        ("archive", "JobsUnarchived"),
        ("connect", "AuthenticationRefused"),
    }
    body = json.loads(watch["Resources"]["Dashboard"]["Properties"]["DashboardBody"]["Fn::Sub"])
    graphs = [metric for widget in body["widgets"] for metric in widget["properties"]["metrics"]]
    shown = {(one[3], one[1]) for one in graphs if one[0] == "${Namespace}"}
    assert shown >= {("archive", "JobsUnarchived"), ("archive", "EntriesLost")}
    assert rung | shown <= own_metrics()


def test_missing_data_raises_no_alarm_and_alarms_notify(watch: Document) -> None:
    """Nothing is measured while nothing is written. What is measured hourly raises an alarm when it stops."""
    silent = {"SweepsStopped"}
    for name, alarm in alarms(watch).items():
        assert alarm["TreatMissingData"] == ("missing" if name in silent else "notBreaching"), name
        assert ("InsufficientDataActions" in alarm) == (name in silent), name
        assert alarm["AlarmDescription"].endswith("."), name
        for actions in (value for kind, value in alarm.items() if kind.endswith("Actions")):
            assert actions == [{"Fn::If": ["Told", {"Ref": "Topic"}, {"Ref": "AWS::NoValue"}]}]


def test_silence_alarm_waits_for_more_than_one_sweep(resources: dict[str, Document], watch: Document) -> None:
    """It counts the sweeps themselves, which the hourly schedule starts regardless of writes."""
    alarm = alarms(watch)["SweepsStopped"]
    assert resources["ArchiveHourly"]["Properties"]["ScheduleExpression"] == "rate(1 hour)"
    assert (alarm["MetricName"], alarm["Statistic"]) == ("JobsUnarchived", "SampleCount")
    assert (alarm["Period"], alarm["EvaluationPeriods"], alarm["DatapointsToAlarm"]) == (3600, 3, 3)
    assert (alarm["Threshold"], alarm["ComparisonOperator"]) == (1, "LessThanThreshold")


def test_docs_state_the_cost_of_alarms(watch: Document) -> None:
    """Ten cents a month and alarm."""
    said = f"{len(alarms(watch))} alarms (${len(alarms(watch)) * 0.1:.2f} a month)"
    assert said in " ".join((ROOT / "docs" / "operate.md").read_text().split())
