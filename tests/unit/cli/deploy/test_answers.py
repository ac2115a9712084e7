"""Test what is remembered of a deployment, and where."""

from __future__ import annotations

from pathlib import Path

import pytest

from logferry_cli.deploy.adoption import KeptData
from logferry_cli.deploy.answers import Answers, answers_file, load_answers, remembered_regions, save_answers
from logferry_cli.problems import Problem


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))


def test_answers_survive_for_their_owner_alone() -> None:
    path = answers_file("logs", "eu-west-1", "123456789012")
    saved = Answers(parameters={"Monitoring": "on"}, defaults={"Monitoring": "off"}, kept=KeptData("a", "b", "c"))
    save_answers(path, saved)
    assert load_answers(path) == saved
    assert path.stat().st_mode & 0o077 == 0


def test_each_stack_region_and_account_has_its_own() -> None:
    given = [
        ("logs", "eu-west-1", "1"),
        ("logs", "us-east-1", "1"),
        ("logs", "us-east-1", "2"),
        ("logs-2", "eu-west-1", "1"),
    ]
    for one in given:
        save_answers(answers_file(*one), Answers(parameters={"is": " ".join(one)}))
    assert [load_answers(answers_file(*one)).parameters["is"] for one in given] == [" ".join(one) for one in given]
    assert remembered_regions("logs") == ["eu-west-1", "us-east-1"]
    assert remembered_regions("logs-2") == ["eu-west-1"]


def test_nothing_is_remembered_of_a_new_stack() -> None:
    assert load_answers(answers_file("new", "eu-west-1", "1")) == Answers()


def test_other_content_is_one_sentence() -> None:
    path = answers_file("logs", "eu-west-1", "1")
    path.parent.mkdir(parents=True)
    path.write_text("{")
    with pytest.raises(Problem, match="is not what `logferry deploy` writes"):
        load_answers(path)
