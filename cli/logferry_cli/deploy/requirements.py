"""What a deployment needs of the machine and of the account, and how to get what is missing."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

LEAST_SAM: Final = (1, 158, 0)
"""The first SAM CLI whose translator (1.109) knows AWS::Serverless::WebSocketApi, by the package index (2026-11-30)."""
LEAST_NODE: Final = (20, 0, 0)

NEW_ACCOUNT_CONCURRENCY: Final = 100
"""Below this limit of concurrent runs, an account is a new one with a reduced quota (Lambda's default is 1,000)."""

INSTALL: Final = {
    "sam": "Install the AWS SAM CLI with `uv tool install aws-sam-cli` or as "
    "https://docs.aws.amazon.com/serverless-application-model/latest/developerguide/install-sam-cli.html says.",
    "make": "Install it with the system's package manager (`apt install make`, `xcode-select --install`).",
    "tar": "Install it with the system's package manager.",
    "uv": "Install it as https://docs.astral.sh/uv/getting-started/installation/ says.",
    "node": "Install Node 20 or later from https://nodejs.org/.",
    "npm": "It comes with Node: https://nodejs.org/.",
}

Outcome = Literal["ok", "warning", "unknown", "missing"]


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of one check."""

    name: str
    outcome: Outcome
    detail: str
    advice: str = ""


def version_in(text: str) -> tuple[int, int, int] | None:
    """Return the first version number of a program's answer to `--version`."""
    found = re.search(r"(?<!\d)(\d{1,9})\.(\d{1,9})(?:\.(\d{1,9}))?", text)
    return None if found is None else (int(found[1]), int(found[2]), int(found[3] or 0))


def check_tool(name: str, answer: str | None, least: tuple[int, int, int] | None = None) -> Finding:
    """Return the finding on a program.

    Args:
        name: Its name.
        answer: What it answers to `--version`; None when it is not on the path.
        least: The least version that works.
    """
    if answer is None:
        return Finding(name, "missing", "is not on the path", INSTALL[name])
    version = version_in(answer)
    if least is None:
        return Finding(name, "ok", ".".join(map(str, version)) if version else "found")
    wanted = ".".join(map(str, least))
    if version is None:
        return Finding(name, "unknown", f"did not say its version; {wanted} or later is needed", INSTALL[name])
    shown = ".".join(map(str, version))
    if version < least:
        return Finding(name, "missing", f"is version {shown}, but {wanted} or later is needed", INSTALL[name])
    return Finding(name, "ok", shown)


def check_concurrency(limit: int | None) -> Finding:
    """Return the finding on the account's limit of concurrent Lambda runs; None: it cannot be read."""
    name = "Lambda concurrency"
    if limit is None:
        return Finding(name, "unknown", "the account's limit cannot be read", "It needs lambda:GetAccountSettings.")
    if limit < NEW_ACCOUNT_CONCURRENCY:
        return Finding(
            name,
            "warning",
            f"the account may run {limit} functions at once, as new ones; the streams can starve agents and viewers",
            "Ask for 1,000 in Service Quotas (AWS Lambda, Concurrent executions).",
        )
    return Finding(name, "ok", f"{limit:,} functions at once")


def check_rate(quota: float | None, wanted: float) -> Finding:
    """Return the finding on the region's quota of API Gateway requests a second, beside the template's own limit."""
    name = "API Gateway rate"
    if quota is None:
        return Finding(name, "unknown", "the quota cannot be read", "It needs servicequotas:GetServiceQuota.")
    if quota < wanted:
        return Finding(
            name,
            "warning",
            f"the region allows {quota:,.0f} requests a second, and RouteRateLimit is {wanted:,.10g}",
            "Ask for more in Service Quotas (Amazon API Gateway, Throttle rate), or lower RouteRateLimit.",
        )
    return Finding(name, "ok", f"{quota:,.0f} requests a second")


def missing_sentence(findings: Sequence[Finding]) -> tuple[str, str] | None:
    """Return a sentence that names all that is missing, and how to get it; None when nothing is."""
    missing = [one for one in findings if one.outcome == "missing"]
    if not missing:
        return None
    sentence = "; ".join(f"{one.name} {one.detail}" for one in missing)
    return f"Nothing was created: {sentence}.", " ".join(f"{one.name}: {one.advice}" for one in missing)


def needed_tools(*, builds_viewer: bool) -> Mapping[str, tuple[int, int, int] | None]:
    """Return the programs that a deployment calls, with their least versions."""
    tools: dict[str, tuple[int, int, int] | None] = {"sam": LEAST_SAM, "make": None, "tar": None, "uv": None}
    return {**tools, "node": LEAST_NODE, "npm": None} if builds_viewer else tools
