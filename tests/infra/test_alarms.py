"""Test that alarms and the dashboard are complete, off by default, and based on existing metrics."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, Final

from infra.checks.markdown import slug_of
from tests.support.translation import specialise, translate

ROOT: Final = Path(__file__).parents[2]
Document = dict[str, Any]


def alarms(watch: Document) -> dict[str, Document]:
    return {
        name: resource["Properties"]
        for name, resource in watch["Resources"].items()
        if resource["Type"] == "AWS::CloudWatch::Alarm"
    }


def dimensions(alarm: Document) -> dict[str, Any]:
    return {one["Name"]: one["Value"] for one in alarm.get("Dimensions", ())}


def alarm_metrics(alarm: Document) -> list[Document]:
    """Return each metric that an alarm reads, with namespace, name and dimensions."""
    if "Metrics" not in alarm:
        return [alarm]
    return [one["MetricStat"]["Metric"] for one in alarm["Metrics"] if "MetricStat" in one]


def dashboard(watch: Document) -> Document:
    text, _ = watch["Resources"]["Dashboard"]["Properties"]["DashboardBody"]["Fn::Sub"]
    body: Document = json.loads(text)
    return body


def graphed(watch: Document) -> list[list[Any]]:
    """Return every line of every graph that is a metric, not an expression."""
    graphs = [one["properties"]["metrics"] for one in dashboard(watch)["widgets"] if one["type"] == "metric"]
    return [line for graph in graphs for line in graph if isinstance(line[0], str)]


def section_of(page: str, heading: str) -> str:
    return page.split(f"\n## {heading}\n", 1)[1].split("\n## ", 1)[0]


def own_metrics() -> set[tuple[str, str]]:
    """Return (function, name) of every custom count; names built from an outcome are expanded."""
    found = {("ingest", f"Batches{end}") for end in ("Stored", "Duplicate", "Conflict", "Rejected")}
    found |= {("broadcast", f"Viewers{end}") for end in ("Sent", "Gone", "Expired", "Lagging", "LeftAlone")}
    for path in (ROOT / "functions").rglob("*.py"):
        function, source = path.relative_to(ROOT / "functions").parts[0], path.read_text()
        found |= {(function, name) for name in re.findall(r'(?:add|single)_metric\(\s*name="(\w+)"', source)}
        found |= {(function, name) for name in re.findall(r'_report_malformed\("(\w+)"', source)}
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
    """A new function without alarms fails here.

    The one that a deployment itself runs needs none. Where `Pages` exists, its failures are the HTTP API's.
    """
    functions = {name for name, one in resources.items() if one["Type"] == "AWS::Serverless::Function"}
    functions -= {"Publish", "Pages"}
    for metric in ("Errors", "Throttles"):
        watched = {
            dimensions(alarm)["FunctionName"]["Ref"]
            for alarm in alarms(watch).values()
            if (alarm.get("Namespace"), alarm.get("MetricName")) == ("AWS/Lambda", metric)
        }
        assert watched == functions


def test_every_table_api_and_stream_is_watched(resources: dict[str, Document], watch: Document) -> None:
    """Throttles and failures of each table, errors of each API, age and failures of the streams."""
    found = {
        (alarm["Namespace"], alarm["MetricName"], next(iter(dimensions(alarm).values())).get("Ref"))
        for alarm in alarms(watch).values()
        if isinstance(alarm.get("Namespace"), str)
    }
    for name, resource in resources.items():
        match resource["Type"]:
            case "AWS::DynamoDB::Table":
                for metric in ("WriteThrottleEvents", "ReadThrottleEvents", "SystemErrors"):
                    assert ("AWS/DynamoDB", metric, name) in found
            case "AWS::Serverless::WebSocketApi":
                for metric in ("IntegrationError", "ExecutionError", "ClientError"):
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
    read = [metric for alarm in alarms(watch).values() for metric in alarm_metrics(alarm)]
    rung = {(dimensions(one)["service"], one["MetricName"]) for one in read if one["Namespace"] == {"Ref": "Namespace"}}
    assert rung >= {
        ("ingest", "GapsStored"),
        ("ingest", "BatchesConflict"),
        ("ingest", "Failed"),
        ("connect", "Failed"),
        ("archive", "EntriesLost"),
        ("archive", "JobsUnarchived"),
        ("connect", "AuthenticationRefused"),
    }
    shown = {(one[3], one[1]) for one in graphed(watch) if one[0] == "${Namespace}"}
    assert shown >= {("archive", "JobsUnarchived"), ("ingest", "StoreDelay"), ("broadcast", "BroadcastDelay")}
    assert rung | shown <= own_metrics()


NEITHER_RUNG_NOR_SHOWN: Final = {
    ("query", "Answered"),  # the HTTP API's latency shows the same
    ("archive", "BytesArchived"), ("archive", "BatchesErased"), ("archive", "ObjectsErased"),  # for an inquiry
}  # fmt: skip


def test_every_metric_of_a_function_is_rung_or_shown(watch: Document) -> None:
    """CloudWatch charges for each, so somebody should look at it."""
    read = [metric for alarm in alarms(watch).values() for metric in alarm_metrics(alarm)]
    rung = {(dimensions(one)["service"], one["MetricName"]) for one in read if one["Namespace"] == {"Ref": "Namespace"}}
    shown = {(one[3], one[1]) for one in graphed(watch) if one[0] == "${Namespace}"}
    assert own_metrics() - rung - shown == NEITHER_RUNG_NOR_SHOWN


DOCUMENTED: Final = {
    # https://docs.aws.amazon.com/lambda/latest/dg/monitoring-metrics-types.html and monitoring-concurrency.html
    "AWS/Lambda": {
        "Errors", "Throttles", "Duration", "Invocations", "IteratorAge", "ConcurrentExecutions",
        "ClaimedAccountConcurrency",
    },
    # https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-websocket-api-logging.html and
    # http-api-metrics.html
    "AWS/ApiGateway": {
        "ConnectCount", "MessageCount", "IntegrationError", "ClientError", "ExecutionError", "4xx", "5xx", "Count",
        "Latency", "IntegrationLatency", "DataProcessed",
    },
    # https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/metrics-dimensions.html
    "AWS/DynamoDB": {
        "ConsumedWriteCapacityUnits", "ConsumedReadCapacityUnits", "WriteThrottleEvents", "ReadThrottleEvents",
        "SystemErrors",
    },
    # https://docs.aws.amazon.com/AmazonS3/latest/userguide/metrics-dimensions.html
    "AWS/S3": {"NumberOfObjects", "BucketSizeBytes"},
}  # fmt: skip
"""The metrics of AWS that this project may use, as AWS's pages name them."""


