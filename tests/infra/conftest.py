"""Load the templates as data."""

from typing import Any

import pytest
from tests.support import templates


@pytest.fixture(scope="session")
def template() -> dict[str, Any]:
    """Provide template.yaml."""
    return templates.load("template.yaml")


@pytest.fixture(scope="session")
def resources(template: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Provide the template's resources by logical id."""
    return template["Resources"]  # type: ignore[no-any-return]


@pytest.fixture(scope="session")
def watch() -> dict[str, Any]:
    """Provide infra/nested/watch.yaml: alarms and the dashboard."""
    return templates.load("infra/nested/watch.yaml")
