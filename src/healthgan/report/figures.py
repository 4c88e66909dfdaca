"""Figures 5 to 7 and three small charts, as SVG and PNG. Equal records give equal files."""

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from healthgan.files import write_atomically, write_text
from healthgan.report.comparison import Comparison
from healthgan.report.published import Row
from healthgan.report.words import floor_text

INK, MUTED, GRID = "#1c2430", "#5b6472", "#dfe3e8"
COLOURS = {"real": "#0072b2", "generated": "#d55e00", "control": "#6f6f6f"}
"""Blue and vermilion of Okabe and Ito's palette, and a grey: told apart with any colour vision."""

MARKERS = {"real": "o", "generated": "s", "control": "^"}
LABELS = {"real": "real only", "generated": "with generated images", "control": "control"}
STYLE: dict[Any, Any] = {
    "svg.hashsalt": "healthgan",
    "svg.fonttype": "none",
    "text.parse_math": False,
    "font.family": "DejaVu Sans",
    "font.size": 10.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "axes.titlecolor": INK,
    "text.color": INK,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "axes.axisbelow": True,
    "grid.color": GRID,
    "grid.linewidth": 0.8,
    "legend.frameon": False,
    "lines.linewidth": 1.8,
    "lines.markersize": 5,
}
WIDTH, HEIGHT = 6.4, 3.5  # inches: readable at the width of a page


