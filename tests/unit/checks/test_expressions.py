"""Test that `make check` finds superlinear regular expressions in Python and in the viewer."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from infra.checks.expressions import expressions_of, listed, recheck_command

MADE = r"""
import re

PLANTED = re.compile(r"!+$")
EVERYWHERE = re.compile(r"(?P<name>a+)b\Z", re.IGNORECASE)
WHOLE = re.compile(r"a+b")
PART = r"[^\s]+x"


def secret(text):
    return re.compile(text + r"\s*=")


FROM_A_FUNCTION = secret(r"\s+key")


def inside(value, given):
    re.search(rf"{PART}:", value)
    # recheck: a person's own
    re.search(given, value)
    return EVERYWHERE.search(value), WHOLE.fullmatch(value), re.match(given, value)
"""

VIEWER = r"""
const WORD = "[a-z]+";
export const PLANTED = /!+$/;
export const BUILT = new RegExp(`${WORD}\\d`, "i");
export const SAFE = /^a+$/;
// recheck: only our own text comes here
export const EXCUSED = /\s+$/;
// recheck: not so any more
export const STALE = /^b$/;
export const given = (text: string): RegExp => new RegExp(text);
"""


@pytest.fixture
def found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, object]]:
    package = tmp_path / "code" / "planted_expressions"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "made.py").write_text(MADE)
    monkeypatch.syspath_prepend(str(package.parent))
    for name in ("planted_expressions", "planted_expressions.made"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    return listed(expressions_of(tmp_path, ("code",), ("planted_expressions",)), tmp_path)


def test_expressions_are_found_at_run_time_and_in_functions(found: list[dict[str, object]]) -> None:
    assert [(item["source"], item["flags"], item["excuse"]) for item in found] == [
        ("!+$", "", None),
        ("(?<name>a+)b(?![^])", "i", None),
        ("^(?:a+b)$", "", None),
        (r"\s+key\s*=", "", None),
        (r"[^\s]+x:", "", None),
        (None, None, "a person's own"),
        (None, None, None),
    ]


def test_slow_expressions_of_both_languages_are_named(found: list[dict[str, object]], tmp_path: Path) -> None:
    (tmp_path / "viewer.ts").write_text(VIEWER)
    python = [item for item in found if item["source"] != "(?<name>a+)b(?![^])"]
    checked = subprocess.run(
        recheck_command("-", "--sources", str(tmp_path)),
        input=json.dumps(python),
        text=True,
        capture_output=True,
        check=False,
        timeout=120,
    )
    assert checked.returncode == 1
    named = {
        (Path(file).name, int(line)): said
        for file, line, said in (one.split(":", 2) for one in checked.stderr.splitlines() if not one.startswith(" "))
    }
    assert list(named) == [
        ("viewer.ts", 3),
        ("viewer.ts", 4),
        ("viewer.ts", 9),
        ("viewer.ts", 10),
        ("made.py", 4),
        ("made.py", 14),
        ("made.py", 18),
        ("made.py", 21),
    ]
    assert "polynomial" in named["viewer.ts", 3]
    assert "not true any more" in named["viewer.ts", 9]
    assert "while the program runs" in named["viewer.ts", 10]
    assert "polynomial" in named["made.py", 4]
