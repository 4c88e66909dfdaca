"""What the benchmarks found, drawn: against others, against the processor's limits, and how cost grows."""

from collections.abc import Iterator, Sequence
from itertools import cycle
from math import log, sqrt
from typing import Any

import numpy as np
from markupsafe import Markup

from healthgan.report.charts.axes import Frame, Scale, thinned
from healthgan.report.charts.svg import SMALL, Figure, line, mark, path, text, tip
from suite_rows import Found, Row

SHAPES = ("circle", "square", "triangle", "diamond")
NOT_COMPARED = ("over classical", "over mixup", "over fit_balanced", "on the CPU")
"""Rows that say what a recipe costs, not how two programs compare."""
BESIDE = 2
"""Panels beside each other where a figure is wide."""


def figures(parts: dict[str, Found], rows: Sequence[Row]) -> Iterator[Figure]:
    """Those whose parts were measured."""
    compared = [
        row
        for row in rows
        if row.unit in ("×", "× scikit-image, wall") and not row.what.endswith(NOT_COMPARED)
    ]
    if compared:
        yield ratios(compared)
    if "limits" in parts:
        yield roofline(parts["limits"]["works"])
    grown = dict(_grown(parts))
    if grown:
        yield growth(grown)


def ratios(rows: Sequence[Row]) -> Figure:
    """Median and range of how many times as fast, with goals."""
    low, high = min(0.5, *(row.low for row in rows)), 1.2 * max(row.high for row in rows)

    def draw(width: float) -> tuple[Markup, float]:
        step, top = 44.0, 10.0
        bottom = top + step * len(rows)
        frame = Frame(Scale(low, high, 12, width - 20, log), Scale(0, 1, bottom, top))
        labels = [
            (value, f"{value:g}")
            for value in (0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000)
            if low <= value <= high
        ]
        parts = [
            frame.grid(thinned(frame.x, labels), [], title_x="times as fast (1: no difference)", upright=True)
        ]
        parts.append(line(frame.x(1), top, frame.x(1), bottom, "edge"))
        for place, row in enumerate(rows):
            y = top + step * place + 30
            name = f"{row.what}, over scikit-image" if "scikit" in row.unit else row.what
            parts.append(text(14, y - 13, name, size=SMALL, clear=True))
            told = f"{row.what}: {row.median:.3g} ({row.low:.3g} to {row.high:.3g}), n = {row.n}"
            parts.append(
                tip(
                    told,
                    line(frame.x(row.low), y, frame.x(row.high), y, "real", stroke_width=3),
                    mark("circle", frame.x(row.median), y, "real"),
                )
            )
            if row.goal:
                parts.append(
                    line(frame.x(row.goal), y - 9, frame.x(row.goal), y + 9, "generated", stroke_width=3)
                )
        parts.append(
            text(
                12,
                bottom + 58,
                "circle and bar: median and range; upright orange mark: the goal",
                fill="muted",
                size=SMALL,
            )
        )
        return Markup().join(parts), bottom + 68

    told = "; ".join(f"{row.what}: {row.median:.3g} ({row.low:.3g} to {row.high:.3g})" for row in rows)
    return Figure("performance-ratios", "How many times as fast", told, draw)


def roofline(works: dict[str, Any]) -> Figure:
    """Operations a second over operations a byte, below what processor and memory allow."""
    seconds = {name: np.array(one["seconds"]) for name, one in works.items()}
    peak = float(np.median(works["matrix product"]["operations"] / seconds["matrix product"]) / 1e9)
    bandwidth = float(np.median(works["copy"]["bytes"] / seconds["copy"]) / 1e9)
    points = {
        name: (one["operations"] / one["bytes"], one["operations"] / seconds[name] / 1e9)
        for name, one in works.items()
        if one["operations"] and one["bytes"]
    }
    ridge = peak / bandwidth

    def draw(width: float) -> tuple[Markup, float]:
        height = 300.0
        frame = Frame(Scale(1, 100, 48, width - 14, log), Scale(5, 1.6 * peak, height + 24, 24, log))
        across = [(value, f"{value:g}") for value in (1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0)]
        up = [(value, f"{value:g}") for value in (5.0, 10.0, 20.0, 50.0, 100.0) if value < 1.6 * peak]
        parts = [
            frame.grid(
                thinned(frame.x, across),
                up,
                title_x="operations a byte that must be moved",
                title_y="GFLOP/s, one thread",
            )
        ]
        start = max(1.0, 5 / bandwidth)
        parts.append(
            path(
                [
                    (frame.x(start), frame.y(start * bandwidth)),
                    (frame.x(ridge), frame.y(peak)),
                    (frame.x(100), frame.y(peak)),
                ],
                "edge",
                stroke_width=2,
            )
        )
        parts.append(
            text(
                width - 16,
                frame.y(peak) - 8,
                f"matrix products: {peak:.0f} GFLOP/s",
                anchor="end",
                size=SMALL,
            )
        )
        parts.append(
            text(
                frame.x(1.5),
                frame.y(bandwidth),
                f"memory: {bandwidth:.0f} GB/s",
                size=SMALL,
                clear=True,
            )
        )
        for (name, (intensity, rates)), shape in zip(points.items(), cycle(SHAPES)):
            x, y = frame.x(intensity), frame.y(float(np.median(rates)))
            told = f"{name}: {np.median(rates):.1f} GFLOP/s at {intensity:.1f} operations a byte, n = {len(rates)}"
            parts.append(
                tip(
                    told,
                    line(
                        x, frame.y(float(rates.min())), x, frame.y(float(rates.max())), "real", stroke_width=2
                    ),
                    mark(shape, x, y, "real"),
                )
            )
            # Points stand close together: names beside the last one, below the lowest, above the others.
            if intensity == max(other for other, _ in points.values()):
                where = x + 11, y + 4, "start"
            elif np.median(rates) == min(np.median(other) for _, other in points.values()):
                where = x, frame.y(float(rates.min())) + 16, "middle"
            else:
                where = x, frame.y(float(rates.max())) - 8, "middle"
            parts.append(text(where[0], where[1], name, anchor=where[2], size=SMALL, clear=True))
        return Markup().join(parts), frame.y.start + 46

    told = "; ".join(
        f"{name}: {np.median(rates):.1f} GFLOP/s at {intensity:.1f} operations a byte"
        for name, (intensity, rates) in points.items()
    )
    return Figure(
        "performance-roofline", "Training under the limits of processor and memory",
        f"Peak {peak:.0f} GFLOP/s, bandwidth {bandwidth:.0f} GB/s. {told}.", draw,
    )  # fmt: skip


