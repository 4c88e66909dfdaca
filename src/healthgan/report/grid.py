"""A table of a page: shown, sorted by a click, copied as the very CSV that lies in ``tables/``."""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from markupsafe import Markup, escape

from healthgan.report.words import floor_text
from healthgan.terminal import plain

Row = dict[str, Any]
Align = Literal["number", "left", "words"]


@dataclass(frozen=True)
class Column:
    """A column.

    Attributes:
        title: at its head.
        align: numbers to the right, short words to the left, or sentences that are wrapped.
        kind: of the arm whose colour the head has; empty for none.
        starts: whether a group of columns begins with it.
    """

    title: str
    align: Align = "number"
    kind: str = ""
    starts: bool = False


@dataclass(frozen=True)
class Cell:
    """What stands in a cell.

    Attributes:
        text: what is read first.
        below: a smaller line below it, such as an interval.
        value: what it is sorted by; None for its text.
        style: classes of the style sheet.
        note: a further small line, such as a published figure.
    """

    text: str | Markup
    below: str = ""
    value: float | None = None
    style: str = ""
    note: str = ""


@dataclass(frozen=True)
class Grid:
    """A table.

    Attributes:
        name: of its CSV file, and its id on the page.
        label: what it shows, read out before it.
        columns: the first holds the heads of the rows.
        rows: as many cells as columns.
        foot: a last row that stays below when the others are sorted.
        groups: titles over several columns each: title and how many; those of none are empty.
        csv: the rows of its file; empty where it has none.
        caption: above it.
        style: classes of the style sheet.
    """

    name: str
    label: str
    columns: Sequence[Column]
    rows: Sequence[Sequence[Cell]]
    foot: Sequence[Cell] = ()
    groups: Sequence[tuple[str, int]] = ()
    csv: Sequence[Row] = ()
    caption: str = ""
    style: str = ""

    def __post_init__(self) -> None:
        """A row that is too short would shift its numbers below other heads."""
        assert all(len(row) == len(self.columns) for row in [*self.rows, *([self.foot] if self.foot else [])])

    @property
    def text(self) -> str:
        """Its rows as CSV."""
        return csv_text(self.csv) if self.csv else ""


FORMULA = tuple("=+-@＝＋－＠")
"""What begins a formula in a spreadsheet."""


def csv_text(rows: Sequence[Row]) -> str:
    """Rows with equal keys as CSV, the keys as its header; a cell is empty where nothing is known.

    In text, what does not print is told by its code, and what a spreadsheet would compute has an apostrophe before it,
    which makes it text there too. Numbers stay as they are.
    """
    stream = io.StringIO()
    writer = csv.DictWriter(stream, list(rows[0]), lineterminator="\n")
    writer.writerow({name: _entry(name) for name in rows[0]})
    writer.writerows({name: _entry(value) for name, value in row.items()} for row in rows)
    return stream.getvalue()


def _entry(value: object) -> object:
    """A cell of a CSV file."""
    if not isinstance(value, str):
        return value
    text = plain(value)
    return f"'{text}" if text.lstrip().startswith(FORMULA) and not _is_number(text) else text


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def figure(value: float) -> str:
    """A number of any size with three or so telling digits, and a true minus sign."""
    text = f"{value:.3f}" if abs(value) < 10 else f"{value:.1f}" if abs(value) < 1000 else f"{value:,.0f}"
    return text.replace("-", "−")


def number(value: float | None, digits: int | None = None, note: str = "", style: str = "") -> Cell:
    """A number with so many digits behind the point, by default three or so telling ones; a dash for none."""
    if value is None:
        return Cell("–", note=note, style=style)
    text = figure(value) if digits is None else f"{value:,.{digits}f}".replace("-", "−")
    return Cell(text, value=float(value), note=note, style=style)


def estimate(value: float, low: float, high: float, digits: int | None = None, style: str = "") -> Cell:
    """A number with its interval below it."""
    told = [
        figure(end) if digits is None else f"{end:.{digits}f}".replace("-", "−") for end in (value, low, high)
    ]
    return Cell(told[0], f"{told[1]} to {told[2]}", float(value), style)


def difference(value: float, low: float, high: float, digits: int = 3, style: str = "") -> Cell:
    """A signed number with its interval below it; one that leaves zero out is bold."""
    told = [f"{end:+.{digits}f}".replace("-", "−") for end in (value, low, high)]
    clear = "clear" if low > 0 or high < 0 else ""
    return Cell(told[0], f"{told[1]} to {told[2]}", float(value), f"{style} {clear}".strip())


def head(name: str, below: str = "", kind: str = "") -> Cell:
    """The head of a row, in the colour of its kind of arm."""
    inside = escape(name) if not kind else Markup('<span class="c-{}">{}</span>').format(kind, name)
    return Cell(inside, below)


def floor_head(floor: float) -> Cell:
    """The head of a row that is about a likeness floor."""
    return Cell(f"≥ {floor_text(floor)}", value=floor)
