"""Find every regular expression of the Python sources and check all of ours, the viewer's too, for superlinear time.

`python -m infra.checks.expressions` is part of `make check`. Expressions are found in two ways:

* at run time, in the calls of `re.compile` while all modules are imported. This includes what a function builds from
  constants;
* in the syntax tree, in calls inside functions, which no import reaches.

recheck knows only JavaScript's expressions, so the use of an expression (`fullmatch`, `match`, `search` …) decides how
it is anchored. web/scripts/expressions.mjs runs recheck and explains the `recheck:` comments. Expressions that users
write are not checked: they run on RE2.
"""

from __future__ import annotations

import argparse
import ast
import importlib
import json
import pkgutil
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import FrameType, ModuleType
from typing import Any

HOME = Path(__file__).resolve().parents[2]
PACKAGES = (
    "logferry_protocol",
    "logferry_agent",
    "logferry_cli",
    "logferry_local",
    "logferry_state",
    "connect",
    "ingest",
    "broadcast",
    "query",
    "archive",
    "pages",
    "publish",
    "registry",
    "runtime",
)
FOLDERS = ("protocol", "agent", "cli", "functions", "infra")
CACHE = HOME / ".setup" / "recheck.json"

_ANCHORED = {"match", "fullmatch"}
_USES = {*_ANCHORED, "search", "sub", "subn", "split", "findall", "finditer"}
_MARK = "recheck: "
_COMMENT_LINES = 4
_FLAGS = (("i", re.IGNORECASE), ("m", re.MULTILINE), ("s", re.DOTALL))


@dataclass(frozen=True)
class Expression:
    """A regular expression of Python, where it is, and how it is used."""

    file: str
    line: int
    # None when it is known only at run time.
    source: str | None
    flags: int = 0
    # The variable that holds it. Its uses are searched for by this name.
    name: str | None = None
    uses: frozenset[str] = field(default_factory=frozenset)


@dataclass(frozen=True)
class _Source:
    """A module's syntax tree, and the module itself where it can be imported."""

    file: str
    tree: ast.Module
    module: ModuleType | None


def expressions_of(home: Path, folders: tuple[str, ...], packages: tuple[str, ...]) -> list[Expression]:
    """Return the expressions of all modules in `folders`, and of what importing `packages` compiles."""
    compiled = _compiled_by_import(home, packages)
    modules = {Path(file).resolve(): module for module in list(sys.modules.values()) if (file := _file_of(module))}
    sources = [
        _Source(str(path.relative_to(home)), ast.parse(path.read_text("utf-8")), modules.get(path))
        for folder in folders
        for path in sorted((home / folder).rglob("*.py"))
        if not any(part.startswith(".") for part in path.relative_to(home).parts)
    ]
    names = {source.file: _assigned_names(source.tree) for source in sources}
    uses = _uses_by_name(sources)
    found: dict[tuple[str, int, str | None], Expression] = {(one.file, one.line, one.source): one for one in compiled}
    seen_at = {(one.file, one.call_line) for one in compiled}
    for source in sources:
        for one in _called_in(source):
            # An expression built from an argument was seen at run time, or it needs a reason.
            if one.source is None and (one.file, one.line) in seen_at:
                continue
            found.setdefault((one.file, one.line, one.source), one)
    made = []
    for one in found.values():
        name = names.get(one.file, {}).get(one.line)
        plain = Expression(one.file, one.line, one.source, one.flags, name, one.uses)
        made.append(replace(plain, uses=frozenset(uses.get(name, ()))) if name is not None and not one.uses else plain)
    return sorted(made, key=lambda one: (one.file, one.line, one.source or ""))


@dataclass(frozen=True)
class _Compiled(Expression):
    # The line of the call of `re.compile`, which may be in a function that builds expressions from constants.
    call_line: int = 0


def _compiled_by_import(home: Path, packages: tuple[str, ...]) -> list[_Compiled]:
    found: list[_Compiled] = []
    real = re.compile

    def recording_compile(pattern: Any, flags: Any = 0) -> Any:
        made = real(pattern, flags)
        lines = list(_lines_within(home, sys._getframe(1)))
        if lines and isinstance(pattern, str | bytes) and lines[0][2]:
            file = lines[0][0]
            text = pattern if isinstance(pattern, str) else pattern.decode("latin-1")
            line = max(number for name, number, _ in lines if name == file)
            found.append(_Compiled(file, line, text, int(made.flags), call_line=lines[0][1]))
        return made

    re.compile = recording_compile
    try:
        for name in packages:
            package = importlib.import_module(name)
            for info in pkgutil.walk_packages(getattr(package, "__path__", []), name + "."):
                # A handler reads its settings at import, so it is not imported. Its expressions are found in the syntax
                # tree, where one that is built from arguments is a failure: nothing is missed silently.
                if info.name.rpartition(".")[2] not in {"__main__", "handler"}:
                    importlib.import_module(info.name)
    finally:
        re.compile = real
    return found


def _lines_within(home: Path, frame: FrameType | None) -> Iterator[tuple[str, int, bool]]:
    """Yield file and line of our own frames, innermost first, and whether the innermost frame of all is ours."""
    innermost = True
    while frame is not None:
        path = Path(frame.f_code.co_filename)
        if path.is_relative_to(home) and not any(part.startswith(".venv") for part in path.parts):
            yield str(path.relative_to(home)), frame.f_lineno, innermost
        innermost = False
        frame = frame.f_back


def _file_of(module: ModuleType) -> str | None:
    file = getattr(module, "__file__", None)
    return file if isinstance(file, str) else None


