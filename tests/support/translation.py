"""Translate template.yaml as CloudFormation does with SAM's transform, and keep what exists for a set of parameters."""

from __future__ import annotations

import copy
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from samtranslator.translator.transform import transform  # type: ignore[import-untyped]
from tests.support.templates import PSEUDO, Document, Resolver


class _NoPolicies:
    """The template names no managed policies, so none is loaded."""

    def load(self) -> dict[str, str]:
        return {}


def translate(template: Document, region: str = "eu-west-1") -> Document:
    """Return a template with plain CloudFormation resources in place of SAM's."""
    document = copy.deepcopy(template)
    for resource in document["Resources"].values():  # `sam build` and `sam package` put these in place
        match resource["Type"]:
            case "AWS::Serverless::Function":
                resource["Properties"]["CodeUri"] = "s3://bucket/key"
            case "AWS::Serverless::LayerVersion":
                resource["Properties"]["ContentUri"] = "s3://bucket/key"
            case "AWS::CloudFormation::Stack":
                resource["Properties"]["TemplateURL"] = "https://s3.amazonaws.com/bucket/key"
    with _region(region):
        return transform(document, {}, _NoPolicies())  # type: ignore[no-any-return]


@contextmanager
def _region(region: str) -> Iterator[None]:
    """Name a region to the translator, which takes the partition from it."""
    before = os.environ.get("AWS_DEFAULT_REGION")
    os.environ["AWS_DEFAULT_REGION"] = region
    try:
        yield
    finally:
        if before is None:
            del os.environ["AWS_DEFAULT_REGION"]
        else:
            os.environ["AWS_DEFAULT_REGION"] = before


def specialise(translated: Document, parameters: Mapping[str, str], region: str = "eu-west-1") -> Document:
    """Return a translated template without conditions: the resources and branches that these parameters choose.

    A linter looks at every resource, also at one whose condition never holds in a region.
    """
    resolver = Resolver(translated, parameters, {**PSEUDO, "AWS::Region": region})
    kept = {name: one for name, one in translated.items() if name not in {"Conditions", "Rules"}}
    for section in ("Resources", "Outputs"):
        kept[section] = {
            name: _chosen(resolver, {key: value for key, value in one.items() if key != "Condition"})
            for name, one in translated[section].items()
            if "Condition" not in one or resolver.holds(one["Condition"])
        }
    for resource in kept["Resources"].values():  # CloudFormation passes over a dependency that does not exist
        if "DependsOn" in resource:
            named = resource["DependsOn"] if isinstance(resource["DependsOn"], list) else [resource["DependsOn"]]
            resource["DependsOn"] = [one for one in named if one in kept["Resources"]]
    return kept


_NO_VALUE = {"Ref": "AWS::NoValue"}


def _chosen(resolver: Resolver, value: Any) -> Any:
    if isinstance(value, list):
        return [one for one in (_chosen(resolver, each) for each in value) if one != _NO_VALUE]
    if not isinstance(value, dict):
        return value
    if set(value) == {"Fn::If"}:
        condition, then, otherwise = value["Fn::If"]
        return _chosen(resolver, then if resolver.holds(condition) else otherwise)
    members = {name: _chosen(resolver, one) for name, one in value.items()}
    return {name: one for name, one in members.items() if one != _NO_VALUE}
