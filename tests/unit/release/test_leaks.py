"""Test the search for what belongs to the building machine."""

import io
import tarfile
import zipfile
from pathlib import Path

import pytest
from infra.release.leaks import leaks, names, words_of_this_machine


@pytest.fixture(params=["package.whl", "package.tar.gz"])
def artefact(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Return a wheel and an sdist with two files; the second names a folder and an index."""
    files = {"a.py": b"print()", "b.py": b"# /home/ada/logferry\nINDEX = 'https://index.example/simple'\n"}
    path = tmp_path / str(request.param)
    if path.suffix == ".whl":
        with zipfile.ZipFile(path, "w") as wheel:
            for name, content in files.items():
                wheel.writestr(name, content)
    else:
        with tarfile.open(path, "w:gz") as sdist:
            for name, content in files.items():
                entry = tarfile.TarInfo(name)
                entry.size = len(content)
                sdist.addfile(entry, io.BytesIO(content))
    return path


def test_every_file_of_an_artefact_is_searched(artefact: Path) -> None:
    assert names(artefact) == ["a.py", "b.py"]
    words = {"/home/ada/logferry", "index.example", "/nowhere"}
    assert leaks(artefact, words) == ["b.py: /home/ada/logferry", "b.py: index.example"]


@pytest.mark.parametrize(
    ("environment", "configurations", "host"),
    [
        ({"PIP_INDEX_URL": "https://one.example/simple"}, "", "one.example"),
        ({"UV_DEFAULT_INDEX": "https://user:secret@two.example:8443/simple"}, "", "two.example"),
        ({"UV_INDEX": "own=https://a.example/x https://three.example/y"}, "", "three.example"),
        ({"PIP_FIND_LINKS": "https://six.example/wheels"}, "", "six.example"),
        ({"npm_config_registry": "https://four.example/"}, "", "four.example"),
        ({}, "global.extra-index-url='https://five.example/simple'\n", "five.example"),
        ({}, "global.find-links='file:///srv/packages'\n", "/srv/packages"),
    ],
)
def test_hosts_of_package_indexes_are_searched_for(environment: dict[str, str], configurations: str, host: str) -> None:
    assert host in words_of_this_machine(environment, [], configurations)


def test_folders_that_every_machine_has_are_not_searched_for() -> None:
    assert "/root" not in words_of_this_machine({}, [Path("/root")], "")
    assert "/home/ada" in words_of_this_machine({}, [Path("/home/ada")], "")


def test_other_settings_name_no_index() -> None:
    before = words_of_this_machine({}, [], "")
    assert words_of_this_machine({"EDITOR": "https://editor.example", "PIP_TIMEOUT": "9"}, [], "") == before
