"""Test that the docs name folders, files, commands, options, make targets and variables that exist."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import typer

from logferry_agent.__main__ import build_parser
from logferry_agent.settings import Settings
from logferry_cli import agent_install
from logferry_cli.app import COMMANDS, build

ROOT = Path(__file__).parents[2]
PAGES = [
    ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md", "ARCHITECTURE.md", "infra/agent/README.md")
] + sorted((ROOT / "docs").glob("*.md"))
OLD_NAMES = {"renamed.md"}
"""Pages that name what existed before."""


MIRRORS = ("tests/unit/", "tests/integration/", "web/tests/", "infra/targets/")
"""Folders below these need no line of their own: the map says what they all are."""


def _folders() -> set[str]:
    """Folders with files that git keeps, or would keep once they are added."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    return {str(Path(file).parent) + "/" for file in listed if (ROOT / file).exists()} - {"./"}


def test_architecture_map_names_every_folder_and_no_other() -> None:
    page = (ROOT / "ARCHITECTURE.md").read_text()
    named = set(re.findall(r"^\| `([^`]+/)` \|", page, re.MULTILINE))
    folders = _folders()
    missing = {one for one in folders - named if not any(one.startswith(mirror) for mirror in MIRRORS)}
    assert missing == set(), "ARCHITECTURE.md, The folders: add a line for each"
    assert {one for one in named if not (ROOT / one).is_dir()} == set()


def test_architecture_names_files_that_exist() -> None:
    """Every path in the table "Find the code"."""
    section = (ROOT / "ARCHITECTURE.md").read_text().split("## Find the code", 1)[1].split("\n## ", 1)[0]
    for row in section.splitlines():
        paths = re.findall(r"`([\w./]+\.(?:py|ts|tsx))`", row)
        for path in paths:
            assert (ROOT / path).is_file(), path
    assert section.count(".py`") >= 10


@cache
def command_at(words: tuple[str, ...]) -> Any:
    """Return the command of some words after `logferry`, or None when there is none."""
    command: Any = typer.main.get_command(build(words))
    for word in words:
        command = getattr(command, "commands", {}).get(word)
    return command