def _assigned_names(tree: ast.Module) -> dict[int, str]:
    names: dict[int, str] = {}
    for node in ast.walk(tree):
        target = (
            node.targets[0]
            if isinstance(node, ast.Assign)
            else node.target
            if isinstance(node, ast.AnnAssign)
            else None
        )
        if isinstance(target, ast.Name) and isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
            for line in range(node.lineno, (node.end_lineno or node.lineno) + 1):
                names.setdefault(line, target.id)
    return names


def _uses_by_name(sources: list[_Source]) -> dict[str, set[str]]:
    """Return the methods that are called on each name, in whichever module: `KEY.fullmatch`, `settings.KEY.search`."""
    uses: dict[str, set[str]] = {}
    for source in sources:
        for node in ast.walk(source.tree):
            if isinstance(node, ast.Attribute):
                owner = node.value
                name = (
                    owner.id
                    if isinstance(owner, ast.Name)
                    else owner.attr
                    if isinstance(owner, ast.Attribute)
                    else None
                )
                if name is not None and node.attr in _USES:
                    uses.setdefault(name, set()).add(node.attr)
    return uses


def _called_in(source: _Source) -> Iterator[Expression]:
    for node in ast.walk(source.tree):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.args):
            continue
        owner, method = node.func.value, node.func.attr
        if isinstance(owner, ast.Name) and owner.id == "re" and (method in _USES or method == "compile"):
            flags = 0
            for given in [
                *node.args[_flags_place(method) :],
                *(word.value for word in node.keywords if word.arg == "flags"),
            ]:
                flags |= _flags_of(given)
            uses = frozenset() if method == "compile" else frozenset({method})
            yield Expression(source.file, node.lineno, _text_of(node.args[0], source.module), flags, uses=uses)


def _flags_place(method: str) -> int:
    return {"compile": 1, "sub": 4, "subn": 4, "split": 3}.get(method, 2)


def _flags_of(node: ast.expr) -> int:
    if isinstance(node, ast.BinOp):
        return _flags_of(node.left) | _flags_of(node.right)
    return int(getattr(re, node.attr, 0)) if isinstance(node, ast.Attribute) else 0


def _text_of(node: ast.expr, module: ModuleType | None) -> str | None:
    """Return the text that an argument stands for: constants, and what a module's names hold."""
    if isinstance(node, ast.Constant):
        if isinstance(node.value, bytes):
            return node.value.decode("latin-1")
        return node.value if isinstance(node.value, str) else None
    if isinstance(node, ast.Name):
        value = getattr(module, node.id, None)
        return value if isinstance(value, str) else None
    parts: list[ast.expr] = []
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        parts = [node.left, node.right]
    elif isinstance(node, ast.JoinedStr):
        parts = [part.value if isinstance(part, ast.FormattedValue) else part for part in node.values]
    texts = [_text_of(part, module) for part in parts]
    return "".join(text for text in texts if text is not None) if texts and None not in texts else None


def as_javascript(one: Expression) -> tuple[str, str] | None:
    """Return source and flags as JavaScript has them, anchored as the expression is used; None when it is not known."""
    if one.source is None:
        return None
    text = one.source.replace("(?P<", "(?<").replace("\\A", "(?<![^])").replace("\\Z", "(?![^])").replace("{,", "{0,")
    # Python's own flags before everything else: the compiled pattern has them already.
    text = re.sub(r"^\(\?[aiLmsux]{1,7}\)", "", text)
    if one.flags & re.VERBOSE:
        raise ValueError(f"{one.file}:{one.line}: re.VERBOSE is not understood here")
    unicode = any(ord(character) > 0xFFFF for character in text)
    escape = "\\u{%x}" if unicode else "\\u%04x"
    text = "".join(c if " " <= c <= "~" else escape % ord(c) for c in text)
    flags = "".join(letter for letter, flag in _FLAGS if one.flags & flag) + ("u" if unicode else "")
    if one.uses == {"fullmatch"}:
        return f"^(?:{text})$", flags.replace("m", "")
    if one.uses and one.uses <= _ANCHORED:
        return f"^(?:{text})", flags.replace("m", "")
    return text, flags


def listed(expressions: list[Expression], home: Path) -> list[dict[str, object]]:
    """Return expressions as web/scripts/expressions.mjs takes them."""
    items: list[dict[str, object]] = []
    for one in expressions:
        made = as_javascript(one)
        source, flags = made if made is not None else (None, None)
        excuse = _excuse_at((home / one.file).read_text("utf-8").splitlines(), one.line - 1)
        items.append({"file": one.file, "line": one.line, "source": source, "flags": flags, "excuse": excuse})
    return items


def _excuse_at(lines: list[str], at: int) -> str | None:
    for line in range(at, max(-1, at - _COMMENT_LINES - 1), -1):
        text = lines[line]
        if line < at and not text.lstrip().startswith("#"):
            break
        if _MARK in text:
            return text.split(_MARK, 1)[1].strip()
    return None


def main(arguments: list[str]) -> int:
    """Check every expression of this checkout; print those to mend."""
    parser = argparse.ArgumentParser(prog="python -m infra.checks.expressions", description=main.__doc__)
    parser.add_argument("--list", action="store_true", help="print Python's expressions as JSON and check nothing")
    given = parser.parse_args(arguments)
    items = listed(expressions_of(HOME, FOLDERS, PACKAGES), HOME)
    if given.list:
        print(json.dumps(items, indent=1))
        return 0
    return subprocess.run(recheck_command("-"), input=json.dumps(items), text=True, check=False).returncode


def recheck_command(expressions: str, *more: str) -> list[str]:
    """Return the command that checks a file of expressions (`-` is standard input) and the viewer's."""
    script = HOME / "web" / "scripts" / "expressions.mjs"
    return ["node", str(script), "--list", expressions, *(more or ("--cache", str(CACHE)))]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