def _grown(parts: dict[str, Found]) -> Iterator[tuple[str, tuple[list[float], list[float], float]]]:
    """By what grows: amounts, seconds, exponent."""
    for name, one in parts.get("likeness", {}).get("growth", {}).items():
        yield f"likeness: {name}", (one["amounts"], one["seconds"], one["exponent"])
    for name, one in parts.get("growth", {}).items():
        if isinstance(one, dict) and "exponent" in one:
            pairs = [
                (float(amount), value) for amount, several in one["seconds"].items() for value in several
            ]
            yield name.replace(", ", ": "), ([a for a, _ in pairs], [s for _, s in pairs], one["exponent"])


def growth(grown: dict[str, tuple[list[float], list[float], float]]) -> Figure:
    """A panel each: seconds over amount, both in logarithms, with the line of cost in proportion."""

    def draw(width: float) -> tuple[Markup, float]:
        beside = BESIDE if width > 500 else 1
        wide, high = (width - 8) / beside, 210.0
        parts = []
        for place, (name, (amounts, seconds, exponent)) in enumerate(grown.items()):
            left, top = 8 + wide * (place % beside), 44 + (high + 70) * (place // beside)
            parts.append(
                _panel(
                    name,
                    np.array(amounts),
                    np.array(seconds),
                    exponent,
                    (left + 48, left + wide - 16, top, top + high),
                )
            )
        count = -(-len(grown) // beside)
        foot = 44 + (high + 70) * count
        parts.append(text(8, foot, "grey: cost in proportion to the amount", fill="muted", size=SMALL))
        return Markup().join(parts), foot + 12

    told = "; ".join(f"{name}: exponent {exponent:.2f}" for name, (_, _, exponent) in grown.items())
    return Figure(
        "performance-growth", "How cost grows", f"Seconds grow with the amount to the power of: {told}.", draw
    )


def _panel(
    name: str,
    amounts: np.ndarray,
    seconds: np.ndarray,
    exponent: float,
    box: tuple[float, float, float, float],
) -> Markup:
    left, right, top, bottom = box
    few, many = float(amounts.min()), float(amounts.max())
    first = float(np.median(seconds[amounts == few]))
    low, high = 0.8 * float(seconds.min()), 1.3 * max(float(seconds.max()), first * many / few)
    frame = Frame(Scale(few / 1.1, many * 1.1, left, right, log), Scale(low, high, bottom, top, log))
    across = [(float(value), f"{value:,.0f}") for value in np.unique(amounts)]
    decades = [10.0**power * factor for power in range(-6, 4) for factor in (1, 2, 5)]
    up = [(value, f"{value:g}") for value in decades if low <= value <= high]
    while len(up) > 5:
        up = up[::2]
    parts = [frame.grid(thinned(frame.x, across), up)]
    parts.append(text(left - 48, top - 14, f"{name}, s — exponent {exponent:.2f}", size=SMALL, weight="600"))
    parts.append(
        path(
            [(frame.x(few), frame.y(first)), (frame.x(many), frame.y(first * many / few))],
            "band",
            stroke_width=7,
        )
    )
    medians = [(float(one), float(np.median(seconds[amounts == one]))) for one in np.unique(amounts)]
    parts.append(path([(frame.x(a), frame.y(s)) for a, s in medians], "real", stroke_width=1.5))
    radius = 3.0 + sqrt(1 / len(medians))
    for amount, second in zip(amounts, seconds, strict=True):
        parts.append(
            mark("circle", frame.x(float(amount)), frame.y(float(second)), "real", radius=radius - 1)
        )
    return Markup().join(parts)
