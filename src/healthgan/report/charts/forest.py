"""Differences with their intervals, a row each, beside the region of no practical interest."""

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from healthgan.report.charts.axes import Scale, signed, ticks_across
from healthgan.report.charts.svg import SMALL, Figure, element, line, mark, minus, text, tip, width_of

COLOUR = {"reference": "real", "synthetic": "generated", "control": "control"}
SHAPE = {"reference": "circle", "synthetic": "square", "control": "triangle"}

ROW, STACKED, HEADING = 27.0, 42.0, 30.0
MOST_LABEL = 0.4
"""Share of the width beyond which labels go above their rows."""
CONTROLS = 1.6
"""How many times as far as the other arms a control may stretch the axis."""


@dataclass(frozen=True)
class Line:
    """A row of a forest plot.

    Attributes:
        label: what differs.
        group: ``reference``, ``synthetic`` or ``control``.
        value: the difference.
        low: of the interval that a verdict rests on.
        high: of it.
        inner: the narrower interval of this row alone; None where there is one interval only.
        steady: whether its interval may set the axis; a failed training's is cut with an arrow.
    """

    label: str
    group: str
    value: float
    low: float
    high: float
    inner: tuple[float, float] | None = None
    steady: bool = True

    @property
    def clear(self) -> bool:
        """Whether the interval leaves zero out."""
        return self.low > 0 or self.high < 0


@dataclass(frozen=True)
class Forest:
    """What a forest plot shows.

    Attributes:
        lines: its rows, those of a group together.
        axis: what is shown.
        equivalence: half the width of the region of no practical interest; 0 for none.
        titles: group → heading; without one rows follow each other.
        digits: behind the point.
        sides: what lies left and right of zero.
    """

    lines: Sequence[Line]
    axis: str
    equivalence: float
    titles: dict[str, str]
    digits: int = 3
    sides: tuple[str, str] = ("← worse", "better →")

    def figure(self, name: str, title: str) -> Figure:
        """It as a figure, with all its numbers in its description."""
        told = "; ".join(f"{row.label} {self.told(row)}" for row in self.lines)
        return Figure(name, title, f"{self.axis}, with 95 % intervals: {told}.", self.draw)

    def told(self, row: Line) -> str:
        """A row's numbers as text."""
        numbers = [f"{value:+.{self.digits}f}" for value in (row.value, row.low, row.high)]
        return minus(f"{numbers[0]} ({numbers[1]} to {numbers[2]})")

    def draw(self, width: float) -> tuple[Markup, float]:
        """The plot at a width: labels to the left and numbers to the right, or above rows where there is no room."""
        labels = max(width_of(row.label) for row in self.lines) + 14
        numbers = max(width_of(self.told(row), SMALL) for row in self.lines) + 16
        stacked = labels > MOST_LABEL * width
        if stacked:
            labels = 12.0
        aside = numbers if not stacked and width - labels - numbers > width / 2 else 0.0
        low, high = self.limits()
        scale = Scale(low, high, labels + 6, width - aside - 18)
        places, headings, bottom = self._places(stacked)
        parts = [self._ground(scale, bottom)]
        for y, group in headings:
            parts.append(text(0, y + 5, self.titles[group], fill="muted", size=SMALL, weight="600"))
        for y, row in zip(places, self.lines, strict=True):
            parts.append(tip(f"{row.label}: {self.told(row)}", *_interval(scale, y, row)))
            if stacked:
                parts.append(text(0, y - 14, row.label, clear=True))
                if width_of(row.label) + numbers < width:
                    told = text(
                        width, y - 14, self.told(row), anchor="end", size=SMALL, fill="muted", clear=True
                    )
                    parts.append(told)
            else:
                parts.append(text(0, y + 4.5, row.label))
            if aside:
                parts.append(text(width, y + 4.5, self.told(row), anchor="end", size=SMALL))
        parts.append(self._axis(scale, bottom, width))
        return Markup().join(parts), bottom + 29 + 17 * len(self._title(width))

    def limits(self) -> tuple[float, float]:
        """The ends of the axis, set by the steady arms; controls, which may differ a lot, stretch it only so far."""
        steady = [row for row in self.lines if row.steady] or list(self.lines)
        main = [row for row in steady if row.group != "control"] or steady
        least = 1.6 * self.equivalence or 0.1 * max(abs(row.value) for row in main) or 1.0
        ends = [min(row.low for row in main), max(row.high for row in main)]
        span = max(ends[1], least) - min(ends[0], -least)
        for row in steady:
            ends[0] = min(ends[0], max(row.low, ends[0] - (CONTROLS - 1) * span))
            ends[1] = max(ends[1], min(row.high, ends[1] + (CONTROLS - 1) * span))
        low, high = min(ends[0], -least), max(ends[1], least)
        room = 0.03 * (high - low)
        return low - room, high + room

    def _places(self, stacked: bool) -> tuple[list[float], list[tuple[float, str]], float]:
        """Where rows and headings lie, and where the plot ends."""
        places, headings, y = [], [], 30.0
        for number, row in enumerate(self.lines):
            if self.titles and (number == 0 or row.group != self.lines[number - 1].group):
                y += 10 if number else 0
                headings.append((y, row.group))
                y += HEADING
            y += STACKED - ROW if stacked else 0
            places.append(y)
            y += ROW
        return places, headings, y - 6

    def _ground(self, scale: Scale, bottom: float) -> Markup:
        """The region of no practical interest, the line of no difference, and which side is better."""
        parts, zero = [], scale(0)
        if self.equivalence:
            left, right = scale(-self.equivalence), scale(self.equivalence)
            parts.append(
                element("rect", x=left, y=16, width=right - left, height=bottom - 16, fill="var(--band)")
            )
        parts.append(line(zero, 16, zero, bottom, "edge"))
        room = (zero - scale.start, scale.end - zero)
        for side, offset, anchor, free in zip(self.sides, (-8, 8), ("end", "start"), room, strict=True):
            if free > width_of(side, SMALL) + 8:
                parts.append(text(zero + offset, 11, side, anchor=anchor, fill="muted", size=SMALL))
        return Markup().join(parts)

    def _axis(self, scale: Scale, bottom: float, width: float) -> Markup:
        parts = [line(scale.start, bottom, scale.end, bottom, "edge")]
        for value, label in ticks_across(scale, signed):
            parts.append(line(scale(value), bottom, scale(value), bottom + 4, "edge"))
            parts.append(text(scale(value), bottom + 18, label, anchor="middle", fill="muted", size=SMALL))
        for number, words in enumerate(self._title(width)):
            half = width_of(words) / 2
            middle = min(max((scale.start + scale.end) / 2, half), max(width - half, half))
            parts.append(text(middle, bottom + 39 + 17 * number, words, anchor="middle"))
        return Markup().join(parts)

    def _title(self, width: float) -> list[str]:
        """The axis's name, in as many lines as it needs."""
        lines = [""]
        for word in self.axis.split():
            if lines[-1] and width_of(f"{lines[-1]} {word}") > width:
                lines.append("")
            lines[-1] = f"{lines[-1]} {word}".strip()
        return lines


