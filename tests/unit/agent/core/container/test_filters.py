"""Test `core/container/filters.py`: which containers are read."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from logferry_agent.core.container.filters import (
    EnableLabelError,
    Selection,
    StartAtError,
    parse_enable_label,
    parse_start_at,
)

DIGEST = "sha256:" + "36d6" * 16
ID = "sha256:" + "0a1b2c3d" * 8


def chosen(selection: Selection, name: str = "web", image: str = "shop/web:3", **labels: str) -> bool:
    return selection.selects("c" * 64, name, image, {key.replace("__", "."): value for key, value in labels.items()})


def test_everything_but_the_agent_itself_is_read_by_default() -> None:
    """By its id; only the documented label excludes a container."""
    assert chosen(Selection())
    assert not chosen(Selection(own_container="c" * 64))
    assert chosen(Selection(), logferry__agent="true")


def test_enable_label_selects_within_what_patterns_leave() -> None:
    """A label excludes a container or answers `labelled`, and overrides no pattern of the operator's."""
    assert not chosen(Selection(), logferry__enable="false")
    assert not chosen(Selection(discover="labelled"))
    assert chosen(Selection(discover="labelled"), logferry__enable="TRUE")
    assert not chosen(Selection(exclude_names=["*"]), logferry__enable="true")
    assert not chosen(Selection(include_names=["db*"]), logferry__enable="true")
    assert not chosen(Selection(discover="labelled", include_names=["db*"]), logferry__enable="true")


@pytest.mark.parametrize("value", ["", "maybe", "true\n;", "tru", "2", "ｔｒｕｅ", "nil"])
def test_enable_label_with_another_value_changes_nothing(value: str) -> None:
    """It neither excludes a container silently nor answers `labelled`."""
    with pytest.raises(EnableLabelError, match=r"logferry\.enable must be `true` or `false`"):
        parse_enable_label({"logferry.enable": value})
    assert chosen(Selection(), logferry__enable=value)
    assert not chosen(Selection(discover="labelled"), logferry__enable=value)


@pytest.mark.parametrize(
    ("pattern", "image", "expected"),
    [
        ("nginx", f"nginx@{DIGEST}", True),
        ("nginx", f"nginx:1.25@{DIGEST}", True),
        ("nginx:1.25", f"nginx:1.25@{DIGEST}", True),
        ("nginx:1.*", f"nginx:1.25@{DIGEST}", True),
        ("nginx:1.24", f"nginx:1.25@{DIGEST}", False),
        (f"nginx@{DIGEST}", f"nginx:1.25@{DIGEST}", True),
        (f"nginx:1.25@{DIGEST}", f"nginx:1.25@{DIGEST}", True),
        (f"nginx@{DIGEST[:-1]}0", f"nginx:1.25@{DIGEST}", False),
        ("127.0.0.1:5000/team/nginx", f"127.0.0.1:5000/team/nginx:1.25@{DIGEST}", True),
        ("127.0.0.1:5000/team/nginx", "127.0.0.1:5000/team/nginx", True),
        ("127.0.0.1", "127.0.0.1:5000/team/nginx", False),
        ("nginx", "127.0.0.1:5000/team/nginx", False),
        (DIGEST, f"nginx@{DIGEST}", True),
        (DIGEST.removeprefix("sha256:")[:12], f"nginx@{DIGEST}", True),
        (ID, "nginx", True),
        (ID.removeprefix("sha256:"), "nginx", True),
        (ID.removeprefix("sha256:")[:12], "nginx:1.25", True),
        (ID.removeprefix("sha256:")[:11], "nginx", False),
        ("sha256:0a1b*", "nginx", True),
        ("sha256:*", "nginx", True),
        ("0a*", "nginx", False),
        ("s*", "nginx", False),
        ("s*", f"nginx@{DIGEST}", False),
        (ID.removeprefix("sha256:")[:12], ID.removeprefix("sha256:")[:20], True),
        ("sha256", ID, False),
        ("nginx", "docker.io/library/nginx:1.25", True),
        ("team/app", "index.docker.io/team/app", True),
        ("docker.io/*", "nginx", True),
        ("docker.io/library/nginx:1.25", f"nginx:1.25@{DIGEST}", True),
        ("docker.io/team/app", "team/app:3", True),
        ("docker.io/*", "ghcr.io/team/app", False),
        ("docker.io/*", "localhost/app", False),
        ("*/nginx", "nginx", False),
    ],
)
def test_image_is_matched_by_tag_digest_and_id(pattern: str, image: str, expected: bool) -> None:
    """A pattern without tag or digest matches every one; includes and excludes agree."""
    for selection in (Selection(include_images=[pattern]), Selection(exclude_images=[pattern])):
        included = bool(selection.include_images)
        assert selection.selects("c" * 64, "n", image, {}, image_id=ID) is (expected is included)


_PART = st.from_regex(r"[a-z0-9]{1,8}", fullmatch=True)


@given(
    registry=st.sampled_from(["", "localhost/", "127.0.0.1:5000/", "ghcr.io/"]),
    path=st.lists(_PART, min_size=1, max_size=3).map("/".join),
    tag=st.none() | _PART,
    digest=st.none() | st.just(DIGEST),
)
def test_repository_pattern_matches_its_image_however_pinned(
    registry: str, path: str, tag: str | None, digest: str | None
) -> None:
    """The fault was that pinning an image hid its name from a pattern."""
    repository = registry + path
    image = repository + (f":{tag}" if tag else "") + (f"@{digest}" if digest else "")
    assert Selection(include_images=[repository]).selects("c", "n", image, {})
    assert not Selection(exclude_images=[repository]).selects("c", "n", image, {})
    assert not Selection(include_images=[repository + "x"]).selects("c", "n", image, {})


def test_refusal_names_the_deciding_setting_or_label() -> None:
    """For the agent's log and the job's notice."""
    refusal = Selection(exclude_images=["shop/*"], include_names=["w*"], include_labels=["a"]).exclusion_reason
    assert refusal("c", "web", "shop/web:3", {}) == "the agent's setting exclude_images has 'shop/*'"
    assert refusal("c", "db", "db", {}) == "the agent's setting include_names or include_labels does not name it"
    assert refusal("c", "web", "db", {"logferry.enable": "no"}) == "its label logferry.enable says so"
    assert refusal("c", "web", "db", {}) is None


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
def test_patterns_select(selection: Selection, expected: bool) -> None:
    """An exclude overrides an include, and one include of any kind is enough."""
    assert chosen(selection, tier="front") is expected


def test_start_at_is_a_time() -> None:
    """In nanoseconds."""
    assert parse_start_at("beginning", 10**19) == 0
    assert parse_start_at("now", 10**19) == 10**19
    assert parse_start_at("15m", 10**19) == 10**19 - 900 * 10**9
    with pytest.raises(StartAtError, match="not 'yesterday'"):
        parse_start_at("yesterday", 0)
