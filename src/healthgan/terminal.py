"""Tables and JSON on the terminal, and text of the user's made safe for it."""

import io
import json
import math
import sys
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.table import Table

WIDTH = 110
"""Columns where no terminal tells its own."""


def print_json(facts: Mapping[str, Any]) -> None:
    """Print facts as JSON on stdout; what is no number stands as null there, as JSON has no name for it."""
    sys.stdout.write(json.dumps(_for_json(facts), indent=2, allow_nan=False) + "\n")


def _for_json(value: Any) -> Any:  # noqa: ANN401
    if isinstance(value, Mapping):
        return {str(key): _for_json(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_for_json(entry) for entry in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def warn(warnings: Iterable[str]) -> None:
    """Print warnings on stderr."""
    for warning in warnings:
        sys.stderr.write(f"Warning: {plain(warning)}\n")


def print_tables(tables: Iterable["Table"]) -> None:
    """Print tables on stdout, one below the other."""
    from rich.console import Console

    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=WIDTH)
    for table in tables:
        console.print(table)


def as_text(parts: "Iterable[Table | str]", width: int = WIDTH) -> str:
    """Tables and paragraphs as plain text without colours, an empty line between them.

    Args:
        parts: tables, and paragraphs that are wrapped at ``width``.
        width: in characters.
    """
    from rich.console import Console
    from rich.text import Text

    stream = io.StringIO()
    console = Console(file=stream, width=width, highlight=False, color_system=None)
    for number, part in enumerate(parts):
        if number:
            console.print()
        console.print(Text(part) if isinstance(part, str) else part)
    return "\n".join(line.rstrip() for line in stream.getvalue().splitlines())


def plain(text: str) -> str:
    """Text of the user's without control characters, which a terminal or an SVG would trip over."""
    return "".join(char if char.isprintable() else f"\\x{ord(char):02x}" for char in text)


def shown(text: str) -> str:
    """Text of the user's for a Rich table: no control characters, no markup."""
    from rich.markup import escape

    return escape(plain(text))
