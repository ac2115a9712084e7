"""Load the templates as data."""

from typing import Any

import pytest
from tests.support import templates


def taken(node: Any, *, own_data: bool) -> Any:
    """Return a part of the template as it is with tables of its own, or over those of an earlier deployment.

    The viewer is served by CloudFront, as it is by default.
    """
    if isinstance(node, dict):
        match node.get("Fn::If"):
            case ["OwnData", own, existing]:
                return taken(own if own_data else existing, own_data=own_data)
            case ["ByCloudFront", distributed, _]:
                return taken(distributed, own_data=own_data)
        return {name: taken(value, own_data=own_data) for name, value in node.items()}
    return [taken(value, own_data=own_data) for value in node] if isinstance(node, list) else node


@pytest.fixture(scope="session")
def written_template() -> dict[str, Any]:
    """Provide template.yaml as it is written."""
    return templates.load("template.yaml")


@pytest.fixture(scope="session")
def template(written_template: dict[str, Any]) -> dict[str, Any]:
    """Provide template.yaml as it is by default, with tables and an archive of its own."""
    return taken(written_template, own_data=True)  # type: ignore[no-any-return]


@pytest.fixture(scope="session")
def adopting_resources(written_template: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Provide the resources of a deployment over the data of an earlier one."""
    resources: dict[str, dict[str, Any]] = taken(written_template, own_data=False)["Resources"]
    return {name: resource for name, resource in resources.items() if resource.get("Condition") != "OwnData"}


@pytest.fixture(scope="session")
def resources(template: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Provide the template's resources by logical id."""
    return template["Resources"]  # type: ignore[no-any-return]


@pytest.fixture(scope="session")
def watch() -> dict[str, Any]:
    """Provide infra/nested/watch.yaml: alarms and the dashboard."""
    return templates.load("infra/nested/watch.yaml")
