"""Reference pages from the program itself: ``python tests/reference_pages.py`` writes them into docs/reference.

The command line is read from the Typer app; the Python page from the source's signatures and docstrings, which are
parsed and not imported, so that types read as they were written.
"""

import ast
import inspect
import re
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from typing import Any

from typer.main import get_command

import healthgan
from healthgan.cli import app

ROOT = Path(__file__).parents[1]
PAGES = ROOT / "docs/reference"
WRITTEN = "*Written by `python tests/reference_pages.py`; a test compares it with the program.*"
SECTIONS = {"Args:": "Arguments", "Returns:": "Returns", "Raises:": "Raises", "Attributes:": "Attributes"}


def cli_page() -> str:
    """Every command with its arguments and options."""
    parts = ["# Command line", WRITTEN, *_command("healthgan", get_command(app))]
    return "\n\n".join(parts) + "\n"


def _command(name: str, command: Any) -> Iterator[str]:
    below = getattr(command, "commands", {})
    arguments = [param.name.upper() for param in command.params if param.param_type_name == "argument"]
    usage = " ".join([name, "[OPTIONS]", *arguments, *(["COMMAND"] if below else [])])
    yield f"## {name}"
    yield " ".join(inspect.cleandoc(command.help or "").split())
    yield f"```text\n{usage}\n```"
    rows = [_row(param) for param in command.params]
    if rows:
        yield "\n".join(["| name | what it is |", "|---|---|", *rows])
    for each, found in below.items():
        yield from _command(f"{name} {each}", found)


def _row(param: Any) -> str:
    if param.param_type_name == "argument":
        names = f"`{param.name.upper()}`"
    else:
        names = ", ".join(f"`{name}`" for name in (*param.opts, *param.secondary_opts))
    facts = "; ".join(part for part in (_values(param), _default(param)) if part)
    text = " ".join((param.help or "").split())
    cells = (names, f"{text} *({facts})*" if facts else text)
    return "| " + " | ".join(cell.replace("|", r"\|") for cell in cells) + " |"


def _values(param: Any) -> str:
    """What may be given."""
    if getattr(param, "is_flag", False):
        return ""
    if param.metavar:
        return str(param.metavar)
    kind = param.type_descriptor.annotation
    if issubclass(kind, Enum):
        return ", ".join(str(choice.value) for choice in kind)
    least = "" if param.min is None else f", {param.min} or more"
    most = "" if param.max is None else f", {param.max} or less"
    return {int: "whole number", float: "number", str: "text", Path: "path"}[kind] + least + most


def _default(param: Any) -> str:
    if param.required:
        return "required"
    value = _plain(param.default)
    if getattr(param, "secondary_opts", None) and isinstance(value, bool):
        return f"default `{(param.opts if value else param.secondary_opts)[0]}`"
    shown = isinstance(value, str | int | float) and not isinstance(value, bool)
    return f"default `{value}`" if shown else ""


def _plain(value: Any) -> Any:
    return value.value if isinstance(value, Enum) else value


def python_page() -> str:
    """Every public name with its signature and docstring."""
    parts = ["# Python", "[From Python](../python.md) shows how they go together.", WRITTEN]
    for name in sorted(healthgan.__all__, key=str.lower):
        if name != "__version__":
            parts += _name(name)
    return "\n\n".join(parts) + "\n"


def _name(name: str) -> Iterator[str]:
    path = ROOT / "src/healthgan" / f"{healthgan._PLACES[name]}.py"
    tree = ast.parse(path.read_text("utf-8"))
    node = next(
        found
        for found in tree.body
        if isinstance(found, ast.FunctionDef | ast.ClassDef) and found.name == name and not _overload(found)
    )
    yield f"## healthgan.{name}"
    if isinstance(node, ast.FunctionDef):
        yield _signature(node, name)
        yield from _docstring(node)
        return
    methods = [found for found in node.body if isinstance(found, ast.FunctionDef)]
    start = [found for found in methods if found.name == "__init__"]
    fields = [found for found in node.body if isinstance(found, ast.AnnAssign) and found.value is None]
    inside = ", ".join(ast.unparse(found) for found in fields)
    yield _signature(start[0], name) if start else _code(f"{name}({inside})")
    yield from _docstring(node)
    for method in methods:
        if not method.name.startswith("_") and ast.get_docstring(method):
            yield f"### {name}.{method.name}"
            marks = [ast.unparse(mark) for mark in method.decorator_list]
            is_property = any(mark in ("property", "cached_property") for mark in marks)
            if is_property:
                yield _code(f"{name}.{method.name}: {_annotation(method.returns)}")
            else:
                yield _signature(method, f"{name}.{method.name}")
            yield from _docstring(method)


def _overload(node: ast.AST) -> bool:
    return any(ast.unparse(mark) == "overload" for mark in getattr(node, "decorator_list", []))


def _signature(node: ast.FunctionDef, name: str) -> str:
    """One argument a line, ``self`` left out."""
    spec = node.args
    spec.args = [each for each in spec.args if each.arg != "self"]
    given: list[str] = []
    first = len(spec.args) - len(spec.defaults)
    for place, each in enumerate(spec.args):
        given.append(_argument(each, spec.defaults[place - first] if place >= first else None))
    if spec.kwonlyargs:
        given.append("*")
    given += [_argument(each, value) for each, value in zip(spec.kwonlyargs, spec.kw_defaults, strict=True)]
    result = "" if node.name == "__init__" else f" -> {_annotation(node.returns)}"
    inside = "".join(f"\n    {each}," for each in given)
    return _code(f"{name}({inside}\n){result}" if given else f"{name}(){result}")


def _argument(node: ast.arg, default: ast.expr | None) -> str:
    kind = f": {_annotation(node.annotation)}" if node.annotation else ""
    return f"{node.arg}{kind}" + ("" if default is None else f" = {ast.unparse(default)}")


def _annotation(node: ast.expr | None) -> str:
    if isinstance(node, ast.Constant) and isinstance(
        node.value, str
    ):  # a name that is imported for types alone
        return node.value
    return "" if node is None else ast.unparse(node)


def _code(text: str) -> str:
    return f"<!-- not run: a signature -->\n\n```python\n{text}\n```"


def _docstring(node: ast.FunctionDef | ast.ClassDef) -> Iterator[str]:
    """The docstring's paragraphs, its sections as lists."""
    text = ast.get_docstring(node) or ""
    text = re.sub(r":\w+:`~?([^`]+)`", r"`\1`", text).replace("``", "`")
    for paragraph in text.split("\n\n"):
        lines = paragraph.splitlines()
        if lines[0].strip() not in SECTIONS:
            yield " ".join(line.strip() for line in lines)
            continue
        title = SECTIONS[lines[0].strip()]
        yield f"**{title}**"
        plain = title == "Returns"
        yield " ".join(line.strip() for line in lines[1:]) if plain else "\n".join(_items(lines[1:]))


def _items(lines: list[str]) -> Iterator[str]:
    """``name: text`` and what goes on below it, further indented, as one item each."""
    item = ""
    for line in lines:
        if line.startswith("        "):
            item += " " + line.strip()
            continue
        if item:
            yield item
        item = "- " + re.sub(r"^(\w+):", r"`\1`:", line.strip())
    yield item


def main() -> None:
    """Write both pages."""
    PAGES.mkdir(exist_ok=True)
    (PAGES / "cli.md").write_text(cli_page(), "utf-8")
    (PAGES / "python.md").write_text(python_page(), "utf-8")


if __name__ == "__main__":
    main()
