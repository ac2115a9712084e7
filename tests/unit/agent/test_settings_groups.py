"""Test that the groups of settings refuse a name that they do not have; a misspelled one would get its default."""

from __future__ import annotations

import pytest
from pydantic import BaseModel, ValidationError

from logferry_agent.core.container.filters import Selection
from logferry_agent.edge.readers import ReaderSettings
from logferry_agent.pipeline import PipelineSettings


@pytest.mark.parametrize("group", [Selection, ReaderSettings, PipelineSettings])
def test_unknown_setting_of_a_group_is_refused(group: type[BaseModel]) -> None:
    """As a dataclass would."""
    with pytest.raises(ValidationError, match="flush_interval_s"):
        group(flush_interval_s=1.0)
