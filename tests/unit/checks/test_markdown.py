"""The check of the Markdown pages: what it reports, and what it leaves alone."""

from pathlib import Path

import pytest
from infra.checks.markdown import pages_of, problems_of

WORDS = "word " * 20


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "docs").mkdir()
    return tmp_path


def problems(home: Path, text: str, exceptions: dict[tuple[str, str], str] | None = None) -> list[str]:
    """Write docs/page.md; return what is wrong with it."""
    (home / "docs" / "page.md").write_text(text)
    return [str(problem) for problem in problems_of(home, pages_of(home), exceptions or {})]


def test_line_over_100_columns_is_reported(home: Path) -> None:
    assert problems(home, "# Page\n\n" + WORDS.strip() + "\n") == []
    assert problems(home, "# Page\n\n" + WORDS + "w\n") == ["docs/page.md:3: 101 columns: wrap the line at 100"]


@pytest.mark.parametrize(
    "text",
    [
        "```sh\n" + WORDS * 2 + "\n```\n",
        "    " + WORDS * 2 + "\n",
        "| " + "a | " * 60 + "\n|" + "---|" * 60 + "\n",
        "See https://example.org/" + "a" * 100 + " there.\n",
    ],
)
def test_line_in_a_code_block_table_or_with_an_address_may_be_longer(home: Path, text: str) -> None:
    assert problems(home, text) == []


def test_link_to_a_missing_file_is_reported(home: Path) -> None:
    (home / "README.md").write_text("# Read me\n")
    assert problems(home, "[a](../README.md) [b](../docs/) ![c](none.png) [d](https://example.org/none)\n") == [
        "docs/page.md:1: the link none.png leads to no file"
    ]


def test_link_out_of_the_checkout_is_reported(home: Path) -> None:
    assert problems(home, "[a](../../)\n") == ["docs/page.md:1: the link ../../ leads to no file"]


def test_link_to_a_missing_heading_is_reported(home: Path) -> None:
    (home / "README.md").write_text("# A `name`, and more\n\n## Twice\n\n## Twice\n\n<a id='own'></a>\n")
    good = "# Here\n\n[a](../README.md#a-name-and-more) [b](../README.md#twice-1) [c](#here) [d](../README.md#own)\n"
    assert problems(home, good) == []
    assert problems(home, "[a](../README.md#twice-2) [b](#none)\n") == [
        "docs/page.md:1: the link #none leads to no heading of docs/page.md",
        "docs/page.md:1: the link ../README.md#twice-2 leads to no heading of README.md",
    ]


def test_table_cell_over_120_characters_is_reported_without_its_link_targets(home: Path) -> None:
    link = f"[text](https://example.org/{'a' * 120})"
    assert problems(home, f"| a | b |\n|---|---|\n| {link} | c |\n") == []
    [found] = problems(home, f"| a | b |\n|---|---|\n| {'c' * 121} | d |\n")
    assert found.startswith("docs/page.md:3: a table cell of 121 characters")


def test_sentence_over_40_words_is_reported(home: Path) -> None:
    lines = "word " * 10 + "\n"
    assert problems(home, lines * 4) == []
    assert problems(home, "A. " + lines * 4 + "end. " + "B.\n") == [
        f"docs/page.md:1: a sentence of 41 words: split it: “{('word ' * 12)[:60]}…”"
    ]


def test_sentence_of_a_page_that_is_no_prose_may_be_longer(home: Path) -> None:
    (home / "CHANGELOG.md").write_text(("word " * 10 + "\n") * 5)
    assert problems(home, "# Page\n") == []


def test_exception_covers_its_sentence_and_is_reported_once_it_is_not_needed(home: Path) -> None:
    exceptions = {("docs/page.md", "Long word"): "it quotes a standard"}
    assert problems(home, "Long " + ("word " * 10 + "\n") * 5, exceptions) == []
    assert problems(home, "Short.\n", exceptions) == [
        "docs/page.md:0: nothing too long begins so, remove its exception: “Long word”"
    ]


def test_pages_that_tools_install_are_left_out(home: Path) -> None:
    for folder in ("node_modules/a", ".venv", ".github"):
        (home / folder).mkdir(parents=True)
        (home / folder / "page.md").write_text("# Page\n")
    assert [page.name for page in pages_of(home)] == [".github/page.md"]
