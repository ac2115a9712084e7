"""Test settings that a container makes by label: their effect, and the notices about those without one."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from logferry_agent.core.batching.processing import ProcessingOptions, Processor
from logferry_agent.core.container.label_settings import ALL, LABELS, allowed_labels, apply_label_settings
from logferry_protocol.limits import MAX_MESSAGE_CHARS


def labels(**values: str) -> dict[str, str]:
    return {f"logferry.{name.replace('_', '-')}": value for name, value in values.items()}


@pytest.mark.parametrize(
    ("operator", "given_labels", "expected"),
    [
        (ProcessingOptions(), labels(redact="aws, jwt"), ProcessingOptions(redact=("aws", "jwt"))),
        (ProcessingOptions(redact=("jwt",)), labels(redact="aws,jwt"), ProcessingOptions(redact=("jwt", "aws"))),
        (ProcessingOptions(redact=("all",)), labels(redact="aws"), ProcessingOptions(redact=("all", "aws"))),
        (ProcessingOptions(), labels(rate_limit=" 10 "), ProcessingOptions(rate_limit=10)),
        (ProcessingOptions(rate_limit=10), labels(rate_limit="5"), ProcessingOptions(rate_limit=5)),
        (ProcessingOptions(), labels(merge_start=r"^\S"), ProcessingOptions(merge_start=r"^\S")),
        (ProcessingOptions(merge_start="^a"), labels(merge_start="^a"), ProcessingOptions(merge_start="^a")),
        (
            ProcessingOptions(redact=("aws",)),
            {"other.label": "x", "logferry.unknown": "y"},
            ProcessingOptions(redact=("aws",)),
        ),
        (ProcessingOptions(), labels(enable="true", owner="team-a"), ProcessingOptions()),
        (ProcessingOptions(), labels(enable=" FALSE "), ProcessingOptions()),
    ],
)
def test_label_adds_to_the_operators_settings(
    operator: ProcessingOptions, given_labels: dict[str, str], expected: ProcessingOptions
) -> None:
    found = apply_label_settings(operator, given_labels)
    assert (found.processing, found.problems) == (expected, ())


@pytest.mark.parametrize(
    ("operator", "given_labels", "sentence"),
    [
        (
            ProcessingOptions(),
            labels(redact="passwords"),
            "there is no 'passwords'; it must be one or more of aws, basic",
        ),
        (ProcessingOptions(), labels(redact="aws,,none"), "there is no 'none'"),
        (ProcessingOptions(), labels(redact=" "), "it is empty"),
        (ProcessingOptions(), labels(rate_limit="fast"), "a whole number of lines a second"),
        (ProcessingOptions(), labels(rate_limit="0"), "1 to"),
        (ProcessingOptions(), labels(rate_limit="-5"), "1 to"),
        (ProcessingOptions(), labels(rate_limit="1e3"), "1 to"),
        (ProcessingOptions(), labels(rate_limit="٣"), "1 to"),
        (ProcessingOptions(), labels(rate_limit="9" * 200), "1 to"),
        (ProcessingOptions(rate_limit=10), labels(rate_limit="100"), "is 10, and a label can only lower it"),
        (ProcessingOptions(), labels(merge_start="("), "a group is not closed"),
        (ProcessingOptions(), labels(merge_start=r"^(?!\s)"), "cannot look ahead"),
        (ProcessingOptions(), labels(merge_start=r"x\Z"), r"write \z"),
        (ProcessingOptions(), labels(merge_start=""), "it is empty"),
        (ProcessingOptions(), labels(merge_start="(a{100}){100}"), "1,000"),
        (ProcessingOptions(), labels(merge_start="\ud800"), "surrogate"),
        (ProcessingOptions(), labels(merge_start="x" * 256), "fewer than 256 characters"),
        (ProcessingOptions(merge_start="^a"), labels(merge_start="^b"), "a label cannot change it"),
        (ProcessingOptions(), labels(enable="maybe"), "it must be `true` or `false`"),
        (ProcessingOptions(), labels(enable=""), "it must be `true` or `false`"),
        (ProcessingOptions(), labels(owner="team a"), "an owner has"),
        (ProcessingOptions(), labels(owner="team\n"), "an owner has"),
        (ProcessingOptions(), labels(owner=""), "an owner has"),
    ],
)
def test_bad_label_changes_nothing_and_the_notice_says_what_is_valid(
    operator: ProcessingOptions, given_labels: dict[str, str], sentence: str
) -> None:
    """Valid labels beside it apply."""
    found = apply_label_settings(operator, labels(redact="aws") | given_labels)
    (problem,) = found.problems
    (label,) = given_labels
    assert problem.startswith(f"the label {label}=")
    assert sentence in problem
    assert len(problem) <= MAX_MESSAGE_CHARS
    added = () if label == "logferry.redact" else ("aws",)
    assert found.processing == replace(operator, redact=added)


KEY_ID = "AKIAIOSFODNN7EXAMPLE"


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("value", [f"a {KEY_ID}", f"({KEY_ID}", "x" * 55 + KEY_ID, "x" * 300 + KEY_ID])
@pytest.mark.parametrize("allowed", [ALL, ()])
def test_notice_of_a_label_does_not_quote_a_secret(name: str, value: str, allowed: tuple[str, ...]) -> None:
    """Nor a part of one, where the value is cut."""
    found = apply_label_settings(ProcessingOptions(redact=("aws",)), {f"logferry.{name}": value}, allowed)
    if f"logferry.{name}" in found.valid:
        assert name == "owner"
        return
    (problem,) = found.problems
    assert "AKIA" not in problem
    assert problem.startswith(f"the label logferry.{name}=")


def test_merge_start_with_a_secret_is_refused_before_and_after_redaction() -> None:
    """The spool keeps the label without its secret: the rest must not become another pattern."""
    operator = ProcessingOptions(redact=("aws",))
    for value in (f"^{KEY_ID}", "^[redacted]"):
        found = apply_label_settings(operator, {"logferry.merge-start": value})
        assert found.processing == operator
        assert found.valid == frozenset()
        assert len(found.problems) == 1


@pytest.mark.parametrize("name", ALL)
def test_label_that_the_operator_forbids_changes_nothing(name: str) -> None:
    values = {"enable": "false", "owner": "x", "redact": "all", "merge-start": "^x", "rate-limit": "1"}
    given_labels = {f"logferry.{name}": values[name]}
    found = apply_label_settings(ProcessingOptions(), given_labels, [other for other in ALL if other != name])
    assert found.processing == ProcessingOptions()
    (problem,) = found.problems
    assert "allow_labels" in problem
    assert allowed_labels({**given_labels, "a": "b"}, [other for other in ALL if other != name]) == {"a": "b"}
    assert allowed_labels(given_labels, ALL) == given_labels


@given(
    st.dictionaries(
        st.sampled_from(sorted(LABELS)), st.text(max_size=300) | st.sampled_from(["all", "1", "true", "^"])
    ),
    st.builds(
        ProcessingOptions,
        redact=st.sampled_from([(), ("aws",), ("all",)]),
        merge_start=st.sampled_from([None, "^x"]),
        rate_limit=st.sampled_from([0, 1, 50]),
    ),
)
def test_no_label_overrides_the_operators_settings(given_labels: dict[str, str], operator: ProcessingOptions) -> None:
    """For any value, and the result is valid."""
    found = apply_label_settings(operator, given_labels)
    made = found.processing
    assert made.redact[: len(operator.redact)] == operator.redact
    assert made.redact_patterns == operator.redact_patterns
    assert operator.merge_start in {None, made.merge_start}
    assert not operator.rate_limit or 1 <= made.rate_limit <= operator.rate_limit
    assert len(found.problems) <= len(given_labels)
    Processor(made)
