"""`logferry cost`: what a deployment costs at its measured rate, by item."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from itertools import groupby
from pathlib import Path
from textwrap import wrap
from typing import Annotated, Any, Final

import typer
from botocore.exceptions import BotoCoreError, ClientError

from logferry_cli.cost_model import Item, Lines, Report, report
from logferry_cli.cost_usage import StackUsage
from logferry_cli.deployment import Deployment, StackOption, find_deployment
from logferry_cli.options import StateOption
from logferry_cli.price_list import PriceList, load_prices
from logferry_cli.problems import Problem
from logferry_cli.terminal import sanitize_word

LEAST: Final = timedelta(hours=1)
MOST_DAYS: Final = 400
"""CloudWatch keeps hourly values for 455 days."""


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command()(cost)


def cost(
    *,
    state: StateOption,
    days: Annotated[int, typer.Option(min=1, max=MOST_DAYS, help="Measure the last N days.")] = 7,
    prices: Annotated[
        Path | None, typer.Option(help="A price file, for another region or newer prices (TOML).", metavar="FILE")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as one JSON object.")] = False,
    stack: StackOption = None,
) -> None:
    """Show what a deployment costs at its measured rate, by item (operators; uses AWS credentials)."""
    deployment = find_deployment(state, stack)
    price_list = load_prices(deployment.region, prices)
    until = datetime.now(UTC)
    try:
        since = max(until - timedelta(days=days), min(_created(deployment), until - LEAST))
        usage = StackUsage(deployment, since, until).read()
    except ClientError as error:
        raise Problem(
            f"AWS refused ({error.response['Error']['Message']}).",
            "docs/cost.md lists what your AWS identity must be allowed to read.",
        ) from None
    except BotoCoreError as error:
        raise Problem(f"AWS cannot be reached ({error}).", "Check the region and your AWS credentials.") from None
    costs = report(usage.measures, usage.lines, price_list, (until - since) / timedelta(days=1))
    if as_json:
        typer.echo(json.dumps(document_of(deployment.stack, costs, usage.lines, price_list, until), indent=2))
    else:
        typer.echo("\n".join(text_of(deployment.stack, costs, usage.lines, price_list, until)))


def _created(deployment: Deployment) -> datetime:
    """Return when the stack was created: before that, there is nothing to measure."""
    described = deployment.client("cloudformation").describe_stacks(StackName=deployment.stack)["Stacks"][0]
    created: datetime = described["CreationTime"]
    return created if created.tzinfo else created.replace(tzinfo=UTC)


def text_of(stack: str, costs: Report, lines: Lines, prices: PriceList, until: datetime) -> list[str]:
    """Return the report as lines of text."""
    long = f"{costs.days:.1f} days" if costs.days >= 1 else f"{costs.days * 24:.1f} hours"
    said = f"Stack {sanitize_word(stack)} in {prices.region}: {long} until {until:%Y-%m-%d %H:%M} UTC."
    if prices.known:
        asked = f"List prices of {prices.date} in US dollars, before any free tier and tax."
    else:
        asked = f"The prices of {prices.region} are not known: name a file with --prices (docs/cost.md)."
    text = [said, asked, "", f"{'':<44}{'measured':>26}{'cost':>12}{'a month':>12}"]
    known = [item for item in costs.items if item.measure.amount is not None]
    for group, items in groupby(sorted(known, key=lambda item: item.measure.group), lambda item: item.measure.group):
        text.append(group)
        text += [_line(item) for item in items]
    more = "at least " if costs.unknown else ""
    text += [
        "",
        f"{'All that is known':<70}{_dollars(costs.cost, prices):>12}{_dollars(costs.month, prices):>12}",
        f"{'… of it without any traffic':<82}{_dollars(costs.idle, prices):>12}",
        "",
        _comparison(costs, lines, prices, more),
    ]
    if unmeasured := [item for item in costs.unknown if item.measure.amount is None]:
        text += ["", "Not known, and in no sum:"]
        for why, same in groupby(sorted(unmeasured, key=lambda item: item.unknown), lambda item: item.unknown):
            names = "; ".join(sanitize_word(f"{item.measure.group} {item.measure.name}") for item in same)
            text += [f"  {why}:", *wrap(names, 94, initial_indent="    ", subsequent_indent="    ")]
    return text


def _line(item: Item) -> str:
    measure = item.measure
    amount = _amount(measure.amount or 0.0, measure.unit)
    if item.cost is None or item.month is None:
        costs = f"{'unknown':>12}{'unknown':>12}"
    else:
        costs = f"{item.cost:>12,.4f}{item.month:>12,.4f}"
    return f"  {sanitize_word(measure.name)[:42]:<42}{amount:>26}{costs}"


def _amount(amount: float, unit: str) -> str:
    if unit == "bytes":
        return f"{amount / 1e9:,.6f} GB"
    return f"{amount:,.2f} {unit}" if amount < 1000 and amount != int(amount) else f"{amount:,.0f} {unit}"


def _dollars(amount: float, prices: PriceList) -> str:
    return f"{amount:,.4f}" if prices.known else "unknown"


def _comparison(costs: Report, lines: Lines, prices: PriceList, more: str) -> str:
    logs = costs.cloudwatch_logs
    if logs.month is None or logs.ingestion is None or logs.storage is None or not prices.known:
        return f"The same lines in CloudWatch Logs: unknown ({logs.unknown})."
    return (
        f"The same lines in CloudWatch Logs (driver awslogs): {logs.month:,.4f} a month, {logs.ingestion:,.4f} to "
        f"ingest and {logs.storage:,.4f} to keep {lines.retention_days:g} days. Logferry: {more}{costs.month:,.4f}."
    )


def document_of(stack: str, costs: Report, lines: Lines, prices: PriceList, until: datetime) -> dict[str, Any]:
    """Return the report as a JSON document. What is not known is null, and `unknown` says why."""
    logs = costs.cloudwatch_logs
    return {
        "stack": stack,
        "region": prices.region,
        "until": until.isoformat(timespec="seconds"),
        "days": round(costs.days, 4),
        "prices": {"date": prices.date, "source": prices.source} if prices.known else None,
        "items": [
            {
                "group": item.measure.group,
                "name": item.measure.name,
                "amount": item.measure.amount,
                "unit": item.measure.unit,
                "kind": item.measure.kind,
                "cost": item.cost,
                "month": item.month,
                "unknown": item.unknown or None,
            }
            for item in costs.items
        ],
        "cost": costs.cost if prices.known else None,
        "month": costs.month if prices.known else None,
        "idle_month": costs.idle if prices.known else None,
        "complete": not costs.unknown,
        "lines": {"count": lines.count, "raw_bytes": lines.raw_bytes},
        "cloudwatch_logs": {
            "ingestion": logs.ingestion,
            "storage": logs.storage,
            "month": logs.month,
            "retention_days": lines.retention_days,
            "unknown": logs.unknown or None,
        },
    }
