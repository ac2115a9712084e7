"""Test which kept data a new stack takes over."""

from __future__ import annotations

from typing import Any

import pytest
from tests.support.clouds import table_definitions

from logferry_cli.deploy import adoption
from logferry_cli.deploy.adoption import KeptData
from logferry_cli.deploy.template import DATA, EXISTING
from logferry_cli.problems import Problem

KEPT = KeptData("s-LogTable-A", "s-RegistryTable-B", "s-archivebucket-c")


def described(logical: str, name: str, **more: Any) -> dict[str, Any]:
    """Return a table of the template as DescribeTable has it."""
    definition = table_definitions()[logical]
    return {
        "TableName": name,
        "TableStatus": "ACTIVE",
        "KeySchema": definition["KeySchema"],
        "GlobalSecondaryIndexes": definition.get("GlobalSecondaryIndexes", []),
        "StreamSpecification": {"StreamEnabled": True, "StreamViewType": "NEW_IMAGE"},
        "LatestStreamArn": f"arn:{name}",
    } | more


def test_templates_own_tables_are_adopted_with_their_streams() -> None:
    """A changed key or index of the template fails here."""
    found = adoption.parameters_of(
        KEPT, described("LogTable", "s-LogTable-A"), described("RegistryTable", "s-RegistryTable-B")
    )
    assert found == {
        "ExistingLogTable": "s-LogTable-A",
        "ExistingLogStream": "arn:s-LogTable-A",
        "ExistingRegistryTable": "s-RegistryTable-B",
        "ExistingRegistryStream": "arn:s-RegistryTable-B",
        "ExistingArchiveBucket": "s-archivebucket-c",
    }
    assert set(found) == set(EXISTING)


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({"KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}]}, "no registry table of Logferry .its keys are id"),
        ({"TableStatus": "DELETING"}, "is DELETING"),
        ({"GlobalSecondaryIndexes": []}, "lacks the index by_shard, by_target"),
        ({"StreamSpecification": {}}, "has no stream of new images"),
        (
            {"StreamSpecification": {"StreamEnabled": True, "StreamViewType": "KEYS_ONLY"}},
            "has no stream of new images",
        ),
    ],
)
def test_table_that_cannot_serve_is_refused(more: dict[str, Any], reason: str) -> None:
    with pytest.raises(Problem, match=reason):
        adoption.parameters_of(KEPT, described("LogTable", "a"), described("RegistryTable", "b", **more))


def test_swapped_tables_are_refused() -> None:
    with pytest.raises(Problem, match="no log table"):
        adoption.parameters_of(KEPT, described("RegistryTable", "a"), described("LogTable", "b"))


def resource(logical: str, physical: str, status: str = "DELETE_SKIPPED") -> dict[str, str]:
    return {"LogicalResourceId": logical, "PhysicalResourceId": physical, "ResourceStatus": status}


def test_deleted_stack_tells_what_it_kept() -> None:
    kept = [resource(name, f"physical-{name}") for name in DATA]
    assert adoption.of_resources([*kept, resource("Query", "q")], {}) == KeptData(
        "physical-LogTable", "physical-RegistryTable", "physical-ArchiveBucket"
    )
    assert adoption.of_resources(kept[:2], {}) is None


def test_deleted_stack_over_adopted_data_tells_its_parameters() -> None:
    """The data was not among its resources."""
    named = {
        "ExistingLogTable": "a",
        "ExistingRegistryTable": "b",
        "ExistingArchiveBucket": "c",
        "ExistingLogStream": "x",
    }
    assert adoption.of_resources([resource("Query", "q")], named) == KeptData("a", "b", "c")


def test_names_tell_when_there_is_one_of_each() -> None:
    tables = ["s-LogTable-1", "s-RegistryTable-2", "other-LogTable-3", "s-LogTables"]
    assert adoption.of_names("s", tables, ["s-archivebucket-4", "x"]) == KeptData(
        "s-LogTable-1", "s-RegistryTable-2", "s-archivebucket-4"
    )
    assert adoption.of_names("s", tables[:1], []) is None
    with pytest.raises(Problem, match="s-LogTable-1, s-LogTable-9"):
        adoption.of_names("s", [*tables, "s-LogTable-9"], [])


def test_parameters_name_all_three_or_none() -> None:
    named = {"ExistingLogTable": "a", "ExistingRegistryTable": "b", "ExistingArchiveBucket": "c"}
    assert adoption.of_parameters(named) == KeptData("a", "b", "c")
    assert adoption.of_parameters({"Days": "1"}) is None
    with pytest.raises(Problem, match="not ExistingArchiveBucket"):
        adoption.of_parameters({**named, "ExistingArchiveBucket": ""})
