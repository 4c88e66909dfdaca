"""Scales, ticks whose labels never touch, frames and legends: what several figures share."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import ceil, floor, log10

from markupsafe import Markup

from healthgan.report.charts.svg import SMALL, line, mark, path, text, width_of

APART = 10.0
"""Pixels between two labels of an axis, at least."""


@dataclass(frozen=True)
class Scale:
    """From data to pixels.

    Attributes:
        low: of the data that are shown.
        high: of them.
        start: where ``low`` lies.
        end: where ``high`` lies; before ``start`` on an axis that goes up.
        bend: a rising function that the data go through, such as a logarithm.
    """

    low: float
    high: float
    start: float
    end: float
    bend: Callable[[float], float] = float

    def __call__(self, value: float) -> float:
        """Where a value lies."""
        low, high = self.bend(self.low), self.bend(self.high)
        return self.start + (self.bend(value) - low) / (high - low) * (self.end - self.start)

    def clip(self, value: float) -> float:
        """Where a value lies, or the end of the axis that it lies beyond."""
        return self(min(max(value, self.low), self.high))

    def shows(self, value: float) -> bool:
        """Whether a value lies on the axis."""
        return self.low <= value <= self.high


def steps(low: float, high: float) -> Iterable[tuple[list[float], int]]:
    """Ticks of ever wider steps of 1, 2 or 5, with the digits behind the point that they need."""
    power = floor(log10(high - low)) - 2
    for exponent in range(power, power + 5):
        for factor in (1, 2, 5):
            step = factor * 10.0**exponent
            first, last = ceil(low / step - 1e-9), floor(high / step + 1e-9)
            if last - first <= 40:
                yield (
                    [round(number * step, 12) for number in range(first, last + 1)],
                    max(0, -exponent),
                )


def ticks_across(scale: Scale, label: Callable[[float, int], str], most: int = 9) -> list[tuple[float, str]]:
    """The narrowest steps whose labels fit side by side."""
    for values, digits in steps(scale.low, scale.high):
        labels = [(value, label(value, digits)) for value in values]
        if len(labels) <= most and fits(scale, labels):
            return labels
    return []


def ticks_up(
    scale: Scale, label: Callable[[float, int], str], apart: float = 34.0
) -> list[tuple[float, str]]:
    """The narrowest steps at least ``apart`` pixels from each other."""
    for values, digits in steps(scale.low, scale.high):
        if len(values) < 2 or abs(scale(values[1]) - scale(values[0])) >= apart:
            return [(value, label(value, digits)) for value in values]
    return []


def fits(scale: Scale, labels: Sequence[tuple[float, str]]) -> bool:
    """Whether labels in the middle of their ticks leave room between each other."""
    spans = [
        (scale(value) - width_of(label, SMALL) / 2, scale(value) + width_of(label, SMALL) / 2)
        for value, label in labels
    ]
    return all(one[1] + APART <= other[0] for one, other in pairwise(spans))


def thinned(scale: Scale, labels: Sequence[tuple[float, str]]) -> list[tuple[float, str]]:
    """Of given labels, first and last and as many between as fit: where values are not evenly spaced."""
    kept: list[tuple[float, str]] = []
    for one in labels[:-1]:
        if fits(scale, [*kept, one]) and fits(scale, [*kept, one, labels[-1]]):
            kept.append(one)
    return [*kept, *labels[-1:]]


def plain(value: float, digits: int) -> str:
    """A number with as many digits as its axis needs."""
    return f"{value:.{digits}f}".replace("-", "−")


def signed(value: float, digits: int) -> str:
    """The same with its sign; zero has none."""
    return f"{value:+.{digits}f}".replace("-", "−") if round(value, digits) else "0"


@dataclass(frozen=True)
class Frame:
    """The region of a figure that data are drawn in, with its axes.

    Attributes:
        x: the scale across.
        y: the scale up.
    """

    x: Scale
    y: Scale

    def grid(
        self,
        across: Sequence[tuple[float, str]],
        up: Sequence[tuple[float, str]],
        *,
        title_x: str = "",
        title_y: str = "",
        upright: bool = False,
    ) -> Markup:
        """Grid lines, labels of the ticks, and the axes' names.

        Args:
            across: ticks of the lower axis.
            up: ticks of the left axis.
            title_x: below the lower axis.
            title_y: above the left axis, from its left edge on.
            upright: draw lines at the ticks of the lower axis as well.
        """
        left, right, top, bottom = self.x.start, self.x.end, self.y.end, self.y.start
        parts = [line(left, self.y(value), right, self.y(value), "rule") for value, _ in up]
        parts += [line(self.x(value), top, self.x(value), bottom, "rule") for value, _ in across if upright]
        parts += [
            text(left - 7, self.y(value) + 4, label, anchor="end", fill="muted", size=SMALL)
            for value, label in up
        ]
        parts.append(line(left, bottom, right, bottom, "edge"))
        for value, label in across:
            parts.append(line(self.x(value), bottom, self.x(value), bottom + 4, "edge"))
            parts.append(text(self.x(value), bottom + 18, label, anchor="middle", fill="muted", size=SMALL))
        if title_x:
            parts.append(text((left + right) / 2, bottom + 37, title_x, anchor="middle"))
        if title_y:
            parts.append(text(0, top - 10, title_y))
        return Markup().join(parts)


@dataclass(frozen=True)
class Style:
    """How an arm is drawn: told apart by colour, by the dashes of its line and by the shape of its marks.

    Attributes:
        colour: one of the page's.
        dash: of its line; None for an unbroken one.
        shape: of its marks; empty for none.
        lined: whether it has a line at all.
    """

    colour: str
    dash: str | None
    shape: str
    lined: bool = True

    def line(self, x1: float, y1: float, x2: float, y2: float, width: float = 2.0) -> Markup:
        """A straight line of the arm's."""
        return line(x1, y1, x2, y2, self.colour, stroke_width=width, stroke_dasharray=self.dash)

    def path(self, points: list[tuple[float, float]], width: float = 2.0) -> Markup:
        """Straight lines of the arm's, from point to point."""
        return path(points, self.colour, stroke_width=width, stroke_dasharray=self.dash)

    def mark(self, x: float, y: float, *, filled: bool = True, radius: float = 4.5) -> Markup:
        """A mark of the arm's; nothing where it has none."""
        return mark(self.shape, x, y, self.colour, filled=filled, radius=radius) if self.shape else Markup()


def legend(
    entries: Sequence[tuple[str, Style | None]], width: float, left: float = 0.0
) -> tuple[Markup, float]:
    """Samples and names in as many lines as they need, and how high they are.

    Args:
        entries: name and style; None for a broad grey line.
        width: of the figure.
        left: where to begin.
    """
    parts, x, y = [], left, 14.0
    for name, style in entries:
        needed = 34 + width_of(name) + 18
        if x > left and x + needed - 18 > width:
            x, y = left, y + 20
        if style is None:
            parts.append(line(x, y - 4, x + 26, y - 4, "band", stroke_width=7, stroke_linecap="round"))
        else:
            parts += [style.line(x, y - 4, x + 26, y - 4)] * style.lined
            parts.append(style.mark(x + 13, y - 4, radius=4))
        parts.append(text(x + 33, y, name))
        x += needed
    return Markup().join(parts), y + 8
