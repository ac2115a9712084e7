"""core/selection.py: which containers are read."""

from __future__ import annotations

import pytest

from logferry_agent.core.selection import Selection, StartAtError, start_time


def chosen(selection: Selection, name: str = "web", image: str = "shop/web:3", **labels: str) -> bool:
    return selection.selects("c" * 64, name, image, {key.replace("__", "."): value for key, value in labels.items()})


def test_everything_is_read_by_default_but_the_agent_itself() -> None:
    """By its id, and by the label of its image."""
    assert chosen(Selection())
    assert not chosen(Selection(own_container="c" * 64))
    assert not chosen(Selection(), logferry__agent="true")


def test_a_container_decides_by_its_label() -> None:
    """`logferry.enable` goes before every pattern."""
    assert not chosen(Selection(), logferry__enable="false")
    assert chosen(Selection(exclude_names=["*"]), logferry__enable="true")
    assert not chosen(Selection(discover="labelled"))
    assert chosen(Selection(discover="labelled"), logferry__enable="TRUE")


@pytest.mark.parametrize(
    ("selection", "expected"),
    [
        (Selection(include_names=["w*"]), True),
        (Selection(include_names=["db*"]), False),
        (Selection(include_names=["db*"], include_images=["shop/*"]), True),
        (Selection(include_images=["shop/web"]), True),
        (Selection(include_images=["shop/web:2"]), False),
        (Selection(exclude_images=["*/web"]), False),
        (Selection(include_labels=["tier=front*"]), True),
        (Selection(include_labels=["tier=back"]), False),
        (Selection(exclude_labels=["tier"]), False),
        (Selection(include_names=["web"], exclude_labels=["tier=front"]), False),
    ],
)
def test_patterns_choose(selection: Selection, expected: bool) -> None:
    """An exclude goes before an include; a pattern without a tag means every tag."""
    assert chosen(selection, tier="front") is expected


def test_start_at_is_a_time() -> None:
    """Nanoseconds."""
    assert start_time("beginning", 10**19) == 0
    assert start_time("now", 10**19) == 10**19
    assert start_time("15m", 10**19) == 10**19 - 900 * 10**9
    with pytest.raises(StartAtError, match="not 'yesterday'"):
        start_time("yesterday", 0)