def test_every_metric_of_aws_is_documented(watch: Document) -> None:
    """A misspelt metric has no data for ever, so its alarm stays green and its graph empty."""
    read = [metric for alarm in alarms(watch).values() for metric in alarm_metrics(alarm)]
    used = {(one["Namespace"], one["MetricName"]) for one in read if isinstance(one["Namespace"], str)}
    used |= {(one[0], one[1]) for one in graphed(watch) if one[0] != "${Namespace}"}
    assert used <= {(namespace, name) for namespace, names in DOCUMENTED.items() for name in names}


def test_expressions_name_metrics_of_their_own_graph(watch: Document) -> None:
    """CloudWatch shows nothing for an expression with an unknown id, and refuses a repeated id."""
    for widget in dashboard(watch)["widgets"]:
        options = [line[-1] for line in widget["properties"].get("metrics", ()) if isinstance(line[-1], dict)]
        ids = [one["id"] for one in options if "id" in one]
        assert len(ids) == len(set(ids))
        for expression in (one["expression"] for one in options if "expression" in one):
            if not expression.startswith("SEARCH("):
                assert set(re.findall(r"\b[a-z]\w*", expression)) <= set(ids), expression


def test_searches_name_the_namespace_in_quotation_marks(watch: Document) -> None:
    """CloudWatch demands them for other characters than letters and digits, such as the hyphen of `logferry-prod`."""
    searches = [
        line[0]["expression"]
        for widget in dashboard(watch)["widgets"]
        for line in widget["properties"].get("metrics", ())
        if isinstance(line[0], dict) and line[0]["expression"].startswith("SEARCH(")
    ]
    assert searches
    for search in searches:
        assert search.startswith('SEARCH(\'{"${Namespace}",'), search


