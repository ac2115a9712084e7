"""The commands that the documentation shows, and which of them are run as they stand there."""

from __future__ import annotations

import re
import shlex
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

import typer
from markdown_it import MarkdownIt

from logferry_cli.app import COMMANDS, build

ROOT: Final = Path(__file__).parents[2]
PAGES: Final = sorted(
    [
        *(page for page in (ROOT / "docs").glob("*.md") if page.name != "renamed.md"),
        ROOT / "README.md",
        ROOT / "infra" / "agent" / "README.md",
    ]
)

PROGRAMS: Final = frozenset(
    {
        *("apt-get", "aws", "cd", "chmod", "curl", "docker", "export", "git", "journalctl", "jq", "loginctl"),
        *("logferry", "logferry-agent", "make", "npm", "npx", "pip", "pipx", "podman", "python", "python3", "sam"),
        *("sudo", "systemctl", "uv"),
    }
)
"""What a line of code must begin with to be a command."""

LITERAL: Final = frozenset(
    ("jobs", "tail", "export", "verify", "share", "delete", "keys", "roles", "quota", "doctor", "replay", "cost")
)
"""The commands of `logferry` that tests/integration/permissions/test_documented_commands.py runs as they are shown."""

TABLE: Final = tomllib.loads((ROOT / "tests" / "contract" / "documented_commands.toml").read_text())
"""The tests that run other commands, and the reasons why some are not run. An entry counts before `LITERAL`."""

_ASSIGNMENTS: Final = re.compile(r"^(?:[A-Z_]+=\S* +)+")


@dataclass(frozen=True, slots=True)
class DocumentedCommand:
    """One command on one page, in one line and without the path of its program."""

    text: str
    page: str

    @property
    def words(self) -> list[str]:
        return shlex.split(self.text)

    @property
    def literal(self) -> bool:
        """Whether a test runs it as it stands there."""
        if self.entry is not None:
            return False
        words = self.words
        return words[0] == "aws" or (words[0] == "logferry" and len(words) > 1 and words[1] in LITERAL)

    @property
    def entry(self) -> str | None:
        """The key of its entry in the table."""
        keys = [*TABLE["run"], *TABLE["not_run"]]
        return next((key for key in keys if matches(key, self.text)), None)


def matches(key: str, text: str) -> bool:
    """Whether an entry is a command's. `*` at its end stands for any rest."""
    return text.startswith(key[:-1]) if key.endswith("*") else text == key


def documented_commands() -> list[DocumentedCommand]:
    """Return every command of every page once, in the order of the pages."""
    found: dict[str, DocumentedCommand] = {}
    for page in PAGES:
        for code in _code_of(page):
            for text in commands_of(code):
                if not is_name(text):
                    found.setdefault(text, DocumentedCommand(text, page.relative_to(ROOT).as_posix()))
    return list(found.values())


def _code_of(page: Path) -> Iterator[str]:
    """Yield the lines of a page's blocks of code, with continuation lines joined, and its code within text."""
    for token in MarkdownIt().enable("table").parse(page.read_text()):
        if token.type == "code_block" or (token.type == "fence" and token.info in {"", "sh", "bash", "console"}):
            yield from token.content.replace("\\\n", " ").splitlines()
        for child in token.children or ():
            if child.type == "code_inline":
                yield child.content


def commands_of(code: str) -> Iterator[str]:
    """Yield the commands of a line: those that `&&` and parentheses join are several."""
    line = re.sub(r"\s+#\s.*$", "", code.strip().removeprefix("$ "))
    for part in re.split(r"&&|;|\||[()](?=\s|$)|^\(", line.replace("\\|", "|")):
        text = _ASSIGNMENTS.sub("", re.sub(r"\s+", " ", part).strip()).removeprefix(".venv/bin/")
        program, _, rest = text.partition(" ")
        if program in PROGRAMS and rest and not re.match(r"[A-Z]?[a-z]+:", rest) and _splits(text):
            yield text


def _splits(text: str) -> bool:
    try:
        return bool(shlex.split(text))
    except ValueError:
        return False


@cache
def is_name(text: str) -> bool:
    """Whether a text only names a command, which could not run without arguments: `logferry keys create`."""
    words = text.split()
    if words[0] == "export" and words[1].startswith("-"):
        return True  # of `logferry export`, named above
    if words[0] != "logferry" or len(words) < 2 or words[1] not in COMMANDS:
        return words[0] in {"docker", "sam", "uv", "pipx", "npm", "export"} and len(words) == 2 and words[1][0] != "-"
    command: Any = typer.main.get_command(build(words[1:]))
    for word in words[1:]:
        if word not in getattr(command, "commands", {}):
            return False
        command = command.commands[word]
    return bool(getattr(command, "commands", None)) or any(one.required for one in command.params)
