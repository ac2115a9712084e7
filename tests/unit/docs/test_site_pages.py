"""Test where the repository's pages lie in the site of the documentation, and where their links lead."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from infra.docs.site_pages import OUTSIDE, links_out, relinked, repository_path, site_path

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize(
    ("page", "link", "moved"),
    [
        ("docs/deploy.md", "keys-and-roles.md", "keys-and-roles.md"),
        ("docs/deploy.md", "../ARCHITECTURE.md#invariants", "ARCHITECTURE.md#invariants"),
        ("docs/security.md", "../SECURITY.md", "report-a-vulnerability.md"),
        ("docs/adr/README.md", "../operate.md", "../operate.md"),
        ("docs/adr/README.md", "../../protocol/PROTOCOL.md#limits", "../protocol/PROTOCOL.md#limits"),
        ("README.md", "docs/deploy.md", "deploy.md"),
        ("README.md", "docs/README.md", "README.md"),
        ("infra/agent/README.md", "../../docs/keys-and-roles.md", "../../keys-and-roles.md"),
        ("infra/agent/README.md", "compose.yaml", "compose.yaml"),
        ("docs/deploy.md", "#upgrade", "#upgrade"),
        ("docs/deploy.md", "https://aws.amazon.com/", "https://aws.amazon.com/"),
    ],
)
def test_link_leads_to_the_same_page_in_the_site(page: str, link: str, moved: str) -> None:
    assert relinked(f"See [it]({link}).", page, ROOT) == f"See [it]({moved})."


def test_link_to_a_folder_keeps_only_its_text() -> None:
    assert relinked("See [the tests](../tests/contract).", "docs/deploy.md", ROOT) == "See the tests."


def test_pictures_move_with_their_page() -> None:
    source = '<img src="docs/pictures/viewer-light.png" alt="">'
    assert relinked(source, "README.md", ROOT) == '<img src="pictures/viewer-light.png" alt="">'


def test_escaped_pipe_in_the_code_of_a_table_is_shown_without_its_backslash() -> None:
    table = "| a | b |\n|---|---|\n| `x \\| y` | \\| |"
    assert relinked(table, "docs/deploy.md", ROOT) == "| a | b |\n|---|---|\n| `x | y` | \\| |"


def test_files_that_are_no_pages_come_along() -> None:
    page = "[Compose](compose.yaml), [settings](../../docs/agent-settings.md), [gone](gone.yaml)"
    assert list(links_out(page, "infra/agent/README.md", ROOT)) == ["infra/agent/compose.yaml"]


@pytest.mark.parametrize("path", [*OUTSIDE, "docs/deploy.md", "docs/adr/README.md"])
def test_place_in_the_site_leads_back(path: str) -> None:
    assert repository_path(site_path(path)) == path
    assert (ROOT / path).is_file()


def test_site_builds_without_a_warning(tmp_path: Path) -> None:
    """Every page is in the navigation, every link and anchor exists, and nothing is loaded from another host."""
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    for name in ("index.html", "alarms/index.html", "protocol/PROTOCOL/index.html", "about/index.html"):
        page = (tmp_path / name).read_text()
        assert '<script src="http' not in page
        assert 'rel="stylesheet" href="http' not in page
    # Anchors of the runbook are those that GitHub and the served runbook have.
    assert 'id="throttled-functions"' in (tmp_path / "alarms" / "index.html").read_text()


def test_navigation_has_no_page_twice() -> None:
    navigation = yaml.safe_load((ROOT / "mkdocs.yml").read_text())["nav"]
    entries = [entry for section in navigation for entry in next(iter(section.values()))]
    pages = [entry if isinstance(entry, str) else next(iter(entry.values())) for entry in entries]
    assert len(pages) == len(set(pages))
