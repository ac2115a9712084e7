"""Test that values which CloudFormation would refuse are refused before anything is built."""

from __future__ import annotations

import pytest
from tests.support.templates import ROOT

from logferry_cli.deploy.template import EXISTING, Template, read_template
from logferry_cli.problems import Problem

REGION = "eu-west-1"


@pytest.fixture(scope="module")
def template() -> Template:
    return read_template((ROOT / "template.yaml").read_text())


def test_defaults_are_accepted(template: Template) -> None:
    template.check(template.defaults, REGION)


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("BatchRetentionDays", "1", "must be at least 2"),
        ("BatchRetentionDays", "4000", "must be at most 3650"),
        ("BatchRetentionDays", "soon", "not a number"),
        ("RouteRateLimit", "inf", "not a number"),
        ("RouteRateLimit", "nan", "not a number"),
        ("LogRetentionDays", "8", "only 1, 3, 5"),
        ("Monitoring", "yes", "only on, off is accepted"),
        ("Architecture", "arm", "only arm64, x86_64"),
        ("OidcIssuer", "issuer.example", "has not the form"),
        ("AlarmTopic", "alarms", "has not the form"),
    ],
)
def test_value_that_the_template_refuses_is_refused_with_the_reason(
    template: Template, name: str, value: str, reason: str
) -> None:
    with pytest.raises(Problem, match=f"Nothing was created: {name} is .*{reason}") as raised:
        template.check({**template.defaults, name: value}, REGION)
    assert template.parameters[name].description in raised.value.advice


def test_every_wrong_value_is_named_at_once(template: Template) -> None:
    with pytest.raises(Problem, match=r"BatchRetentionDays .*; Monitoring "):
        template.check({**template.defaults, "BatchRetentionDays": "1", "Monitoring": "yes"}, REGION)


def test_unknown_parameter_is_refused_with_the_known_ones(template: Template) -> None:
    with pytest.raises(Problem, match="no parameter Retention") as raised:
        template.check_names({"Retention": "1"})
    assert "BatchRetentionDays" in raised.value.advice


def test_parameter_without_default_and_value_is_refused() -> None:
    template = read_template("Parameters: {Owner: {Type: String, Description: Who pays.}}")
    with pytest.raises(Problem, match="Owner has no value") as raised:
        template.check(template.defaults, REGION)
    assert "Who pays." in raised.value.advice


def test_region_without_cloudfront_is_refused_by_the_templates_own_rule(template: Template) -> None:
    with pytest.raises(Problem, match=r"Nothing was created: .* Deploy with ViewerHosting=api"):
        template.check(template.defaults, "us-gov-west-1")
    template.check({**template.defaults, "ViewerHosting": "api"}, "us-gov-west-1")


@pytest.mark.parametrize("missing", EXISTING)
def test_incomplete_existing_data_is_refused_by_the_templates_own_rule(template: Template, missing: str) -> None:
    table = "arn:aws:dynamodb:eu-west-1:123456789012:table/old"
    values = {name: f"{table}/stream/2026-11-30T19:00:00.000" if "Stream" in name else "old-data" for name in EXISTING}
    assert not list(template.broken_rules({**template.defaults, **values}))
    with pytest.raises(Problem, match="belong together"):
        template.check({**template.defaults, **values, missing: ""}, REGION)


@pytest.mark.parametrize(
    ("rule", "broken"),
    [
        ("Assertions: [{Assert: !Equals [!Ref A, x], AssertDescription: broken}]", False),
        ("Assertions: [{Assert: !Not [!Equals [!Ref A, x]], AssertDescription: broken}]", True),
        ("Assertions: [{Assert: !Contains [[x, y], !Ref A], AssertDescription: broken}]", False),
        ("Assertions: [{Assert: !Contains [[y], !Ref A], AssertDescription: broken}]", True),
        (
            "{RuleCondition: !Equals [!Ref A, y], Assertions: [{Assert: !Equals [!Ref A, y], AssertDescription: x}]}",
            False,
        ),
        ("Assertions: [{Assert: !EachMemberIn [[a], [b]], AssertDescription: broken}]", False),
        ("Assertions: [{Assert: !Equals [!Ref AWS::Region, x], AssertDescription: broken}]", False),
    ],
)
def test_rules_hold_as_cloudformation_says(rule: str, broken: bool) -> None:
    """What only AWS can decide is left to AWS."""
    text = "Parameters: {A: {Type: String, Default: x}}\nRules:\n  R: " + (rule if rule[0] == "{" else f"{{{rule}}}")
    found = read_template(text)
    assert list(found.broken_rules(found.defaults)) == (["broken"] if broken else [])
