"""Check the Markdown pages: line length, links, sentence length and table cells.

`python -m infra.checks.markdown` is part of `make check`. It checks every page of the checkout for:

* lines over 100 columns, except in tables and code blocks, and where one unbreakable word (an address) is that long;
* relative links to a file or a heading that does not exist;
* table cells over 120 characters of text;
* sentences over 40 words, on the pages that people read from start to end (README, ARCHITECTURE, docs and so on).

An exception needs a reason in `EXCEPTIONS`. An exception that matches nothing is reported too.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

from markdown_it import MarkdownIt
from markdown_it.token import Token

HOME: Final = Path(__file__).resolve().parents[2]

MAX_LINE: Final = 100
LONGEST_WORD: Final = 80
"""Characters of a word above which its line may be longer: an address cannot be wrapped."""

MAX_CELL: Final = 120
MAX_SENTENCE_WORDS: Final = 40

PROSE: Final = ("README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "SECURITY.md", "docs/")
"""Pages whose sentences are measured: paths, and folders that end with a slash."""

EXCEPTIONS: Final[Mapping[tuple[str, str], str]] = {}
"""The reason why something may be longer, by page and beginning of the sentence or cell."""

_FOLDERS_OF_TOOLS: Final = frozenset({"node_modules", "dist", "test-results"})
_SENTENCE_END: Final = re.compile(r"(?<=[.!?])[)\"'”’*_]{0,3}\s+")
_ANCHOR_IN_HTML: Final = re.compile(r"<a\s+(?:id|name)=[\"']([^\"']+)[\"']")


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """What is wrong with a page, and where."""

    page: str
    line: int
    message: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}: {self.message}"


@dataclass(frozen=True, slots=True)
class _Block:
    """Text that one block of a page shows, without markup and link targets."""

    line: int
    text: str


class Page:
    """One parsed Markdown page."""

    def __init__(self, home: Path, path: Path) -> None:
        self.path = path
        self.name = path.relative_to(home).as_posix()
        self.source = path.read_text("utf-8")
        self.tokens = MarkdownIt("commonmark").enable(["table", "strikethrough"]).parse(self.source)

    def long_lines(self) -> Iterator[Problem]:
        """Yield the lines over the width, outside tables and code."""
        lines = self.source.splitlines()
        exempt = {
            number
            for token in self.tokens
            if token.map is not None and token.type in {"table_open", "fence", "code_block", "html_block"}
            for number in range(*token.map)
        }
        for number, line in enumerate(lines):
            longest = max((len(word) for word in line.split()), default=0)
            if number not in exempt and len(line) > MAX_LINE and longest <= LONGEST_WORD:
                yield Problem(self.name, number + 1, f"{len(line)} columns: wrap the line at {MAX_LINE}")

    def links(self) -> Iterator[tuple[int, str]]:
        """Yield line and target of each link and image."""
        for block in self.tokens:
            for token in block.children or ():
                target = token.attrGet("href") if token.type == "link_open" else token.attrGet("src")
                if target is not None:
                    yield _line_of(block), str(target)

    def anchors(self) -> set[str]:
        """Return the anchors of the page's headings, as GitHub makes them, and those that its HTML names."""
        found = set(_ANCHOR_IN_HTML.findall(self.source))
        for opening, content in pairwise(self.tokens):
            if opening.type == "heading_open":
                slug = anchor = slug_of(_text_of(content))
                repeated = 0
                while anchor in found:
                    repeated += 1
                    anchor = f"{slug}-{repeated}"
                found.add(anchor)
        return found

    def cells(self) -> Iterator[_Block]:
        """Yield the cells of the page's tables."""
        line = 0
        for opening, content in pairwise(self.tokens):
            if opening.type == "tr_open":
                line = _line_of(opening)
            if opening.type in {"td_open", "th_open"}:
                yield _Block(line, _text_of(content))

    def sentences(self) -> Iterator[_Block]:
        """Yield the sentences of the page's paragraphs, list items and cells."""
        blocks = [_Block(_line_of(token), _text_of(token)) for token in self.tokens if token.type == "inline"]
        for block in blocks:
            for sentence in _SENTENCE_END.split(block.text):
                yield _Block(block.line, sentence)


def _line_of(token: Token) -> int:
    return token.map[0] + 1 if token.map is not None else 0


def _text_of(token: Token) -> str:
    """Return what a block shows, with line breaks as spaces."""
    return "".join(
        " " if child.type in {"softbreak", "hardbreak"} else "" if child.type == "html_inline" else child.content
        for child in token.children or ()
    ).strip()


def slug_of(heading: str) -> str:
    """Return a heading's anchor by GitHub's rule: lower case, no punctuation, a hyphen for each space."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def pages_of(home: Path) -> list[Page]:
    """Return the checkout's pages, without those that tools install."""
    return [
        Page(home, path)
        for path in sorted(home.rglob("*.md"))
        if not any(
            part in _FOLDERS_OF_TOOLS or (part.startswith(".") and part != ".github")
            for part in path.relative_to(home).parts
        )
    ]


def problems_of(home: Path, pages: Iterable[Page], exceptions: Mapping[tuple[str, str], str]) -> list[Problem]:
    """Return everything that is wrong with some pages, by page and line.

    Args:
        home: the folder of the checkout, which no link may leave.
        pages: the pages to check.
        exceptions: reasons by page and beginning of the sentence or cell that may be longer.
    """

    @cache
    def anchors_at(path: Path) -> set[str]:
        return Page(home, path).anchors()

    problems: list[Problem] = []
    used: set[tuple[str, str]] = set()

    def report(page: Page, block: _Block, message: str) -> None:
        matching = {key for key in exceptions if key[0] == page.name and block.text.startswith(key[1])}
        used.update(matching)
        if not matching:
            problems.append(Problem(page.name, block.line, f"{message}: “{block.text[:60]}…”"))

    for page in pages:
        problems += page.long_lines()
        for line, target in page.links():
            problem = _link_problem(home, page, target, anchors_at)
            if problem is not None:
                problems.append(Problem(page.name, line, problem))
        for cell in page.cells():
            if len(cell.text) > MAX_CELL:
                report(page, cell, f"a table cell of {len(cell.text)} characters: make it a headed section")
        if page.name.startswith(PROSE):
            for sentence in page.sentences():
                words = len(sentence.text.split())
                if words > MAX_SENTENCE_WORDS:
                    report(page, sentence, f"a sentence of {words} words: split it")
    for page_name, beginning in exceptions.keys() - used:
        problems.append(Problem(page_name, 0, f"nothing too long begins so, remove its exception: “{beginning}”"))
    return sorted(problems)


def _link_problem(home: Path, page: Page, target: str, anchors_at: Callable[[Path], set[str]]) -> str | None:
    """Return what is wrong with a link; None when it is an address or leads to something that exists."""
    parts = urlsplit(target)
    if parts.scheme or parts.netloc:
        return None
    path = (page.path.parent / unquote(parts.path)).resolve() if parts.path else page.path
    if not path.is_relative_to(home) or not path.exists():
        return f"the link {target} leads to no file"
    if parts.fragment and path.suffix == ".md" and unquote(parts.fragment) not in anchors_at(path):
        return f"the link {target} leads to no heading of {path.relative_to(home)}"
    return None


def main() -> int:
    """Check every page of this checkout; print what to mend."""
    pages = pages_of(HOME)
    problems = problems_of(HOME, pages, EXCEPTIONS)
    for problem in problems:
        print(problem, file=sys.stderr)
    print(f"{len(pages)} Markdown pages, {len(problems)} problems")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
