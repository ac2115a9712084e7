"""MkDocs' hooks: put the pages that lie outside docs/ into the site, and lead all links there.

MkDocs calls functions of these names. What is decided is in `site_pages`.
"""

from __future__ import annotations

import sys
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

HOME = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(HOME))

from infra.docs.site_pages import OUTSIDE, links_out, relinked, repository_path  # noqa: E402


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages outside docs/, and the other files of the repository that pages link to."""
    for source, target in OUTSIDE.items():
        files.append(File.generated(config, target, content=(HOME / source).read_text("utf-8")))
    linked = {
        path
        for page in files.documentation_pages()
        for path in links_out(page.content_string, repository_path(page.src_uri), HOME)
    }
    for path in sorted(linked):
        files.append(File.generated(config, path, abs_src_path=str(HOME / path)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Lead a page's links to where their targets lie in the site."""
    return relinked(markdown, repository_path(page.file.src_uri), HOME)
