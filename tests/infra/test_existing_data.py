"""Test that a deployment over the data of an earlier one uses that data everywhere, and owns none of it."""

from __future__ import annotations

import json
import re
from typing import Any

Resources = dict[str, dict[str, Any]]
DATA = {"LogTable", "RegistryTable", "ArchiveBucket"}


def references(node: Any) -> set[str]:
    """Return the logical ids and parameters that a part of the template names."""
    text = json.dumps(node)
    named = re.findall(r'"(?:Ref|Fn::GetAtt)": "(\w+)', text) + re.findall(r"\$\{(\w+)[.}]", text)
    return set(named)


def test_data_is_created_only_without_existing_data(written_template: dict[str, Any]) -> None:
    """With it, the three resources are not in the stack, so no update can replace or delete them."""
    conditional = {name for name, one in written_template["Resources"].items() if one.get("Condition") == "OwnData"}
    assert conditional == DATA
    assert written_template["Conditions"]["OwnData"] == {"Fn::Equals": [{"Ref": "ExistingLogTable"}, ""]}


def test_nothing_names_the_stacks_own_data_over_existing_data(adopting_resources: Resources) -> None:
    """CloudFormation refuses a reference to a resource whose condition is false."""
    assert {name: found for name, one in adopting_resources.items() if (found := references(one) & DATA)} == {}


def test_default_names_no_existing_data(resources: Resources) -> None:
    """A deployment of its own must not depend on empty parameters."""
    found = {name for one in resources.values() for name in references(one) if name.startswith("Existing")}
    assert found == set()


def test_both_forms_name_the_same_things(resources: Resources, adopting_resources: Resources) -> None:
    """Each place that names a table, stream or bucket of the stack names the existing one instead."""
    for name, one in adopting_resources.items():
        text = json.dumps(one)
        for kind in ("Log", "Registry"):
            theirs = text.count(f"Existing{kind}Stream")
            assert theirs == json.dumps(resources[name]).count(f"{kind}Table.StreamArn"), name
        assert text.count("ExistingArchiveBucket") == len(
            re.findall(r'"ArchiveBucket["."]|\$\{ArchiveBucket[.}]', json.dumps(resources[name]))
        ), name


def test_policies_name_existing_data_by_whole_arns(adopting_resources: Resources) -> None:
    """A name alone is no resource of a statement."""
    for name, one in adopting_resources.items():
        if one["Type"] != "AWS::IAM::Role":
            continue
        for policy in one["Properties"]["Policies"]:
            for statement in policy["PolicyDocument"]["Statement"]:
                listed = statement["Resource"] if isinstance(statement["Resource"], list) else [statement["Resource"]]
                for resource in listed:
                    text = resource.get("Fn::Sub", "")
                    if "Existing" in text:
                        whole = r"arn:\$\{AWS::Partition\}:(dynamodb|s3):.*\$\{Existing(Log|Registry)Table\}(/.*)?"
                        bucket = r"arn:\$\{AWS::Partition\}:s3:::\$\{ExistingArchiveBucket\}(/.*)?"
                        stream = r"\$\{Existing(Log|Registry)Stream\}"
                        assert re.fullmatch(f"{whole}|{bucket}|{stream}", text), (name, text)
