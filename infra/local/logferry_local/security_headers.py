"""Read the viewer's security headers from CloudFront's policy in template.yaml, their only source."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

from logferry_state.errors import LocalCloudError

POLICY = "AWS::CloudFront::ResponseHeadersPolicy"


class _Template(yaml.SafeLoader):
    """YAML with CloudFormation's short forms (`!Sub`, `!Ref` …), each read as its plain value."""


def _short_form(loader: yaml.SafeLoader, _tag: str, node: yaml.Node) -> Any:
    if isinstance(node, yaml.ScalarNode):
        return loader.construct_scalar(node)
    if isinstance(node, yaml.SequenceNode):
        return loader.construct_sequence(node, deep=True)
    assert isinstance(node, yaml.MappingNode)
    return loader.construct_mapping(node, deep=True)


_Template.add_multi_constructor("!", _short_form)


def security_headers(template: Path, live_url: str) -> dict[str, str]:
    """Return the headers that CloudFront would add.

    Strict-Transport-Security is left out: browsers must ignore it over plain HTTP (RFC 6797, 8.1).

    Args:
        template: template.yaml.
        live_url: The WebSocket's address, in place of the deployed one.

    Raises:
        LocalCloudError: The template has no such policy.
    """
    resources = yaml.load(template.read_text(encoding="utf-8"), _Template)["Resources"]
    for resource in resources.values():
        if resource["Type"] == POLICY:
            return _headers(resource["Properties"]["ResponseHeadersPolicyConfig"], live_url)
    raise LocalCloudError(f"{template} has no {POLICY}.", "The local viewer takes its security headers from there.")


def _headers(policy: dict[str, Any], live_url: str) -> dict[str, str]:
    security = policy["SecurityHeadersConfig"]
    live = urlsplit(live_url)
    policy_text, _values = security["ContentSecurityPolicy"]["ContentSecurityPolicy"]  # the parts of `Fn::Sub`
    headers = {
        "Content-Security-Policy": _with_live(policy_text, f"{live.scheme}://{live.netloc}"),
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": security["FrameOptions"]["FrameOption"],
        "Referrer-Policy": security["ReferrerPolicy"]["ReferrerPolicy"],
    }
    for item in policy.get("CustomHeadersConfig", {}).get("Items", []):
        headers[item["Header"]] = item["Value"]
    return headers


def _with_live(policy: str, origin: str) -> str:
    """Return a policy with `origin` for the deployed WebSocket, and without parts that only AWS knows."""
    # Origins for signing in are left out.
    known = re.sub(r"\$\{\w+\}", "", policy.replace("${Live}", origin))
    return "; ".join(" ".join(directive.split()) for directive in known.split(";")).strip()
