"""Test that docs/agent-settings.md and docs/agent-metrics.md describe every setting and metric as it is."""

from pathlib import Path

from logferry_agent.docs_reference import metrics_page, page

DOCS = Path(__file__).parents[3] / "docs"


def test_committed_settings_page_is_current() -> None:
    committed = (DOCS / "agent-settings.md").read_text()
    assert committed == page(), "run: make generate"


def test_committed_metrics_page_is_current() -> None:
    committed = (DOCS / "agent-metrics.md").read_text()
    assert committed == metrics_page(), "run: make generate"
