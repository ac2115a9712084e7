"""Find what belongs to the building machine in the artefacts: its folders, and the addresses of its package indexes."""

from __future__ import annotations

import os
import re
import tarfile
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

INSTALLERS: Final = ("PIP_", "UV_", "NPM_CONFIG_")
INDEX_SETTINGS: Final = ("INDEX", "LINKS", "REGISTRY")
ADDRESS: Final = re.compile(r"[a-z+]{1,20}://\S+")
PUBLIC_INDEXES: Final = ("pythonhosted", "npmjs")
"""Also an address of the public index would keep an installation from using its own."""


def words_of_this_machine(environment: Mapping[str, str], folders: Iterable[Path], configurations: str) -> set[str]:
    """Return the words that no artefact may contain.

    Args:
        environment: The process's environment, whose settings may name indexes.
        folders: Folders of this machine; the short ones (`/`, `/root`) are too common to look for.
        configurations: What `pip config list` and `npm config get registry` print.
    """
    paths = {str(folder) for folder in folders if len(folder.parts) > 2}
    settings = " ".join(value for name, value in environment.items() if _names_an_index(name.upper()))
    addresses = ADDRESS.findall(f"{settings} {configurations}".replace("'", " "))
    hosts = {urlsplit(address).hostname or urlsplit(address).path for address in addresses}
    return paths | {host for host in hosts if host} | set(PUBLIC_INDEXES)


def _names_an_index(setting: str) -> bool:
    return setting.startswith(INSTALLERS) and any(word in setting for word in INDEX_SETTINGS)


def leaks(artefact: Path, words: Iterable[str]) -> list[str]:
    """Return `file: word` for every file in an sdist or wheel that contains one of the words."""
    wanted = [(word, word.encode()) for word in sorted(words)]
    return [f"{name}: {word}" for name, content in _files(artefact) for word, raw in wanted if raw in content]


def names(artefact: Path) -> list[str]:
    """Return the names of an artefact's files, sorted."""
    return sorted(name for name, _content in _files(artefact))


def _files(artefact: Path) -> Iterator[tuple[str, bytes]]:
    if artefact.suffix == ".whl":
        with zipfile.ZipFile(artefact) as wheel:
            yield from ((name, wheel.read(name)) for name in wheel.namelist())
        return
    with tarfile.open(artefact) as sdist:
        for entry in sdist:
            content = sdist.extractfile(entry)
            if content is not None:
                yield entry.name, content.read()


def environment_words(folders: Iterable[Path], configurations: str) -> set[str]:
    """Return the words of this process's environment and these folders."""
    return words_of_this_machine(os.environ, folders, configurations)
