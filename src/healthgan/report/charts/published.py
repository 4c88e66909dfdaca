"""The figures of a study after the published protocol: accuracy over the floor, likeness, losses."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from math import floor

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from healthgan.report.charts.axes import Frame, Scale, Style, legend, plain, thinned, ticks_across, ticks_up
from healthgan.report.charts.svg import Figure, element, line, path, text, tip
from healthgan.report.published import Row
from healthgan.report.words import floor_text

STYLES = {
    "real": Style("real", None, "circle"),
    "generated": Style("generated", None, "square"),
    "control": Style("control", "7 4", "triangle"),
}
LABELS = {"real": "real only", "generated": "with generated images", "control": "control"}
POINTS = 150
"""Of a line with more of them, so many, each the mean of its neighbours."""


def accuracy_figure(number: int, rows: Sequence[Row], arms: Sequence[str], stage: str) -> Figure:
    """Accuracy of one stage over the likeness floor, with published values as thin lines where there are any.

    Args:
        number: of the published figure.
        rows: of Figure 4.
        arms: to draw.
        stage: ``training``, ``validation`` or ``test``; test accuracies carry their 95 % intervals.
    """
    shown = [arm for arm in arms if any(row[f"{stage}_{arm}"] is not None for row in rows)]
    published = any(key.startswith("published_") for key in rows[0])
    low, high = _accuracy_range(rows)

    def draw(width: float) -> tuple[Markup, float]:
        entries: list[tuple[str, Style | None]] = [(LABELS[arm], STYLES[arm]) for arm in shown]
        if published:
            entries.append(("published 2023", Style("muted", "1 4", "")))
        head, top = legend(entries, width)
        floors = [row["floor"] for row in rows]
        step = min((b - a for a, b in pairwise(floors)), default=0.01)
        frame = Frame(
            Scale(floors[0] - 0.4 * step, floors[-1] + 0.4 * step, 40, width - 10),
            Scale(low, high, top + 34 + (270 if width > 500 else 220), top + 34),
        )
        across = thinned(frame.x, [(value, floor_text(value)) for value in floors])
        axes = frame.grid(across, ticks_up(frame.y, plain), title_x="likeness floor (best SSIM)")
        parts = [head, text(0, top + 20, f"{stage} accuracy, %"), axes]
        for place, arm in enumerate(shown):
            parts.append(_accuracies(frame, rows, arm, stage, 4.0 * (place - (len(shown) - 1) / 2)))
        for arm in arms if published else ():
            points = [
                (frame.x(row["floor"]), frame.y.clip(row[f"published_{stage}_{arm}"]))
                for row in rows
                if row[f"published_{stage}_{arm}"] is not None
            ]
            if points:
                parts.append(
                    tip(
                        f"published in 2023: {LABELS[arm]}", Style(STYLES[arm].colour, "1 4", "").path(points)
                    )
                )
        return Markup().join(parts), frame.y.start + 46

    told = "; ".join(f"{LABELS[arm]}: {_told(rows, f'{stage}_{arm}')}" for arm in shown)
    return Figure(
        f"figure-{number}",
        f"Figure {number}: {stage} accuracy over the likeness floor",
        f"In %. {told}.",
        draw,
    )


def _told(rows: Sequence[Row], key: str) -> str:
    return ", ".join(f"{row[key]:.1f} at {row['floor']:.2f}" for row in rows if row[key] is not None)


def _accuracies(frame: Frame, rows: Sequence[Row], arm: str, stage: str, shift: float) -> Markup:
    style, parts = STYLES[arm], []
    run: list[tuple[float, float]] = []
    lines: list[list[tuple[float, float]]] = []
    for row in rows:
        value = row[f"{stage}_{arm}"]
        if value is None:
            lines.append(run)
            run = []
            continue
        x, y = frame.x(row["floor"]) + shift, frame.y.clip(value)
        run.append((x, y))
        told, upright = f"{LABELS[arm]}, floor {row['floor']:.2f}: {value:.1f} %", Markup()
        if stage == "test":
            ends = [row[f"test_{arm}_{end}"] for end in ("low", "high")]
            upright = line(
                x,
                frame.y.clip(ends[0]),
                x,
                frame.y.clip(ends[1]),
                style.colour,
                stroke_width=1.2,
                opacity=0.6,
            )
            told += f" ({ends[0]:.1f} to {ends[1]:.1f}), n = {row[f'n_test_{arm}']}"
        parts.append(tip(told, upright, style.mark(x, y, radius=4)))
    return Markup().join([style.path(points, 1.8) for points in [*lines, run] if len(points) > 1] + parts)


def _accuracy_range(rows: Sequence[Row]) -> tuple[float, float]:
    """One range for all three stages, so that the charts can be compared by eye."""
    parts = ("training_", "validation_", "test_")
    known = [
        value
        for row in rows
        for key, value in row.items()
        if value is not None and key.removeprefix("published_").startswith(parts)
    ]
    return 5.0 * floor((min(known, default=50.0) - 1) / 5), 101.0


def likeness_figure(counts: NDArray[np.int64], edges: NDArray[np.float64], floors: Sequence[float]) -> Figure:
    """How many candidates have which likeness, and where the floors lie."""
    reached = edges[:-1] >= floors[0] - 1e-9
    names = (f"below {floor_text(floors[0])}", f"reach {floor_text(floors[0])} or more")

    def draw(width: float) -> tuple[Markup, float]:
        head, top = legend(
            [
                (names[0], Style("control", None, "square", lined=False)),
                (names[1], Style("generated", None, "square", lined=False)),
            ],
            width,
        )
        low, high = min(float(edges[0]), floors[0]) - 0.005, max(float(edges[-1]), floors[-1]) + 0.005
        frame = Frame(
            Scale(low, high, 52, width - 10),
            Scale(0, 1.05 * float(max(counts.max(), 1)), top + 240, top + 34),
        )
        axes = frame.grid(
            ticks_across(frame.x, plain),
            ticks_up(frame.y, lambda value, _: f"{value:,.0f}"),
            title_x="likeness (best SSIM to a real training image)",
        )
        parts = [head, text(0, top + 20, "candidates"), axes]
        parts += [
            line(
                frame.x(value),
                frame.y.end,
                frame.x(value),
                frame.y.start,
                "ink",
                stroke_dasharray="1 3",
                stroke_width=0.8,
            )
            for value in floors
        ]
        for start, end, count, enough in zip(edges[:-1], edges[1:], counts, reached, strict=True):
            left, right, y = frame.x(float(start)), frame.x(float(end)), frame.y(float(count))
            colour = "generated" if enough else "control"
            bar = element(
                "rect",
                x=left + 0.5,
                y=y,
                width=max(right - left - 1, 0.5),
                height=frame.y.start - y,
                fill=f"var(--{colour})",
            )
            parts.append(tip(f"{start:.2f} to {end:.2f}: {count:,} candidates", bar))
        return Markup().join(parts), frame.y.start + 46

    told = (
        f"{int(counts[reached].sum()):,} of {int(counts.sum()):,} candidates reach {floor_text(floors[0])}."
    )
    return Figure("likeness", "Likeness of all candidates", told, draw)


def loss_figure(losses: Mapping[int, NDArray[np.floating]]) -> Figure:
    """Generator's and discriminator's loss over the epochs, one pair of lines a training.

    Args:
        losses: round → (epochs, 2).
    """
    parts_of = (("generated", None, "generator"), ("real", "7 4", "discriminator"))
    most = max(len(values) for values in losses.values())
    highest = max(float(values.max()) for values in losses.values())

    def draw(width: float) -> tuple[Markup, float]:
        head, top = legend([(name, Style(colour, dash, "")) for colour, dash, name in parts_of], width)
        frame = Frame(Scale(0, max(most, 2), 40, width - 14), Scale(0, 1.05 * highest, top + 240, top + 34))
        axes = frame.grid(
            ticks_across(frame.x, lambda value, _: f"{value:,.0f}"), ticks_up(frame.y, plain), title_x="epoch"
        )
        parts = [head, text(0, top + 20, "mean loss"), axes]
        for number, values in losses.items():
            for column, (colour, dash, name) in enumerate(parts_of):
                points = [
                    (frame.x(x), frame.y(y)) for x, y in _thin(np.asarray(values[:, column], np.float64))
                ]
                drawn = path(
                    points * (1 + (len(points) == 1)),
                    colour,
                    stroke_width=1.1,
                    stroke_dasharray=dash,
                    opacity=0.85,
                )
                parts.append(tip(f"{name}, training {number + 1}", drawn))
        return Markup().join(parts), frame.y.start + 46

    told = "; ".join(
        f"training {number + 1} ends at {values[-1, 0]:.2f} for the generator, {values[-1, 1]:.2f} for the discriminator"
        for number, values in losses.items()
    )
    return Figure("losses", "Losses of the GAN", f"{told}.", draw)


def _thin(values: NDArray[np.float64]) -> list[tuple[float, float]]:
    """Epoch and loss, of many epochs means of neighbours."""
    stride = -(-len(values) // POINTS)
    return [
        (start + (len(part) + 1) / 2, float(part.mean()))
        for start in range(0, len(values), stride)
        for part in [values[start : start + stride]]
    ]
