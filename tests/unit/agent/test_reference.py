"""docs/agent-settings.md tells of every setting, as it is."""

from pathlib import Path

from logferry_agent.reference import page

PAGE = Path(__file__).parents[3] / "docs" / "agent-settings.md"


def test_the_committed_page_is_the_settings_own() -> None:
    assert PAGE.read_text() == page(), "run: python -m logferry_agent.reference > docs/agent-settings.md"
