"""Render the agent's settings and metrics as pages: docs/agent-settings.md and docs/agent-metrics.md.

`make generate` writes both.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic_core import PydanticUndefined

from .edge.metrics import Metrics
from .settings import Settings

_HEAD = """# The agent's settings

Each may be given as a flag (`--flush-interval 5`), in the environment (`LOGFERRY_FLUSH_INTERVAL=5`) or in a TOML file
(`flush_interval = 5`) named by `--config` or `LOGFERRY_CONFIG_FILE`; flags win over the environment, and that over the
file. The key is never a flag: it would show in the list of processes. `logferry agent --check-config` validates and
prints what counts.

Sizes may be written `512m`, `1g`; lists with commas.

| setting | default | meaning |
|---|---|---|
"""


def page() -> str:
    """The page, in Markdown."""
    rows = [
        f"| `{name}` | {_default(field.default)} | {_cell(field.description or '')} |"
        for name, field in Settings.model_fields.items()
    ]
    return _HEAD + "\n".join(rows) + "\n"


_METRICS_HEAD = """# The agent's metrics

Served in Prometheus' text format at `/metrics`, where the setting `metrics_address` says; beside it `/healthz` (503
with the reasons while something keeps the agent from its work) and `/readyz` (200 while it is connected and well).
Names follow vector's instrumentation specification.

| metric | kind | meaning |
|---|---|---|
"""


def metrics_page() -> str:
    """The page of metrics, in Markdown."""
    rows = []
    for family in Metrics().registry.collect():
        name = f"{family.name}_total" if family.type == "counter" else family.name
        rows.append(f"| `{name}` | {family.type} | {_cell(family.documentation)} |")
    return _METRICS_HEAD + "\n".join(rows) + "\n"


def _default(value: Any) -> str:
    if value is PydanticUndefined:
        return "needed"
    if value is None or value in ([], ""):
        return ""
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, int) and value >= 1 << 20 and value % (1 << 20) == 0:
        return f"`{value >> 20}m`" if value % (1 << 30) else f"`{value >> 30}g`"
    return f"`{value.as_posix() if isinstance(value, Path) else value}`"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
