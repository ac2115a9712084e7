"""Test that what RE2 refuses is named with its replacement."""

import pytest
import re2

from logferry_protocol.re2_syntax import explain


@pytest.mark.parametrize(
    ("pattern", "advice"),
    [
        (r"a(?=b)", "cannot look ahead"),
        (r"a(?!b)", "cannot look ahead"),
        (r"(?<=a)b", "cannot look ahead or behind"),
        (r"(?<!a)b", "cannot look ahead or behind"),
        (r"(a)\1", "write the repeated text out"),
        (r"(?P<n>a)(?P=n)", "write the repeated expression out"),
        (r"(?P<n>a)\k<n>", "write the repeated text out"),
        (r"(?>a)", "never backtracks"),
        (r"a++", "possessive"),
        (r"a*+", "possessive"),
        (r"a{2}+", "possessive"),
        (r"(?(1)a|b)", "conditionals"),
        (r"(?#comment)a", "comment"),
        (r"(?x)a", "verbose"),
        (r"(?ix)a", "verbose"),
        (r"(?a)a", r"\pL"),
        (r"(?u)a", r"\pL"),
        (r"a\Z", r"write \z"),
        (r"\u00e9", r"\x{e9}"),
        (r"\U0001F600", r"\x{"),
        (r"\N{DASH}", r"\x{"),
        (r"\e", r"\x1b"),
        (r"\R", r"\r?\n"),
        (r"\q", "does not know this escape"),
        (r"a**", "(?:a*)*"),
        (r"a{1001}", "1,000"),
        (r"(a{100}){100}", "1,000"),
        (r"(", r"\("),
        (r")", r"\)"),
        (r"[a", r"\["),
        (r"*", "there is nothing to repeat"),
        (r"\p{Foo}", r"\pL"),
        (r"[z-a]", "the range is reversed"),
        ("a\\", "ends with a backslash"),
        (r"\pN{999}\pL{999}\pL{999}", "smaller repetition counts"),
    ],
)
def test_refused_construct_is_named_with_its_replacement(pattern: str, advice: str) -> None:
    options = re2.Options()
    options.log_errors = False
    with pytest.raises(re2.error) as refused:
        re2.compile(pattern, options=options)
    assert advice in explain(refused.value)
    assert explain(refused.value.args[0]) == explain(refused.value)


def test_unknown_message_is_passed_on_in_one_short_line() -> None:
    said = explain(b"something\nnew " + b"x" * 1_000)
    assert said.startswith("something new x")
    assert len(said) == 200
