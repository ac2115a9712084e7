"""Test which value each parameter gets."""

from __future__ import annotations

import pytest

from logferry_cli.deploy.template import EXISTING, Template, read_template
from logferry_cli.deploy.values import (
    check_adoption,
    check_partition,
    check_unchanged_data,
    decide_values,
    parse_assignments,
)
from logferry_cli.problems import Problem

TEMPLATE = read_template("Parameters: {Days: {Type: Number, Default: 30}, Owner: {Type: String}}")


def decided(**given: dict[str, str] | None) -> tuple[dict[str, str], dict[str, str]]:
    words = {"given": {}, "deployed": None, "remembered": {}, "old_defaults": {}, **given}
    return decide_values(TEMPLATE, **words)  # type: ignore[arg-type]


def test_default_is_no_choice() -> None:
    assert decided() == ({"Days": "30"}, {})


def test_given_value_comes_before_all_others() -> None:
    values, chosen = decided(given={"Days": "1"}, deployed={"Days": "2"}, remembered={"Days": "3"})
    assert (values, chosen) == ({"Days": "1"}, {"Days": "1"})


def test_deployed_choice_comes_before_a_remembered_one() -> None:
    """Somebody else may have changed the stack since."""
    values, _ = decided(deployed={"Days": "2"}, remembered={"Days": "3"}, old_defaults={"Days": "30"})
    assert values == {"Days": "2"}


def test_remembered_choice_is_used_for_a_new_stack() -> None:
    assert decided(remembered={"Days": "3", "Gone": "x"}) == ({"Days": "3"}, {"Days": "3"})


def test_new_default_takes_effect_where_nobody_chose() -> None:
    values, chosen = decided(deployed={"Days": "14"}, old_defaults={"Days": "14"})
    assert (values, chosen) == ({"Days": "30"}, {})


def test_deployed_value_stays_when_nothing_is_remembered() -> None:
    """Another machine or `sam deploy --guided` made the stack, so its values may be choices."""
    assert decided(deployed={"Days": "14"}) == ({"Days": "14"}, {"Days": "14"})


def test_choice_that_equals_the_default_stays_a_choice() -> None:
    values, _ = decided(deployed={"Days": "14"}, remembered={"Days": "14"}, old_defaults={"Days": "14"})
    assert values == {"Days": "14"}


@pytest.mark.parametrize("word", ["Days", "=3", ""])
def test_malformed_assignment_is_refused(word: str) -> None:
    with pytest.raises(Problem, match="is not a parameter"):
        parse_assignments([word])


def test_values_may_contain_anything() -> None:
    assert parse_assignments(["A=b=c d", "B="]) == {"A": "b=c d", "B": ""}


def test_contradicting_assignments_are_refused() -> None:
    with pytest.raises(Problem, match="given twice"):
        parse_assignments(["A=1", "A=2"])


@pytest.mark.parametrize("name", EXISTING)
def test_deployed_stack_keeps_its_data(name: str) -> None:
    """Both to other data and back to new tables: stored logs would vanish from view."""
    for before, after in (("", "other"), ("other", "")):
        with pytest.raises(Problem, match=f"{name} of a deployed stack must stay"):
            check_unchanged_data({name: after}, {name: before})
    check_unchanged_data({name: "same"}, {name: "same"})
    check_unchanged_data({name: "same"}, None)
    check_unchanged_data({name: ""}, {})


@pytest.mark.parametrize("partition", ["aws-us-gov", "aws-cn"])
def test_partition_without_cloudfront_needs_another_way(partition: str) -> None:
    other = Template({**TEMPLATE.parameters, "ViewerHosting": TEMPLATE.parameters["Owner"]})
    with pytest.raises(Problem, match=f"Nothing was created: the partition {partition}") as raised:
        check_partition(other, partition, {"ViewerHosting": "cloudfront"})
    assert "--parameter ViewerHosting=api" in raised.value.advice
    check_partition(other, partition, {"ViewerHosting": "api"})
    with pytest.raises(Problem, match="lacks CloudFront"):
        check_partition(TEMPLATE, partition, {})
    check_partition(TEMPLATE, "aws", {})


def test_stack_with_tables_of_its_own_cannot_adopt_others() -> None:
    """Otherwise --adopt would be passed over, and the kept data forgotten."""
    for deployed in (None, {"ExistingLogTable": "kept"}):
        check_adoption(deployed, "logs")
    for own in ({"ExistingLogTable": ""}, {}):
        with pytest.raises(Problem, match="logs has tables of its own"):
            check_adoption(own, "logs")