def _interval(scale: Scale, y: float, row: Line) -> list[Markup]:
    """The thin interval, the thick one, and the mark; an arrow where something lies beyond the axis."""
    colour, shape = COLOUR[row.group], SHAPE[row.group]
    parts = [
        element(
            "rect", x=scale.start, y=y - 11, width=scale.end - scale.start, height=22, fill="transparent"
        ),  # to be pointed at
        line(scale.clip(row.low), y, scale.clip(row.high), y, colour, stroke_width=1.3),
    ]
    if row.inner is not None:
        ends = [scale.clip(value) for value in row.inner]
        if ends[0] < ends[1]:
            parts.append(line(ends[0], y, ends[1], y, colour, stroke_width=3.6))
    if row.low < scale.low:
        parts.append(_arrow(scale.start, y, -1, colour))
    if row.high > scale.high:
        parts.append(_arrow(scale.end, y, 1, colour))
    if scale.shows(row.value):
        parts.append(mark(shape, scale(row.value), y, colour, filled=row.clear))
    return parts


def _arrow(x: float, y: float, side: int, colour: str) -> Markup:
    """The head of an arrow that points out of the plot."""
    points = f"{x + side * 7:.2f},{y:.2f} {x - side * 2:.2f},{y - 5:.2f} {x - side * 2:.2f},{y + 5:.2f}"
    return element("polygon", points=points, fill=f"var(--{colour})")
