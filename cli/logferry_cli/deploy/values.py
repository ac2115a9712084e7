"""Decide the template's parameter values for one deployment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from logferry_cli.deploy.template import EXISTING, Template, Values
from logferry_cli.problems import Problem

HOSTING = "ViewerHosting"
"""The parameter that says what serves the viewer."""
WITH_CLOUDFRONT = "aws"
"""The only partition whose CloudFormation has every CloudFront type of the template."""


def parse_assignments(words: Sequence[str]) -> dict[str, str]:
    """Return the values that `--parameter NAME=VALUE` options give.

    Raises:
        Problem: One has no `=`, or a name is given twice with different values.
    """
    found: dict[str, str] = {}
    for word in words:
        name, separator, value = word.partition("=")
        if not separator or not name:
            raise Problem(f"{word!r} is not a parameter.", "Write --parameter NAME=VALUE.")
        if found.setdefault(name, value) != value:
            raise Problem(f"The parameter {name} is given twice.", "Give it once.")
    return found


def decide_values(
    template: Template, given: Values, deployed: Values | None, remembered: Values, old_defaults: Values
) -> tuple[dict[str, str], dict[str, str]]:
    """Return the values of all parameters, and those of them that somebody chose.

    A value that is given now comes first, then a choice that the deployed stack has, then a remembered one, then the
    template's default. A deployed value that was the default of its time is no choice, so a new default takes effect.

    Args:
        template: The template to deploy.
        given: The values given now.
        deployed: The stack's values; None when there is no stack.
        remembered: The choices of the last deployment from this machine.
        old_defaults: The defaults of the template that was last deployed from this machine.
    """
    chosen: dict[str, str] = {}
    for name in template.parameters:
        if name in given:
            chosen[name] = given[name]
        elif deployed is not None and name in deployed:
            default = old_defaults.get(name, template.defaults.get(name))
            if name in remembered or deployed[name] != default:
                chosen[name] = deployed[name]
        elif name in remembered:
            chosen[name] = remembered[name]
    return {**template.defaults, **chosen}, chosen


def check_unchanged_data(values: Values, deployed: Values | None) -> None:
    """Check that a stack keeps the tables and the bucket that it has.

    Raises:
        Problem: The values would exchange them for others or for new ones.
    """
    if deployed is None:
        return
    for name in EXISTING:
        before, after = deployed.get(name, ""), values.get(name, "")
        if before != after:
            raise Problem(
                f"Nothing was changed: {name} of a deployed stack must stay {before or 'empty'}, because another value "
                "would exchange its data.",
                "To use other data, deploy another stack with --stack.",
            )


def check_adoption(deployed: Values | None, stack: str) -> None:
    """Check that a stack can adopt kept data, or has done so.

    Raises:
        Problem: It has tables of its own.
    """
    if deployed is not None and not deployed.get("ExistingLogTable"):
        raise Problem(
            f"Nothing was changed: the stack {stack} has tables of its own, and cannot adopt others.",
            "Leave --adopt out. To use kept data, deploy another stack with --stack, and name the data with "
            "--parameter ExistingLogTable=…, ExistingRegistryTable=… and ExistingArchiveBucket=….",
        )


def check_partition(template: Template, partition: str, values: Mapping[str, str]) -> None:
    """Check that the partition has what the values ask for.

    Raises:
        Problem: It has no CloudFront as the template needs it.
    """
    if partition == WITH_CLOUDFRONT or values.get(HOSTING) == "api":
        return
    advice = "This release cannot be deployed there."
    if HOSTING in template.parameters:
        advice = f"Add --parameter {HOSTING}=api: then the HTTP API serves the viewer."
    raise Problem(f"Nothing was created: the partition {partition} lacks CloudFront's resource types.", advice)