def code_of(page: Path) -> Iterator[str]:
    """Yield a page's code: spans in backticks, and lines of code blocks with their continuation lines."""
    text = page.read_text()
    blocks = re.findall(r"^```.*?\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    blocks += re.findall(r"(?:^(?: {4,}).*\n)+", text, re.MULTILINE)
    for block in blocks:
        yield from block.replace("\\\n", " ").splitlines()
    yield from re.findall(r"`([^`\n]+)`", text)


def commands_of(page: Path) -> Iterator[tuple[tuple[str, ...], list[str]]]:
    """Yield the words of each `logferry` command on a page, and its options."""
    for code in code_of(page):
        for found in re.findall(r"(?:^|[\s(/])logferry ([a-z][^|;#&]*)", code):
            words = found.split()
            if words[0] not in COMMANDS:
                continue
            names: tuple[str, ...] = (words[0],)
            while len(words) > len(names) and command_at((*names, words[len(names)])) is not None:
                names = (*names, words[len(names)])
            yield names, [word.strip("[]=,.").partition("=")[0] for word in words if word.startswith(("-", "[-"))]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_documented_commands_and_options_exist(page: Path) -> None:
    for names, options in commands_of(page):
        command = command_at(names)
        assert command is not None, f"logferry {' '.join(names)}"
        if names[0] == "agent":
            parsers = [build_parser(), *(agent_install.build_parser(command) for command in agent_install.DESCRIPTIONS)]
            known = {option for parser in parsers for action in parser._actions for option in action.option_strings}
        else:
            known = {option for one in command.params for option in (*one.opts, *one.secondary_opts)} | {"--help", "-h"}
        assert set(options) <= known, f"logferry {' '.join(names)}"


def test_commands_are_found() -> None:
    """The page about reading logs names at least these; otherwise the test above checks nothing."""
    found = {names for page in PAGES for names, _ in commands_of(page)}
    assert {("tail",), ("export",), ("keys", "create", "agent"), ("roles", "rebind"), ("share", "list")} <= found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_documented_make_targets_and_npm_scripts_exist(page: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    scripts = set(re.findall(r'^    "([a-z-]+)": ', (ROOT / "web" / "package.json").read_text(), re.MULTILINE))
    for code in code_of(page):
        assert set(re.findall(r"(?:^|\$ )make ([a-z-]+)", code)) <= targets, code
        assert set(re.findall(r"npm run (?:--silent )?([a-z-]+)", code)) <= scripts, code


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_documented_variables_and_parameters_exist(page: Path) -> None:
    if page.name in OLD_NAMES:
        return
    sources = "".join(path.read_text() for path in sorted((ROOT / "cli" / "logferry_cli").glob("*.py")))
    known = {"LOGFERRY_CONFIG_FILE", *(f"LOGFERRY_{field.upper()}" for field in Settings.model_fields)} | set(
        re.findall(r"LOGFERRY_[A-Z_]+", sources)
    )
    assert set(re.findall(r"LOGFERRY_[A-Z_]+[A-Z]", page.read_text())) <= known
    template = (ROOT / "template.yaml").read_text()
    parameters = set(re.findall(r"`([A-Z][a-z]+(?:[A-Z][a-z]+)+)(?:=[^`]*)?`", page.read_text()))
    assert {
        one for one in parameters if one.endswith(("Days", "Regions", "Topic", "Url", "Bucket", "Database"))
    } <= set(re.findall(r"^  ([A-Za-z]+):", template, re.MULTILINE))


@pytest.mark.parametrize(
    "page",
    [ROOT / "ARCHITECTURE.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("**/*.md"))],
    ids=lambda page: page.name,
)
def test_documented_files_exist(page: Path) -> None:
    """A path in backticks that begins with a top folder of this repository."""
    if page.name in OLD_NAMES:
        return
    tops = "agent|bench|cli|docs|functions|infra|protocol|tests|web"
    for path in re.findall(rf"`((?:{tops})/[\w./-]+\.[a-z]+)`", page.read_text()):
        assert (ROOT / path).is_file(), path


@cache
def words_in(*patterns: str) -> frozenset[str]:
    """Return every identifier-like word of the files that match."""
    files = [path for pattern in patterns for path in ROOT.glob(pattern)]
    return frozenset(word for path in files for word in re.findall(r"\w+", path.read_text()))


def test_glossary_words_are_in_use() -> None:
    """Words of the columns wire, code and viewer, where they are one word in backticks."""
    columns = {
        1: words_in("protocol/PROTOCOL.md", "protocol/schema.json"),
        2: words_in("agent/**/*.py", "cli/**/*.py", "functions/**/*.py", "protocol/**/*.py", "template.yaml"),
        4: words_in("web/src/**/*.ts", "web/src/**/*.tsx"),
    }
    rows = [
        row.strip("|").split("|") for row in (ROOT / "docs" / "glossary.md").read_text().splitlines() if row[:1] == "|"
    ]
    assert len(rows) > 40
    for row in rows:
        for column, known in columns.items():
            for word in re.findall(r"`(\w+)`", row[column]):
                assert word in known, f"{row[0].strip()}: {word}"


def test_readme_is_short_and_its_pictures_are_small() -> None:
    text = (ROOT / "README.md").read_text()
    assert len(text.splitlines()) <= 120
    pictures = re.findall(r'(?:src|srcset)="([^"]+)"', text)
    assert len(pictures) == 2
    assert max((ROOT / picture).stat().st_size for picture in pictures) < 250_000


@pytest.mark.parametrize("folder", ["docs", "docs/adr"])
def test_index_lists_every_page(folder: str) -> None:
    index = (ROOT / folder / "README.md").read_text()
    pages = {path.name for path in (ROOT / folder).glob("*.md")} - {"README.md"}
    assert {page for page in pages if f"({page})" not in index} == set()


def test_readme_shows_the_steps_that_the_demo_prints() -> None:
    sources = "".join(
        path.read_text() for folder in ("cli/logferry_cli", "infra/local") for path in (ROOT / folder).rglob("*.py")
    )
    steps = re.findall(r"^    ✓ (.+) [\d.]+ s$", (ROOT / "README.md").read_text(), re.MULTILINE)
    assert len(steps) == 9
    assert [step for step in steps if f'"{step}"' not in sources] == []
