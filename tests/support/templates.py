"""Read CloudFormation templates as data, and resolve one for a set of parameters, as CloudFormation does."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import yaml

ROOT: Final = Path(__file__).parents[2]
Document = dict[str, Any]

PSEUDO: Final = {
    "AWS::Partition": "aws",
    "AWS::Region": "eu-west-1",
    "AWS::AccountId": "123456789012",
    "AWS::StackName": "logferry",
    "AWS::URLSuffix": "amazonaws.com",
    "AWS::StackId": "arn:aws:cloudformation:eu-west-1:123456789012:stack/logferry/1",
}
"""The pseudo parameters of a stack that is named logferry in eu-west-1."""

_NO_VALUE: Final = object()


class _Loader(yaml.SafeLoader):
    """Read CloudFormation's short functions as their long forms."""


def _intrinsic(loader: yaml.Loader, suffix: str, node: yaml.Node) -> dict[str, Any]:
    name = suffix if suffix in {"Ref", "Condition"} else f"Fn::{suffix}"
    if isinstance(node, yaml.ScalarNode):
        value: Any = loader.construct_scalar(node)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    else:
        value = loader.construct_mapping(node, deep=True)  # type: ignore[arg-type]
    return {name: value}


_Loader.add_multi_constructor("!", _intrinsic)


def load(path: str) -> Document:
    """Return a template of this repository, with CloudFormation's functions in their long forms."""
    return parse((ROOT / path).read_text())


def parse(text: str) -> Document:
    """Return a template with CloudFormation's functions in their long forms."""
    return yaml.load(text, _Loader)  # type: ignore[no-any-return]


class Resolver:
    """A template with values for its parameters."""

    def __init__(self, template: Document, parameters: Mapping[str, Any], pseudo: Mapping[str, str] = PSEUDO) -> None:
        self.template = template
        defaults = {name: one["Default"] for name, one in template["Parameters"].items() if "Default" in one}
        if unknown := set(parameters) - set(template["Parameters"]):
            raise ValueError(f"the template has no parameters {sorted(unknown)}")
        self._values = {**pseudo, **{name: str(value) for name, value in {**defaults, **parameters}.items()}}

    def resources(self) -> dict[str, Document]:
        """Return the resources that exist, with resolved properties.

        A reference to a resource stays a text that names it, such as `${LogTable.Arn}`.
        """
        return {
            name: self.resolve({key: value for key, value in resource.items() if key != "Condition"})
            for name, resource in self.template["Resources"].items()
            if "Condition" not in resource or self.holds(resource["Condition"])
        }

    def holds(self, condition: str) -> bool:
        """Return whether a condition of the template holds."""
        return self._test(self.template["Conditions"][condition])

    def _test(self, test: Any) -> bool:
        ((function, value),) = test.items()
        match function:
            case "Condition":
                return self.holds(value)
            case "Fn::Equals":
                first, second = (str(self.resolve(one)) for one in value)
                return first == second
            case "Fn::Not":
                return not self._test(value[0])
            case "Fn::And":
                return all(self._test(one) for one in value)
            case "Fn::Or":
                return any(self._test(one) for one in value)
        raise ValueError(f"no condition: {test}")

    def resolve(self, value: Any) -> Any:
        """Return a value without functions. What only a deployment knows stays as `${...}`."""
        if isinstance(value, list):
            found = [self.resolve(one) for one in value]
            return [one for one in found if one is not _NO_VALUE]
        if not isinstance(value, dict):
            return value
        if len(value) == 1:
            ((function, argument),) = value.items()
            if function == "Ref" or function.startswith("Fn::"):
                return self._call(function, argument)
        members = {name: self.resolve(one) for name, one in value.items()}
        return {name: one for name, one in members.items() if one is not _NO_VALUE}

    def _call(self, function: str, argument: Any) -> Any:
        match function:
            case "Ref":
                return _NO_VALUE if argument == "AWS::NoValue" else self._values.get(argument, f"${{{argument}}}")
            case "Fn::GetAtt":
                return f"${{{argument if isinstance(argument, str) else '.'.join(argument)}}}"
            case "Fn::If":
                condition, then, otherwise = argument
                return self.resolve(then if self.holds(condition) else otherwise)
            case "Fn::Sub":
                text, more = argument if isinstance(argument, list) else (argument, {})
                values = {**self._values, **{name: str(self.resolve(one)) for name, one in more.items()}}
                return re.sub(r"\$\{([^!{}][^{}]*)\}", lambda found: values.get(found[1], found[0]), text)
            case "Fn::Join":
                separator, parts = argument
                return separator.join(map(str, self.resolve(parts)))
            case "Fn::Split":
                separator, text = argument
                return str(self.resolve(text)).split(separator)
            case "Fn::Select":
                index, parts = argument
                return self.resolve(parts)[int(index)]
            case "Fn::Base64":  # as text, which is what a test looks at
                return self.resolve(argument)
        raise ValueError(f"{function} is not known here")
