"""SVG from plain values: elements, text and how wide it will be, and a whole figure in its two widths."""

import re
from collections.abc import Callable
from dataclasses import dataclass

from markupsafe import Markup, escape

from healthgan.report.palette import on_white

WIDE, NARROW = 720.0, 360.0
"""Widths in pixels at which a figure is drawn: one for a page or paper, one for a telephone."""

SIZE, SMALL = 13.0, 12.0
"""Heights of text in pixels."""

_NARROW_CHARS = frozenset("fijlrtI.,:;'|!()[] ")
_WIDE_CHARS = frozenset("mwMW%@—→←+−±")


def element(name: str, *children: Markup | str, **attributes: str | float | None) -> Markup:
    """One element; text is escaped, numbers are cut to hundredths of a pixel, what is None is left out.

    Args:
        name: of the element.
        children: elements, or text.
        attributes: an underscore stands for a hyphen, at the end for nothing (``class_``).
    """
    told = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{_value(value)}"'
        for key, value in attributes.items()
        if value is not None
    )
    inside = "".join(escape(child) for child in children)
    return Markup(f"<{name}{told}>{inside}</{name}>" if inside else f"<{name}{told}/>")  # noqa: S704 - escaped above


def _value(value: str | float) -> str:
    return str(escape(value)) if isinstance(value, str) else _short(value)


def _short(value: float) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".") if round(value, 2) else "0"


def line(x1: float, y1: float, x2: float, y2: float, stroke: str, **more: str | float | None) -> Markup:
    """A straight line in one of the page's colours."""
    return element("line", x1=x1, y1=y1, x2=x2, y2=y2, stroke=f"var(--{stroke})", **more)


def path(points: list[tuple[float, float]], stroke: str, **more: str | float | None) -> Markup:
    """Straight lines from point to point."""
    drawn = "M" + "L".join(f"{_value(x)} {_value(y)}" for x, y in points)
    return element("path", d=drawn, fill="none", stroke=f"var(--{stroke})", stroke_linejoin="round", **more)


def text(
    x: float,
    y: float,
    content: str,
    *,
    anchor: str = "start",
    fill: str = "ink",
    size: float = SIZE,
    weight: str | None = None,
    clear: bool = False,
) -> Markup:
    """A line of text whose baseline starts, ends or has its middle at a point; ``clear`` of the lines that it crosses."""
    return element(
        "text",
        content,
        x=x,
        y=y,
        fill=f"var(--{fill})",
        font_size=size,
        text_anchor=None if anchor == "start" else anchor,
        font_weight=weight,
        stroke="var(--paper)" if clear else None,
        stroke_width=4.0 if clear else None,
        paint_order="stroke" if clear else None,
    )


def mark(shape: str, x: float, y: float, colour: str, *, filled: bool = True, radius: float = 5.0) -> Markup:
    """A circle, square, triangle or diamond of about equal area: shape tells kinds apart without their colour."""
    style: dict[str, str | float] = {
        "fill": f"var(--{colour if filled else 'paper'})",
        "stroke": f"var(--{colour})",
        "stroke_width": 1.6,
    }
    if shape == "circle":
        return element("circle", cx=x, cy=y, r=radius, **style)
    if shape == "square":
        half = 0.9 * radius
        return element("rect", x=x - half, y=y - half, width=2 * half, height=2 * half, **style)
    corners = {
        "triangle": [(0.0, -1.25), (1.15, 0.8), (-1.15, 0.8)],
        "diamond": [(0.0, -1.3), (1.3, 0.0), (0.0, 1.3), (-1.3, 0.0)],
    }[shape]
    points = " ".join(f"{_short(x + dx * radius)},{_short(y + dy * radius)}" for dx, dy in corners)
    return element("polygon", points=points, stroke_linejoin="round", **style)


def width_of(content: str, size: float = SIZE) -> float:
    """About how wide a text is, on the wide side for the fonts of common systems, DejaVu Sans among them."""
    units = sum(0.35 if char in _NARROW_CHARS else 0.9 if char in _WIDE_CHARS else 0.61 for char in content)
    return units * size


@dataclass(frozen=True)
class Figure:
    """A figure that is drawn for any width.

    Attributes:
        name: of its file, and the start of its ids.
        title: what it is, in a few words.
        description: what it shows, for those who can't see it.
        draw: width → what is in it, and its height.
    """

    name: str
    title: str
    description: str
    draw: Callable[[float], tuple[Markup, float]]

    def file(self) -> str:
        """The figure by itself, on white, for any program that opens SVG."""
        body, height = self.draw(WIDE)
        ground = element("rect", width=WIDE, height=height, fill="#ffffff")
        drawn = self._svg(ground + body, WIDE, height, "file", font_family="sans-serif")
        return on_white(drawn.replace("var(--paper)", "#ffffff")) + "\n"

    def markup(self) -> Markup:
        """The figure for a page, once wide and once narrow; the style sheet shows the one that fits."""
        wide, narrow = (self._on_page(width, kind) for width, kind in ((WIDE, "wide"), (NARROW, "narrow")))
        return wide + narrow

    def _on_page(self, width: float, kind: str) -> Markup:
        body, height = self.draw(width)
        return self._svg(body, width, height, kind)

    def _svg(self, body: Markup, width: float, height: float, kind: str, **more: str) -> Markup:
        start = f"{self.name}-{kind}"
        return element(
            "svg",
            element("title", self.title, id=f"{start}-title"),
            element("desc", self.description, id=f"{start}-desc"),
            body,
            xmlns="http://www.w3.org/2000/svg",
            class_=kind,
            viewBox=f"0 0 {_short(width)} {_short(height)}",
            width=width,
            height=height,
            role="img",
            aria_labelledby=f"{start}-title {start}-desc",
            **more,
        )


def tip(content: str, *children: Markup) -> Markup:
    """Elements that tell their numbers when pointed at."""
    return element("g", element("title", content), *children)


def minus(content: str) -> str:
    """A number with a true minus sign."""
    return re.sub(r"-(?=[\d.])", "−", content)
