"""Test what is said of programs and quotas."""

from __future__ import annotations

import pytest

from logferry_cli.deploy.requirements import (
    INSTALL,
    LEAST_SAM,
    check_concurrency,
    check_rate,
    check_tool,
    missing_sentence,
    needed_tools,
    version_in,
)


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("SAM CLI, version 1.170.0", (1, 170, 0)),
        ("v20.20.0\n", (20, 20, 0)),
        ("GNU Make 4.3\nBuilt for x86_64", (4, 3, 0)),
        ("who knows", None),
    ],
)
def test_version_is_found_in_what_a_program_says(text: str, version: tuple[int, int, int] | None) -> None:
    assert version_in(text) == version


def test_old_sam_is_missing_and_a_new_one_is_not() -> None:
    """A version is a number in each place: 1.99 is older than 1.158."""
    assert check_tool("sam", "SAM CLI, version 1.99.0", LEAST_SAM).outcome == "missing"
    assert check_tool("sam", "SAM CLI, version 1.157.1", LEAST_SAM).outcome == "missing"
    assert check_tool("sam", "SAM CLI, version 1.158.0", LEAST_SAM).outcome == "ok"
    assert check_tool("sam", "SAM CLI, version 2.0.0", LEAST_SAM).outcome == "ok"
    assert check_tool("sam", "???", LEAST_SAM).outcome == "unknown"


def test_everything_missing_is_named_with_how_to_get_it() -> None:
    findings = [check_tool("uv", None), check_tool("make", "GNU Make 4.3"), check_tool("sam", "1.0", LEAST_SAM)]
    found = missing_sentence(findings)
    assert found is not None
    sentence, advice = found
    assert (
        sentence == "Nothing was created: uv is not on the path; sam is version 1.0.0, but 1.158.0 or later is needed."
    )
    assert "astral.sh" in advice
    assert "install-sam-cli" in advice
    assert missing_sentence(findings[1:2]) is None


def test_every_needed_program_has_a_way_to_get_it() -> None:
    assert set(needed_tools(builds_viewer=True)) <= set(INSTALL)
    assert "node" not in needed_tools(builds_viewer=False)


def test_unreadable_quota_is_unknown_and_never_fine() -> None:
    assert check_concurrency(None).outcome == "unknown"
    assert check_rate(None, 2000).outcome == "unknown"


def test_small_quota_is_a_warning_with_what_to_ask_for() -> None:
    new = check_concurrency(10)
    assert (new.outcome, "Service Quotas" in new.advice) == ("warning", True)
    assert check_concurrency(1000).outcome == "ok"
    assert check_rate(500, 2000).outcome == "warning"
    assert check_rate(10_000, 2000).outcome == "ok"
