"""Tables and JSON on the terminal, and text of the user's made safe for it."""

import io
import json
import math
import shutil
import sys
import textwrap
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Group
    from rich.table import Table

WIDTH = 110
"""Columns where no terminal tells its own."""


def print_json(facts: Mapping[str, Any]) -> None:
    """Print facts as JSON on stdout; what is no number stands as null there, as JSON has no name for it."""
    sys.stdout.write(json.dumps(_for_json(facts), indent=2, allow_nan=False) + "\n")


def _for_json(value: object) -> object:
    if isinstance(value, Mapping):
        return {str(key): _for_json(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_for_json(entry) for entry in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def warn(warnings: Iterable[str]) -> None:
    """Print warnings on stderr."""
    for warning in warnings:
        echo(f"Warning: {plain(warning)}", error=True)


def terminal_width() -> int:
    """Columns of the terminal on stdout, at most ``WIDTH``; ``WIDTH`` where there is none."""
    return min(shutil.get_terminal_size().columns, WIDTH) if sys.stdout.isatty() else WIDTH


def echo(text: str, *, error: bool = False) -> None:
    """Print a paragraph on stdout, or on stderr; in a terminal its lines end between words.

    Args:
        text: without markup. To be copied, lines that are indented stay whole, and words that are longer than a line.
        error: whether it goes to stderr.
    """
    stream = sys.stderr if error else sys.stdout
    if stream.isatty():
        width = shutil.get_terminal_size().columns
        text = "\n".join(
            line
            if line.startswith(" ")
            else textwrap.fill(line, width, break_long_words=False, break_on_hyphens=False)
            for line in text.splitlines()
        )
    stream.write(f"{text}\n")
    stream.flush()


def print_tables(tables: Iterable["Table"]) -> None:
    """Print tables on stdout, one below the other; those that are too wide for a terminal as a paragraph a row."""
    from rich.console import Console

    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=WIDTH)
    for table in tables:
        console.print(_fitting(table, console.width))


def as_text(parts: "Iterable[Table | str]", width: int = WIDTH) -> str:
    """Tables and paragraphs as plain text without colours, an empty line between them.

    Args:
        parts: tables, and paragraphs that are wrapped at ``width``.
        width: in characters. A table that needs more becomes a paragraph a row.
    """
    from rich.console import Console
    from rich.text import Text

    stream = io.StringIO()
    console = Console(file=stream, width=width, highlight=False, color_system=None)
    for number, part in enumerate(parts):
        if number:
            console.print()
        console.print(Text(part) if isinstance(part, str) else _fitting(part, width))
    return "\n".join(line.rstrip() for line in stream.getvalue().splitlines())


def _fitting(table: "Table", width: int) -> "Table | Group":
    """The table, or where it is too wide its title and a paragraph a row: the first cell, then titles and cells."""
    from rich.cells import cell_len
    from rich.console import Group
    from rich.text import Text

    columns = [
        [Text.from_markup(str(text)).plain for text in (column.header, *column.cells)]
        for column in table.columns
    ]
    needed = 3 * len(columns) + 1
    for column, texts in zip(table.columns, columns, strict=True):
        pieces = [
            piece for text in texts for piece in (text.splitlines() if column.no_wrap else text.split())
        ]
        needed += max(map(cell_len, pieces), default=0)
    if needed <= width:
        return table
    titles, *rows = zip(*columns, strict=True)
    lines = [Text(str(table.title), style="bold")] if table.title else []
    for row in rows:
        facts = [
            f"{' '.join(title.split())} {cell}"
            for title, cell in zip(titles[1:], row[1:], strict=True)
            if cell
        ]
        lines.append(Text(f"{row[0]}: {', '.join(facts)}" if facts else row[0]))
    return Group(*lines)


def plain(text: str) -> str:
    """Text of the user's without control characters, which a terminal or an SVG would trip over."""
    return "".join(char if char.isprintable() else f"\\x{ord(char):02x}" for char in text)


def shown(text: str) -> str:
    """Text of the user's for a Rich table: no control characters, no markup."""
    from rich.markup import escape

    return escape(plain(text))
