"""Render the limits of the wire for TypeScript and for PROTOCOL.md."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterator
from dataclasses import dataclass
from types import ModuleType

from logferry_protocol import limits

from .typescript import banner, comment


@dataclass(frozen=True, slots=True)
class Limit:
    """One constant of `limits.py`."""

    name: str
    value: int
    description: str

    @property
    def summary(self) -> str:
        """The first sentence of the description, without its period."""
        return re.split(r"(?<=\.)\s", self.description, maxsplit=1)[0].removesuffix(".")


def read_limits(module: ModuleType = limits) -> list[Limit]:
    """Return the limits of a module in the order of its source.

    Raises:
        ValueError: a limit has no docstring of its own.
    """
    return list(_read(module))


def _read(module: ModuleType) -> Iterator[Limit]:
    statements = ast.parse(inspect.getsource(module)).body
    for statement, following in zip(statements, [*statements[1:], None], strict=True):
        if not isinstance(statement, ast.AnnAssign) or not isinstance(statement.target, ast.Name):
            continue
        name = statement.target.id
        match following:
            case ast.Expr(ast.Constant(str(documentation))):
                yield Limit(name, int(getattr(module, name)), " ".join(documentation.split()))
            case _:
                raise ValueError(f"{module.__name__}.{name} has no docstring below it: write one")


def limits_typescript() -> str:
    """Return web/src/limits.ts: one constant a limit, so that a bundler drops those that nobody imports."""
    constants = [
        f"{comment(limit.description)}\nexport const {limit.name} = {limit.value:_};" for limit in read_limits()
    ]
    return banner("protocol/logferry_protocol/limits.py") + "\n" + "\n".join(constants) + "\n"


def limits_table() -> str:
    """Return the table of limits in PROTOCOL.md."""
    rows = [f"| `{limit.name}` | {limit.value:,} | {limit.summary} |" for limit in read_limits()]
    return "\n".join(["| limit | value | meaning |", "|---|---|---|", *rows]) + "\n"
