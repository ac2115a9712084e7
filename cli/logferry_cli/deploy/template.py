"""What the template says of its parameters, and which values it accepts.

CloudFormation checks the same when it creates a change set. Here every value is checked before anything is built.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import yaml

from logferry_cli.problems import Problem

DATA: Final = ("LogTable", "RegistryTable", "ArchiveBucket")
"""The resources that hold what people stored. They are kept when the stack is deleted."""
EXISTING: Final = (
    "ExistingLogTable",
    "ExistingLogStream",
    "ExistingRegistryTable",
    "ExistingRegistryStream",
    "ExistingArchiveBucket",
)
"""The parameters that name kept data."""

Values = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of the template."""

    name: str
    type: str = "String"
    default: str | None = None
    description: str = ""
    allowed: tuple[str, ...] = ()
    pattern: str | None = None
    least: float | None = None
    greatest: float | None = None

    def problem(self, value: str) -> str | None:
        """Return why a value is not accepted, as the end of a sentence; None when it is."""
        if self.allowed and value not in self.allowed:
            return f"is {value!r}, but only {', '.join(word or '(empty)' for word in self.allowed)} is accepted"
        if self.type == "Number":
            return self._number_problem(value)
        # recheck: the template's own pattern, on the value that its user gives
        if self.pattern is not None and not re.fullmatch(self.pattern, value):
            return f"is {value!r}, which has not the form {self.pattern}"
        return None

    def _number_problem(self, value: str) -> str | None:
        try:
            number = float(value)
        except ValueError:
            return f"is {value!r}, which is not a number"
        if not math.isfinite(number):
            return f"is {value!r}, which is not a number"
        if self.least is not None and number < self.least:
            return f"is {value}, but must be at least {self.least:g}"
        if self.greatest is not None and number > self.greatest:
            return f"is {value}, but must be at most {self.greatest:g}"
        return None


@dataclass(frozen=True, slots=True)
class Template:
    """The parameters and rules of a template."""

    parameters: Mapping[str, Parameter]
    rules: Sequence[Mapping[str, Any]] = field(default_factory=tuple)

    @property
    def defaults(self) -> dict[str, str]:
        """The values of parameters that nobody sets."""
        return {name: one.default for name, one in self.parameters.items() if one.default is not None}

    def check_names(self, values: Values) -> None:
        """Check that the template has these parameters.

        Raises:
            Problem: It lacks one.
        """
        unknown = sorted(set(values) - set(self.parameters))
        if unknown:
            raise Problem(
                f"The template has no parameter {', '.join(unknown)}.",
                f"Its parameters are {', '.join(self.parameters)}.",
            )

    def check(self, values: Values, region: str) -> None:
        """Check values for all parameters of a deployment to a region.

        Raises:
            Problem: A parameter is unknown or has no value, or values are not accepted, each with the reason.
        """
        self.check_names(values)
        found = [
            f"{name} {reason}" for name, value in values.items() if (reason := self.parameters[name].problem(value))
        ]
        missing = [name for name in self.parameters if name not in values]
        found += [f"{name} has no value" for name in missing]
        if found:
            raise Problem(f"Nothing was created: {'; '.join(found)}.", self._advice(values, missing))
        if broken := list(self.broken_rules({**values, "AWS::Region": region})):
            raise Problem(f"Nothing was created: {' '.join(broken)}")

    def broken_rules(self, values: Values) -> Iterator[str]:
        """Yield the description of each rule that the values of parameters and pseudo parameters break.

        Rules with functions that are unknown here are left to AWS.
        """
        for rule in self.rules:
            try:
                if "RuleCondition" in rule and not _holds(rule["RuleCondition"], values):
                    continue
                for one in rule.get("Assertions", ()):
                    if not _holds(one["Assert"], values):
                        yield str(one.get("AssertDescription", one["Assert"]))
            except _UnknownFunctionError:
                continue

    def _advice(self, values: Values, missing: Sequence[str]) -> str:
        wrong = [name for name, value in values.items() if self.parameters[name].problem(value)]
        described = " ".join(
            f"{name}: {self.parameters[name].description}"
            for name in (*wrong, *missing)
            if self.parameters[name].description
        )
        return f"Give other values with --parameter NAME=VALUE. {described}".rstrip()


class _UnknownFunctionError(Exception):
    """A function that CloudFormation knows and this module does not."""


def _holds(test: Any, values: Values) -> bool:
    """Return whether a test of a rule holds."""
    if isinstance(test, bool):
        return test
    if not isinstance(test, Mapping) or len(test) != 1:
        raise _UnknownFunctionError
    ((function, given),) = test.items()
    match function:
        case "Fn::And":
            return all(_holds(one, values) for one in given)
        case "Fn::Or":
            return any(_holds(one, values) for one in given)
        case "Fn::Not":
            return not _holds(given[0], values)
        case "Fn::Equals":
            first, second = (_value(one, values) for one in given)
            return first == second
        case "Fn::Contains":
            return _value(given[1], values) in [_value(one, values) for one in given[0]]
    raise _UnknownFunctionError


def _value(node: Any, values: Values) -> str:
    if isinstance(node, Mapping):
        name = str(node.get("Ref"))
        if name not in values:
            raise _UnknownFunctionError
        return values[name]
    return _text(node)


class _Loader(yaml.SafeLoader):
    """Read CloudFormation's short functions as their long forms."""


def _long_form(loader: yaml.SafeLoader, suffix: str, node: yaml.Node) -> dict[str, Any]:
    name = suffix if suffix in {"Ref", "Condition"} else f"Fn::{suffix}"
    if isinstance(node, yaml.ScalarNode):
        return {name: loader.construct_scalar(node)}
    if isinstance(node, yaml.SequenceNode):
        return {name: loader.construct_sequence(node, deep=True)}
    assert isinstance(node, yaml.MappingNode)  # noqa: S101 - YAML has no fourth kind
    return {name: loader.construct_mapping(node, deep=True)}


_Loader.add_multi_constructor("!", _long_form)


def read_template(text: str) -> Template:
    """Return the parameters and rules of a template's text."""
    document = yaml.load(text, _Loader)  # noqa: S506 - a safe loader, with CloudFormation's functions
    parameters = {name: _parameter(name, given) for name, given in document.get("Parameters", {}).items()}
    return Template(parameters, tuple(document.get("Rules", {}).values()))


def _parameter(name: str, given: Mapping[str, Any]) -> Parameter:
    return Parameter(
        name,
        given.get("Type", "String"),
        _text(given["Default"]) if "Default" in given else None,
        given.get("Description", ""),
        tuple(_text(value) for value in given.get("AllowedValues", ())),
        given.get("AllowedPattern"),
        given.get("MinValue"),
        given.get("MaxValue"),
    )


def _text(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return str(value)
