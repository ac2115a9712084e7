"""Settings that a container chooses by label: what they add, and what is said of those that change nothing."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from logferry_agent.core.batching.processing import Processing, Processor
from logferry_agent.core.container.label_settings import ALL, LABELS, label_settings, usable
from logferry_protocol.limits import MAX_MESSAGE_CHARS


def labels(**values: str) -> dict[str, str]:
    return {f"logferry.{name.replace('_', '-')}": value for name, value in values.items()}


@pytest.mark.parametrize(
    ("operator", "given_labels", "expected"),
    [
        (Processing(), labels(redact="aws, jwt"), Processing(redact=("aws", "jwt"))),
        (Processing(redact=("jwt",)), labels(redact="aws,jwt"), Processing(redact=("jwt", "aws"))),
        (Processing(redact=("all",)), labels(redact="aws"), Processing(redact=("all", "aws"))),
        (Processing(), labels(rate_limit=" 10 "), Processing(rate_limit=10)),
        (Processing(rate_limit=10), labels(rate_limit="5"), Processing(rate_limit=5)),
        (Processing(), labels(merge_start=r"^\S"), Processing(merge_start=r"^\S")),
        (Processing(merge_start="^a"), labels(merge_start="^a"), Processing(merge_start="^a")),
        (Processing(redact=("aws",)), {"other.label": "x", "logferry.unknown": "y"}, Processing(redact=("aws",))),
        (Processing(), labels(enable="true", owner="team-a"), Processing()),
        (Processing(), labels(enable=" FALSE "), Processing()),
    ],
)
def test_label_adds_to_what_the_operator_set(
    operator: Processing, given_labels: dict[str, str], expected: Processing
) -> None:
    found = label_settings(operator, given_labels)
    assert (found.processing, found.problems) == (expected, ())


@pytest.mark.parametrize(
    ("operator", "given_labels", "sentence"),
    [
        (Processing(), labels(redact="passwords"), "there is no 'passwords'; it must be one or more of aws, basic"),
        (Processing(), labels(redact="aws,,none"), "there is no 'none'"),
        (Processing(), labels(redact=" "), "it is empty"),
        (Processing(), labels(rate_limit="fast"), "a whole number of lines a second"),
        (Processing(), labels(rate_limit="0"), "1 to"),
        (Processing(), labels(rate_limit="-5"), "1 to"),
        (Processing(), labels(rate_limit="1e3"), "1 to"),
        (Processing(), labels(rate_limit="٣"), "1 to"),
        (Processing(), labels(rate_limit="9" * 200), "1 to"),
        (Processing(rate_limit=10), labels(rate_limit="100"), "is 10, and a label can only lower it"),
        (Processing(), labels(merge_start="("), "a group is not closed"),
        (Processing(), labels(merge_start=r"^(?!\s)"), "cannot look ahead"),
        (Processing(), labels(merge_start=r"x\Z"), r"write \z"),
        (Processing(), labels(merge_start=""), "it is empty"),
        (Processing(), labels(merge_start="(a{100}){100}"), "1,000"),
        (Processing(), labels(merge_start="\ud800"), "surrogate"),
        (Processing(), labels(merge_start="x" * 256), "fewer than 256 characters"),
        (Processing(merge_start="^a"), labels(merge_start="^b"), "a label cannot change it"),
        (Processing(), labels(enable="maybe"), "it must be `true` or `false`"),
        (Processing(), labels(enable=""), "it must be `true` or `false`"),
        (Processing(), labels(owner="team a"), "an owner has"),
        (Processing(), labels(owner="team\n"), "an owner has"),
        (Processing(), labels(owner=""), "an owner has"),
    ],
)
def test_bad_label_changes_nothing_and_says_what_would_be_right(
    operator: Processing, given_labels: dict[str, str], sentence: str
) -> None:
    """Beside it, good ones count."""
    found = label_settings(operator, labels(redact="aws") | given_labels)
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
    found = label_settings(Processing(redact=("aws",)), {f"logferry.{name}": value}, allowed)
    if f"logferry.{name}" in found.valid:
        assert name == "owner"
        return
    (problem,) = found.problems
    assert "AKIA" not in problem
    assert problem.startswith(f"the label logferry.{name}=")


def test_merge_start_with_a_secret_is_refused_before_and_after_it_was_hidden() -> None:
    """The spool keeps the label without its secret: what is left must not become another pattern."""
    operator = Processing(redact=("aws",))
    for value in (f"^{KEY_ID}", "^[redacted]"):
        found = label_settings(operator, {"logferry.merge-start": value})
        assert found.processing == operator
        assert found.valid == frozenset()
        assert len(found.problems) == 1


@pytest.mark.parametrize("name", ALL)
def test_label_that_the_operator_forbids_changes_nothing(name: str) -> None:
    values = {"enable": "false", "owner": "x", "redact": "all", "merge-start": "^x", "rate-limit": "1"}
    given_labels = {f"logferry.{name}": values[name]}
    found = label_settings(Processing(), given_labels, [other for other in ALL if other != name])
    assert found.processing == Processing()
    (problem,) = found.problems
    assert "allow_labels" in problem
    assert usable({**given_labels, "a": "b"}, [other for other in ALL if other != name]) == {"a": "b"}
    assert usable(given_labels, ALL) == given_labels


@given(
    st.dictionaries(
        st.sampled_from(sorted(LABELS)), st.text(max_size=300) | st.sampled_from(["all", "1", "true", "^"])
    ),
    st.builds(
        Processing,
        redact=st.sampled_from([(), ("aws",), ("all",)]),
        merge_start=st.sampled_from([None, "^x"]),
        rate_limit=st.sampled_from([0, 1, 50]),
    ),
)
def test_no_label_undoes_what_the_operator_set(given_labels: dict[str, str], operator: Processing) -> None:
    """Whatever its value; and what comes out can be carried out."""
    found = label_settings(operator, given_labels)
    made = found.processing
    assert made.redact[: len(operator.redact)] == operator.redact
    assert made.redact_patterns == operator.redact_patterns
    assert operator.merge_start in {None, made.merge_start}
    assert not operator.rate_limit or 1 <= made.rate_limit <= operator.rate_limit
    assert len(found.problems) <= len(given_labels)
    Processor(made)
