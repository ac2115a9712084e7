"""Reads a function's settings into one frozen dataclass when the function starts. Every field is required.

The settings are plain dataclasses. Importing pydantic would cost an authorizer's cold start more than everything else.
"""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, TypeVar

T = TypeVar("T")


class MissingSettingError(Exception):
    """An environment variable that the template should set is missing or has a wrong form."""

    def __init__(self, name: str, problem: str) -> None:
        super().__init__(name, problem)
        self.name, self.problem = name, problem

    def __str__(self) -> str:
        return f"the environment variable {self.name} {self.problem}"


def read_settings(settings: type[T], environ: Mapping[str, str]) -> T:
    """Return an instance of `settings`, read from environment variables named like its fields in capitals.

    Raises:
        MissingSettingError: a variable is missing, or is not a whole number where the field is an int.
    """
    values: dict[str, Any] = {}
    for field in fields(settings):  # type: ignore[arg-type]
        name = field.name.upper()
        if name not in environ:
            raise MissingSettingError(name, "is missing")
        values[field.name] = environ[name]
        if field.type in (int, "int"):
            if not (environ[name].isascii() and environ[name].isdigit()):
                raise MissingSettingError(name, "is not a whole number")
            values[field.name] = int(environ[name])
        elif field.type in (tuple[str, ...], "tuple[str, ...]"):
            values[field.name] = tuple(part for part in environ[name].split(",") if part)
    return settings(**values)