def test_broadcast_is_compared_with_what_the_same_release_began_to_count(watch: Document) -> None:
    """A new alarm looks back. 0.1.0 counted `BatchesStored` and no `BatchesBroadcast`, so each upgrade would ring."""
    metrics = {one["Id"]: one["MetricStat"] for one in alarms(watch)["BroadcastStopped"]["Metrics"][1:]}
    read = {key: (one["Metric"]["MetricName"], one["Stat"]) for key, one in metrics.items()}
    assert read == {"stored": ("StoreDelay", "SampleCount"), "sent": ("BatchesBroadcast", "Sum")}


def test_dashboard_shows_every_alarm_and_computes_with_the_real_memory_sizes(
    resources: dict[str, Document], watch: Document
) -> None:
    [shown] = [one["properties"]["alarms"] for one in dashboard(watch)["widgets"] if one["type"] == "alarm"]
    assert sorted(shown) == sorted(
        f"${{{name}Arn}}" if "Condition" in watch["Resources"][name] else f"${{{name}.Arn}}" for name in alarms(watch)
    )
    text = json.dumps(dashboard(watch))
    for name, gigabytes in re.findall(r'"(\w+)Ms / 1000 \* ([\d.]+)"', text):
        assert resources[name.title()]["Properties"]["MemorySize"] == float(gigabytes) * 1024
    assert text.count("Ms / 1000 * ") == 5


def test_connections_are_counted_at_the_interval_of_pings(watch: Document) -> None:
    """The graph divides pings by these."""
    text, session = json.dumps(dashboard(watch)), "agent/logferry_agent/core/session/session.py"
    assert "PING_EVERY_S = 240.0" in (ROOT / session).read_text()
    assert "PING_MS = 30_000" in (ROOT / "web/src/live/connection.ts").read_text()
    assert "ping: float = 30.0" in (ROOT / "cli/logferry_cli/live_client.py").read_text()
    assert "agentPings * 240 / PERIOD(agentPings)" in text
    assert "viewerPings * 30 / PERIOD(viewerPings)" in text


def runbook_sections() -> dict[str, list[str]]:
    """Return the alarms of each section of the runbook, by the section's anchor."""
    page = (ROOT / "docs" / "alarms.md").read_text()
    return {
        slug_of(title): re.findall(r"`(\w+)`", body.split("**It means**")[0])
        for title, body in re.findall(r"^## (.+)\n([\s\S]*?)(?=^## |\Z)", page, re.MULTILINE)
        if body.lstrip().startswith("Alarms:")
    }


def test_every_alarm_leads_to_its_section_of_the_runbook(watch: Document) -> None:
    """The address in the description has the anchor of the section that names the alarm. Both ways."""
    linked: dict[str, list[str]] = {}
    for name, alarm in alarms(watch).items():
        found = re.search(r" What to do: \$\{Viewer\}/runbook\.html#([\w-]+)$", alarm["AlarmDescription"]["Fn::Sub"])
        assert found, name
        linked.setdefault(found[1], []).append(name)
    sections = runbook_sections()
    assert {anchor: sorted(names) for anchor, names in linked.items()} == {
        anchor: sorted(names) for anchor, names in sections.items()
    }
    page = (ROOT / "web" / "public" / "runbook.html").read_text()
    for anchor in linked:
        assert f' id="{anchor}"' in page


def test_every_section_of_the_runbook_is_complete() -> None:
    page = (ROOT / "docs" / "alarms.md").read_text()
    for title, body in re.findall(r"^## (.+)\n([\s\S]*?)(?=^## |\Z)", page, re.MULTILINE):
        if body.lstrip().startswith("Alarms:"):
            for part in ("It means", "See it", "Do", "It is over"):
                assert body.count(f"**{part}**") == 1, (title, part)


