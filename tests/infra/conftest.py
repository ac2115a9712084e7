"""Load the template as data."""

from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]


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


@pytest.fixture(scope="session")
def template() -> dict[str, Any]:
    """Provide template.yaml."""
    return yaml.load((ROOT / "template.yaml").read_text(), _Loader)  # type: ignore[no-any-return]


@pytest.fixture(scope="session")
def resources(template: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Provide the template's resources by logical id."""
    return template["Resources"]  # type: ignore[no-any-return]


@pytest.fixture(scope="session")
def watch() -> dict[str, Any]:
    """Provide infra/nested/watch.yaml: alarms and the dashboard."""
    return yaml.load((ROOT / "infra" / "nested" / "watch.yaml").read_text(), _Loader)  # type: ignore[no-any-return]
