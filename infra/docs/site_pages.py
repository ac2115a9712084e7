"""Decide where the repository's files lie in the site of the documentation, and rewrite links accordingly.

Pages link to each other by their places in the repository, so that GitHub shows them. The site has docs/ at its root,
and chosen pages beside it.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

OUTSIDE: Final[Mapping[str, str]] = {
    "README.md": "about.md",
    "ARCHITECTURE.md": "ARCHITECTURE.md",
    "BENCHMARKS.md": "BENCHMARKS.md",
    "CHANGELOG.md": "CHANGELOG.md",
    "CODE_OF_CONDUCT.md": "CODE_OF_CONDUCT.md",
    "CONTRIBUTING.md": "CONTRIBUTING.md",
    "SECURITY.md": "report-a-vulnerability.md",
    "protocol/PROTOCOL.md": "protocol/PROTOCOL.md",
    "infra/agent/README.md": "infra/agent/README.md",
}
"""The place in the site of each page outside docs/. SECURITY.md would meet docs/security.md on some disks."""

_CODE: Final = re.compile(r"`[^`]+`")
_TABLE_ROW: Final = re.compile(r"^\|.*$", re.MULTILINE)
_INSIDE: Final = "docs/"
_LINK: Final = re.compile(r"""(\]\(|(?:src|srcset)=")([^()\s"#]+)((?:#[^()\s"]*)?)(?=[)"])""")


def repository_path(site_path: str) -> str:
    """Return the path in the repository of a page of the site."""
    for source, target in OUTSIDE.items():
        if target == site_path:
            return source
    return _INSIDE + site_path


def site_path(repository_path: str) -> str:
    """Return the path in the site of a file of the repository."""
    if repository_path in OUTSIDE:
        return OUTSIDE[repository_path]
    return repository_path.removeprefix(_INSIDE)


def relinked(markdown: str, page: str, home: Path) -> str:
    """Return a page with links that fit the site. Of a link to a folder, only the text stays.

    GitHub wants a backslash before a pipe in a table's code, where MkDocs shows it.

    Args:
        markdown: the page.
        page: its path in the repository.
        home: the folder of the checkout.
    """
    here = posixpath.dirname(site_path(page))

    def moved(found: re.Match[str]) -> str:
        target = _target(found[2], page)
        if target is None or not (home / target).is_file():
            return found[0]
        return found[1] + posixpath.relpath(site_path(target), here or ".") + found[3]

    markdown = _TABLE_ROW.sub(lambda row: _CODE.sub(lambda code: code[0].replace(r"\|", "|"), row[0]), markdown)
    without_folders = re.sub(
        r"(?<!!)\[([^\[\]]+)\]\(([^()\s#]+)\)", lambda found: _text_of_folder(found, page, home), markdown
    )
    return _LINK.sub(moved, without_folders)


def links_out(markdown: str, page: str, home: Path) -> Iterator[str]:
    """Yield the files outside docs/ that a page links to and that are no pages of the site."""
    for _, link, _ in _LINK.findall(markdown):
        target = _target(link, page)
        if target and not target.startswith(_INSIDE) and target not in OUTSIDE and (home / target).is_file():
            yield target


def _text_of_folder(found: re.Match[str], page: str, home: Path) -> str:
    target = _target(found[2], page)
    return found[1] if target is not None and (home / target).is_dir() else found[0]


def _target(link: str, page: str) -> str | None:
    """Return the path in the repository that a link leads to; None for an address, or beyond the repository."""
    if re.match(r"[a-z][a-z0-9+.-]*:", link) or link.startswith("/"):
        return None
    target = posixpath.normpath(posixpath.join(posixpath.dirname(page), link))
    return None if target.startswith("..") else target
