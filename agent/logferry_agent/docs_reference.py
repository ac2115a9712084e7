"""Render the agent's settings and metrics as pages: docs/agent-settings.md and docs/agent-metrics.md.

`make generate` writes both.
"""

from __future__ import annotations

import re
from pathlib import Path
from textwrap import fill
from typing import Any, Final

from pydantic_core import PydanticUndefined

from .edge.metrics import Metrics
from .settings import Settings

_COLUMNS: Final = 100
"""How wide Markdown may be (see infra/checks/markdown.py)."""

_SETTINGS_HEAD = """# The agent's settings

There are three ways to give a setting. The first one that gives it counts:

1. a flag: `--flush-interval 5`
2. an environment variable: `LOGFERRY_FLUSH_INTERVAL=5`
3. a line of a TOML file: `flush_interval = 5`. `--config` or `LOGFERRY_CONFIG_FILE` names the file.

The key has no flag, because a flag would be visible in the list of processes.
`logferry agent --check-config` checks the settings and prints the effective ones.

Sizes may be written as `512m` or `1g`, and lists with commas.
"""

_METRICS_HEAD = """# The agent's metrics

The agent serves its metrics in Prometheus' text format at `/metrics`, on the address in the setting
`metrics_address`. The same address serves three pages for probes. Names follow vector's
instrumentation specification.

- `/healthz` answers 503, with the reasons, while something keeps the agent from working.
- `/readyz` answers 200 while the agent is connected and healthy.
- `/livez` answers 503 only where a restart of the agent helps. A cloud that refuses the agent is no
  such reason. `logferry agent health --live` asks for it.

| metric | kind | meaning |
|---|---|---|
"""


def page() -> str:
    """Return the page of settings in Markdown, a section for each."""
    sections = [_SETTINGS_HEAD]
    for name, field in Settings.model_fields.items():
        sections.append(f"## `{name}`\n\n{_wrapped(_default(field.default))}\n\n{_wrapped(field.description or '')}\n")
    return "\n".join(sections)


def metrics_page() -> str:
    """Return the page of metrics in Markdown, a row for each."""
    rows = []
    for family in Metrics().registry.collect():
        name = f"{family.name}_total" if family.type == "counter" else family.name
        meaning = family.documentation.replace("|", "\\|")
        rows.append(f"| `{name}` | {family.type} | {meaning} |")
    return _METRICS_HEAD + "\n".join(rows) + "\n"


def _default(value: Any) -> str:
    """Return a sentence about a setting's default."""
    if value is PydanticUndefined:
        return "Required."
    if value is None or value in ([], ""):
        return "Default: not set."
    if isinstance(value, list):
        return f"Default: {', '.join(f'`{one}`' for one in value)}."
    if isinstance(value, bool):
        return f"Default: `{str(value).lower()}`."
    if isinstance(value, int) and value >= 1 << 20 and value % (1 << 20) == 0:
        return f"Default: `{value >> 20}m`." if value % (1 << 30) else f"Default: `{value >> 30}g`."
    return f"Default: `{value.as_posix() if isinstance(value, Path) else value}`."


def _wrapped(text: str) -> str:
    """Return a paragraph, wrapped, with links to the other pages of docs."""
    linked = re.sub(r"docs/([\w-]+\.md)", r"[\1](\1)", text)
    return fill(linked, _COLUMNS, break_long_words=False, break_on_hyphens=False)