def test_runbook_lists_the_resources_with_a_command_that_returns_all(written_template: Document) -> None:
    """AWS's DescribeStackResources answers with the first 100, and the log groups are among the others."""
    page = (ROOT / "docs" / "alarms.md").read_text()
    assert len(specialise(translate(written_template), {})["Resources"]) > 100
    assert "describe-stack-resources" not in page
    assert "aws cloudformation list-stack-resources" in page


def test_runbook_says_what_an_http_api_answers_when_it_cannot_call_a_function(written_template: Document) -> None:
    """500 without a permission, 503 after 30 s, and the reason only in the access log if its format asks for it."""
    form = written_template["Resources"]["HttpStage"]["Properties"]["AccessLogSettings"]["Format"]
    assert json.loads(form)["error"] == "$context.integrationErrorMessage"
    section = section_of((ROOT / "docs" / "alarms.md").read_text(), "HTTP errors")
    assert "504" not in section
    assert re.search(r"A 500 with an `error`[^.]*functions-that-cannot-be-called", section)


OTHER_QUOTES: Final = {"insufficient data", "Concurrent executions", "try again"}
"""What the runbook quotes from AWS's console and from the viewer."""


def test_runbook_quotes_graphs_and_checks_that_exist(watch: Document) -> None:
    """Whoever follows it at night looks for these words."""
    page = " ".join((ROOT / "docs" / "alarms.md").read_text().split())
    quoted = set(re.findall(r'"([^"]+)"', re.sub(r"`[^`]*`", "", re.sub(r"--query .*?\]\"", "", page))))
    titles = " ".join(widget["properties"].get("title", "") for widget in dashboard(watch)["widgets"])
    doctor = "".join(path.read_text() for path in (ROOT / "cli" / "logferry_cli").rglob("*.py"))
    checks = set(re.findall(r'"([^"\n]+)"', doctor)) | {"LogTable and its stream"}
    assert 'f"{output} and its stream"' in doctor
    assert len(quoted) > 10
    assert {quote for quote in quoted - OTHER_QUOTES - checks if quote not in titles} == set()


def test_runbook_says_what_rings_for_each_failure(watch: Document) -> None:
    """Each row of ARCHITECTURE's tables has an alarm that exists, or a reason why there is none."""
    failures = (ROOT / "ARCHITECTURE.md").read_text().split("\n## When something fails\n")[1].split("\n## ")[0]
    wanted = [row[0] for row in rows(failures)]
    page = section_of((ROOT / "docs" / "alarms.md").read_text(), "What rings when something fails")
    told = rows(page)
    assert [row[0] for row in told] == wanted
    for failure, answer in told:
        named = set(re.findall(r"`([A-Z]\w+)`", answer)) - {"ArchiveRetentionDays"}
        assert named <= set(alarms(watch)), failure
        assert named or answer.startswith("none: "), failure


def rows(page: str) -> list[list[str]]:
    """Return the cells of each row of the tables of a page, without the headings."""
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in page.splitlines() if line[:1] == "|"]
    return [row for row in cells if row[0] != "what fails" and not row[0].startswith("---")]


def test_missing_data_raises_no_alarm_and_alarms_notify(watch: Document) -> None:
    """Nothing is measured while nothing is written. What is measured hourly raises an alarm when it stops."""
    silent = {"SweepsStopped"}
    for name, alarm in alarms(watch).items():
        assert alarm["TreatMissingData"] == ("missing" if name in silent else "notBreaching"), name
        assert ("InsufficientDataActions" in alarm) == (name in silent), name
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
    """Ten cents a month and metric: an alarm on an expression costs as much as its metrics."""
    metrics = sum(len(alarm_metrics(alarm)) for alarm in alarms(watch).values())
    said = f"{len(alarms(watch))} alarms (${metrics * 0.1:.2f} a month)"
    assert said in " ".join((ROOT / "docs" / "operate.md").read_text().split())
    assert f"makes {len(alarms(watch))} alarms" in (ROOT / "docs" / "alarms.md").read_text()