def accuracy_chart(rows: Sequence[Row], arms: Sequence[str], stage: str) -> Figure:
    """Accuracy of one stage over the likeness floor, with published values as thin lines where there are any.

    Args:
        rows: of Figure 4.
        arms: to draw.
        stage: ``training``, ``validation`` or ``test``; test accuracies carry their 95 % intervals.
    """
    figure, axes = _canvas("likeness floor (best SSIM)", f"{stage} accuracy, %")
    floors = np.array([row["floor"] for row in rows])
    step = float(np.diff(floors).min()) if len(floors) > 1 else 0.01
    drawn = [arm for arm in arms if not np.isnan(_column(rows, f"{stage}_{arm}")).all()]
    for number, arm in enumerate(drawn):
        values = _column(rows, f"{stage}_{arm}")
        style: dict[str, Any] = {"color": COLOURS[arm], "marker": MARKERS[arm], "label": LABELS[arm]}
        places = floors + (number - (len(drawn) - 1) / 2) * 0.06 * step
        axes.plot(places, values, linestyle="--" if arm == "control" else "-", **style)
        if stage == "test":
            low, high = (_column(rows, f"test_{arm}_{end}") for end in ("low", "high"))
            axes.vlines(places, low, high, colors=COLOURS[arm], linewidth=0.9, alpha=0.55)
    if any(key.startswith("published_") for key in rows[0]):
        for arm in arms:
            published = _column(rows, f"published_{stage}_{arm}")
            axes.plot(floors, published, color=COLOURS[arm], linewidth=0.8, linestyle=":")
        axes.plot([], [], color=MUTED, linewidth=0.8, linestyle=":", label="published 2023")
    axes.set_xticks(floors if len(floors) <= 12 else floors[:: len(floors) // 8])
    axes.set_xticklabels([floor_text(tick) for tick in axes.get_xticks()])
    axes.set_xlim(floors[0] - 0.4 * step, floors[-1] + 0.4 * step)
    axes.set_ylim(*_accuracy_range(rows))
    _legend(figure, axes)
    return figure


def difference_chart(comparison: Comparison) -> Figure:
    """Test accuracy with generated images minus real only at every floor, with intervals."""
    figure, axes = _canvas("likeness floor (best SSIM)", "difference, points")
    floors = list(comparison.differences)
    names = [floor_text(floor) for floor in floors]
    estimates = list(comparison.differences.values())
    if comparison.mean_difference is not None and len(floors) > 1:
        names.append("all")
        estimates.append(comparison.mean_difference)
    axes.axhline(0, color=MUTED, linewidth=1)
    for place, estimate in enumerate(estimates):
        filled = COLOURS["generated"] if estimate.clear else "none"
        axes.vlines(place, estimate.low, estimate.high, colors=COLOURS["generated"], linewidth=1.6)
        axes.plot(
            place, estimate.value, "s", color=COLOURS["generated"], markerfacecolor=filled, markersize=6
        )
    axes.set_xticks(range(len(names)), names)
    axes.set_xlim(-0.6, len(names) - 0.4)
    return figure


def likeness_chart(counts: NDArray[np.int64], edges: NDArray[np.float64], floors: Sequence[float]) -> Figure:
    """How many candidates have which likeness, and where the floors lie."""
    figure, axes = _canvas("likeness (best SSIM to a real training image)", "candidates", height=2.8)
    reached = edges[:-1] >= floors[0] - 1e-9
    width = edges[1] - edges[0]
    for chosen, colour, label in (
        (~reached, COLOURS["control"], f"below {floor_text(floors[0])}"),
        (reached, COLOURS["generated"], f"reach {floor_text(floors[0])} or more"),
    ):
        if not chosen.any():
            continue
        axes.bar(
            edges[:-1][chosen], counts[chosen], width=0.9 * width, align="edge", color=colour, label=label
        )
    for floor in floors:
        axes.axvline(floor, color=INK, linewidth=0.6, linestyle=":")
    _legend(figure, axes)
    return figure


def loss_chart(losses: Mapping[int, NDArray[np.floating]]) -> Figure:
    """Generator's and discriminator's loss over the epochs, one pair of lines a training.

    Args:
        losses: round → (epochs, 2).
    """
    figure, axes = _canvas("epoch", "mean loss", height=2.8)
    for number, (_, values) in enumerate(losses.items()):
        epochs = np.arange(1, len(values) + 1)
        for column, (arm, name) in enumerate((("generated", "generator"), ("real", "discriminator"))):
            label = name if number == 0 else None
            marker: dict[str, Any] = {"marker": "o"} if len(values) == 1 else {}
            axes.plot(
                epochs, values[:, column], color=COLOURS[arm], linewidth=1, alpha=0.8, label=label, **marker
            )
    axes.set_xlim(left=0)
    _legend(figure, axes)
    return figure


def save(figure: Figure, folder: Path, name: str) -> str:
    """Write ``name.svg`` and ``name.png`` and give the text of the former."""
    stream = io.StringIO()
    with mpl.rc_context(STYLE):
        figure.savefig(
            stream,
            format="svg",
            transparent=True,
            metadata={"Date": None, "Creator": None, "Format": None, "Type": None},
        )
    svg = stream.getvalue()
    write_text(folder / f"{name}.svg", svg)

    def write(part: Path) -> None:
        with mpl.rc_context(STYLE):
            figure.savefig(part, format="png", dpi=200, facecolor="white", metadata={"Software": None})

    write_atomically(folder / f"{name}.png", write)
    return svg


def _canvas(x: str, y: str, height: float = HEIGHT) -> tuple[Figure, Axes]:
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(WIDTH, height), layout="constrained")
        axes = figure.add_subplot()
        axes.set_xlabel(x)
        axes.set_ylabel(y)
    return figure, axes


def _legend(figure: Figure, axes: Axes) -> None:
    handles, labels = axes.get_legend_handles_labels()
    with mpl.rc_context(STYLE):
        figure.legend(handles, labels, loc="outside upper left", ncols=len(labels))


def _column(rows: Sequence[Row], name: str) -> NDArray[np.float64]:
    """(rows,) NaN where nothing is known."""
    values = [row.get(name) for row in rows]
    return np.array([np.nan if value is None else value for value in values], np.float64)


def _accuracy_range(rows: Sequence[Row]) -> tuple[float, float]:
    """One range for all three stages, so that the charts can be compared by eye."""
    parts = ("training_", "validation_", "test_")
    known = [
        value
        for row in rows
        for key, value in row.items()
        if value is not None and key.removeprefix("published_").startswith(parts)
    ]
    lowest = min(known, default=50.0)
    return 5 * float(np.floor((lowest - 1) / 5)), 101.0
