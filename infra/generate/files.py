"""The registry: every file that is generated, its source, and the function that renders it."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from textwrap import indent

from logferry_agent.docs_reference import metrics_page, page
from logferry_protocol.schema import schema
from query.routes import openapi

from .event_sentences import events_table, gap_reasons_table, sentences_typescript
from .limits import limits_table, limits_typescript
from .runbook import runbook_page

HOME = Path(__file__).resolve().parents[2]


class GenerateError(Exception):
    """A file cannot be generated; the sentence says what to do."""


@dataclass(frozen=True, slots=True)
class GeneratedFile:
    """A file of which every byte is generated."""

    path: str
    source: str
    """What to edit instead."""
    render: Callable[[], str]

    def content(self, current: str) -> str:
        """Return what the file should contain."""
        return self.render()


@dataclass(frozen=True, slots=True)
class GeneratedSection(GeneratedFile):
    """A part of a file that people write, between two comments: `<!-- generated: NAME -->` and `<!-- end: NAME -->`."""

    name: str

    @property
    def comments(self) -> tuple[str, str]:
        """The lines before and after the section."""
        return f"<!-- generated: {self.name} -->\n", f"<!-- end: {self.name} -->\n"

    def content(self, current: str) -> str:
        """Return the file with a new section.

        Raises:
            GenerateError: the file does not have the two comments.
        """
        start, end = self.comments
        before, found_start, rest = current.partition(start)
        _, found_end, after = rest.partition(end)
        if not found_start or not found_end:
            raise GenerateError(f"{self.path} needs the lines {start.strip()} and {end.strip()}: add them")
        return f"{before}{start}{self.section(before)}{end}{after}"

    def section(self, _before: str) -> str:
        """Return the lines between the comments; `_before` is the file up to the first one."""
        return f"\n{self.render()}\n"


@dataclass(frozen=True, slots=True)
class GeneratedBlock(GeneratedSection):
    """A part of a file whose comments begin with `#`, between the comments `# generated: NAME` and `# end: NAME`."""

    @property
    def comments(self) -> tuple[str, str]:
        """The lines before and after the section."""
        return f"# generated: {self.name}\n", f"# end: {self.name}\n"

    def section(self, before: str) -> str:
        """Return the lines, and the space before the end's comment, indented as the first comment is."""
        space = before[before.rindex("\n") + 1 :]
        return indent(self.render(), space) + space


def _user_data() -> str:
    """Return the part of the EC2 user data that follows its values."""
    text = (HOME / "infra" / "agent" / "ec2-user-data.sh").read_text()
    return text[text.index("# A new instance's role") :]


def _schema_text() -> str:
    return json.dumps(schema(), indent=2, sort_keys=True) + "\n"


def _openapi_text() -> str:
    return json.dumps(openapi(), indent=2, ensure_ascii=False) + "\n"


def _protocol_types() -> str:
    """Return the TypeScript types of the messages.

    Raises:
        GenerateError: the program that makes them of the schema failed.
    """
    command = ["node", str(HOME / "web" / "scripts" / "protocol.mjs")]
    done = subprocess.run(command, input=_schema_text(), capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise GenerateError(f"web/scripts/protocol.mjs failed: {done.stderr.strip()}")
    return done.stdout


FILES: tuple[GeneratedFile, ...] = (
    GeneratedFile("docs/agent-settings.md", "agent/logferry_agent/settings.py", page),
    GeneratedFile("docs/agent-metrics.md", "agent/logferry_agent/edge/metrics.py", metrics_page),
    GeneratedFile("docs/openapi.json", "functions/query/routes.py", _openapi_text),
    GeneratedFile("protocol/schema.json", "protocol/logferry_protocol/", _schema_text),
    GeneratedSection("protocol/PROTOCOL.md", "protocol/logferry_protocol/limits.py", limits_table, "limits"),
    GeneratedSection("protocol/PROTOCOL.md", "protocol/logferry_protocol/events.py", events_table, "events"),
    GeneratedSection(
        "protocol/PROTOCOL.md", "protocol/logferry_protocol/event_sentences.py", gap_reasons_table, "gap reasons"
    ),
    GeneratedFile(
        "web/src/text/eventSentences.ts", "protocol/logferry_protocol/event_sentences.py", sentences_typescript
    ),
    GeneratedBlock("infra/agent/ec2.yaml", "infra/agent/ec2-user-data.sh", _user_data, "user data"),
    GeneratedFile("web/public/runbook.html", "docs/alarms.md", runbook_page),
    GeneratedFile("web/src/limits.ts", "protocol/logferry_protocol/limits.py", limits_typescript),
    GeneratedFile("web/src/protocol.ts", "protocol/logferry_protocol/", _protocol_types),
)
