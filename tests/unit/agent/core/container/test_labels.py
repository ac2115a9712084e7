"""Test `core/container/labels.py`: which labels are recorded with a job."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from logferry_agent.core.container.labels import select_labels
from logferry_protocol.job import Container
from logferry_protocol.limits import MAX_LABEL_VALUE_CHARS

KEYS = st.sampled_from(["a", "logferry.owner", "com.docker.compose.project", "com.amazonaws.ecs.cluster", "tier", "z"])
CONTROLS = st.text('\x01\x1f\n"\\é', max_size=256)
LABELS = st.dictionaries(
    st.tuples(KEYS, st.text(max_size=150)).map("".join), st.text(max_size=400) | CONTROLS, max_size=120
)


@given(labels=LABELS, named=st.frozensets(KEYS))
def test_recorded_labels_are_within_the_wires_limits_and_omissions_are_listed(
    labels: dict[str, str], named: frozenset[str]
) -> None:
    """For any keys and values: each label is kept, shortened or listed."""
    found = select_labels(labels, named)
    assert Container(labels=dict(found.kept)).labels == found.kept, "the protocol leaves nothing out in addition"
    assert set(found.kept) | set(found.left_out) == set(labels)
    assert not set(found.kept) & set(found.left_out)
    changed = {key for key, value in found.kept.items() if labels[key] != value}
    assert changed == set(found.shortened)
    assert (found.notice() is None) is (not found.left_out and not changed)


FILLER = {f"a{number:03}": "x" * 50 for number in range(300)}


@pytest.mark.parametrize(
    "key",
    [
        "logferry.owner",
        "com.docker.compose.project.config_files",
        "com.docker.stack.namespace",
        "com.docker.swarm.task.name",
        "com.amazonaws.ecs.task-arn",
        "zz-named-by-a-filter",
    ],
)
@pytest.mark.parametrize("length", [1, MAX_LABEL_VALUE_CHARS, 5_000])
def test_orchestrator_and_named_labels_are_never_omitted(key: str, length: int) -> None:
    """However many others there are; a value over the limit is shortened."""
    found = select_labels({**FILLER, key: "v" * length}, {"zz-named-by-a-filter"})
    assert found.kept[key].startswith("v" * min(length, 250))
    assert key not in found.left_out
    assert (key in found.shortened) is (length > MAX_LABEL_VALUE_CHARS)


def test_logferrys_own_labels_take_precedence() -> None:
    """Compose's alone may fill the limit."""
    compose = {f"com.docker.compose.{number:03}": "x" * 200 for number in range(100)}
    found = select_labels({**compose, "logferry.merge-start": "^x", "tier": "front"}, {"tier"})
    assert {"logferry.merge-start", "tier"} <= set(found.kept)


def test_notice_hides_secrets_in_listed_keys() -> None:
    """Before it cuts them."""
    token = "ghp_" + "a1" * 18
    found = select_labels({token: "x" * 300})
    assert token[:20] in str(found.notice())
    hiding = found.notice(lambda key: key.replace(token, "[redacted]"))
    assert "([redacted])" in str(hiding)
