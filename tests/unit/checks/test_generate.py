"""`make generate` writes what is stale, and `make check` names it."""

import types
from pathlib import Path

import pytest
from infra.generate.__main__ import main
from infra.generate.event_sentences import event_kinds, field_types, sentences_typescript
from infra.generate.files import FILES, HOME, GeneratedFile, GeneratedSection
from infra.generate.limits import limits_typescript, read_limits
from infra.generate.typescript import comment


def test_committed_files_are_what_their_sources_give() -> None:
    assert main(["--check"]) == 0


def test_every_generated_file_and_its_source_exist() -> None:
    assert [file.path for file in FILES if not (HOME / file.path).is_file() or not (HOME / file.source).exists()] == []


def test_stale_file_is_named_by_the_check_and_written_without_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = [GeneratedFile("page.md", "model.py", lambda: "new\n")]
    (tmp_path / "page.md").write_text("old\n")

    assert main(["--check"], home=tmp_path, files=files) == 1
    assert capsys.readouterr().err == "page.md is stale: it is generated from model.py. Run `make generate`.\n"
    assert (tmp_path / "page.md").read_text() == "old\n"

    assert main([], home=tmp_path, files=files) == 0
    assert (tmp_path / "page.md").read_text() == "new\n"
    assert main(["--check"], home=tmp_path, files=files) == 0


def test_missing_file_is_stale(tmp_path: Path) -> None:
    assert main(["--check"], home=tmp_path, files=[GeneratedFile("page.md", "model.py", lambda: "new\n")]) == 1


def test_generated_section_leaves_the_rest_of_its_page(tmp_path: Path) -> None:
    files = [GeneratedSection("page.md", "model.py", lambda: "new\n", "limits")]
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- generated: limits -->\nold\n<!-- end: limits -->\nafter\n")
    assert main([], home=tmp_path, files=files) == 0
    assert page.read_text() == "before\n<!-- generated: limits -->\n\nnew\n\n<!-- end: limits -->\nafter\n"


def test_page_without_the_comments_of_its_section_is_an_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "page.md").write_text("no comments\n")
    assert main([], home=tmp_path, files=[GeneratedSection("page.md", "model.py", lambda: "new\n", "limits")]) == 1
    assert "page.md needs the lines <!-- generated: limits -->" in capsys.readouterr().err


def test_limits_are_exported_one_by_one_with_their_comments() -> None:
    text = limits_typescript()
    assert "/** Entries of a batch. Range: 1 to 8,192. */\nexport const MAX_BATCH_ENTRIES = 8_192;\n" in text
    assert max(len(line) for line in text.splitlines()) <= 120


def test_limit_without_a_docstring_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = types.ModuleType("limits_without")
    monkeypatch.setattr("inspect.getsource", lambda _: "MAX_A: Final = 1\nMAX_B: Final = 2\n'''B.'''\n")
    with pytest.raises(ValueError, match=r"limits_without\.MAX_A has no docstring"):
        read_limits(module)


def test_long_comment_is_wrapped_and_ends_no_comment_early() -> None:
    text = comment("word " * 40 + "*/")
    assert text.count("*/") == 1
    assert max(len(line) for line in text.splitlines()) <= 120


def test_every_event_and_every_field_of_its_sentence_is_generated() -> None:
    text = sentences_typescript()
    assert [kind for kind in event_kinds() if f"\n  {kind}: [" not in text] == []
    assert field_types()["count"] == "number"
    assert field_types()["oom"] == "boolean"
    assert field_types()["detail"] == "string"


def test_two_sections_of_one_page_are_both_written(tmp_path: Path) -> None:
    files = [
        GeneratedSection("page.md", "model.py", lambda: "new\n", "one"),
        GeneratedSection("page.md", "model.py", lambda: "newer\n", "two"),
    ]
    page = tmp_path / "page.md"
    page.write_text("<!-- generated: one -->\n<!-- end: one -->\n<!-- generated: two -->\n<!-- end: two -->\n")
    assert main([], home=tmp_path, files=files) == 0
    assert page.read_text() == (
        "<!-- generated: one -->\n\nnew\n\n<!-- end: one -->\n<!-- generated: two -->\n\nnewer\n\n<!-- end: two -->\n"
    )
