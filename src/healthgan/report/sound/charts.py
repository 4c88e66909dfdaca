"""Curves of a sound study: ROC and precision-recall, calibration, the learning curve."""

from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from healthgan.report.figures import GRID as RULE
from healthgan.report.figures import INK, MUTED, STYLE, WIDTH
from healthgan.report.page import PAPER
from healthgan.report.sound.curve import LearningCurve
from healthgan.report.sound.figures import COLOUR, MARKER
from healthgan.report.sound.telling import GRID, Telling
from healthgan.statistics.readers import Kind

TICKS = (0, 0.01, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1)

DASHES: dict[tuple[str, int], Any] = {
    ("reference", 0): "-",
    ("reference", 1): (0, (4, 2)),
    ("synthetic", 0): "-",
    ("control", 0): (0, (1, 1.5)),
}
"""By kind and place among its kind, so that lines are told apart without their colours."""


def styles(kinds: Sequence[Kind]) -> list[dict[str, Any]]:
    """A style an arm; two of a kind differ in their dashes and marks."""
    found = []
    for number, kind in enumerate(kinds):
        place = list(kinds[:number]).count(kind)
        found.append(
            {
                "color": COLOUR[kind],
                "linestyle": DASHES.get((kind, place), ":"),
                "marker": MARKER[kind] if place == 0 else "D",
            }
        )
    return found


def roc_chart(arms: Sequence[Telling], prevalence: float) -> Figure:
    """ROC on the left, precision over sensitivity on the right."""
    figure, (left, right) = _pair()
    for arm, style in zip(arms, styles([arm.kind for arm in arms]), strict=True):
        line = {name: style[name] for name in ("color", "linestyle")}
        left.plot(GRID, arm.sensitivity, label=arm.name, **line)
        right.plot(GRID[1:], arm.precision[1:], **line)
    left.plot([0, 1], [0, 1], color=MUTED, linewidth=0.8, linestyle=":")
    right.axhline(prevalence, color=MUTED, linewidth=0.8, linestyle=":")
    right.annotate(
        "prevalence",
        (0, prevalence),
        xytext=(4, 3),
        textcoords="offset points",
        ha="left",
        color=INK,
        va="bottom",
        fontsize=9,
    )
    _label(left, "1 − specificity", "sensitivity")
    _label(right, "sensitivity", "precision")
    for axes in (left, right):
        axes.set_xlim(0, 1)
        axes.set_ylim(0, 1.02)
        axes.set_aspect("equal")
    _legend(figure, left)
    return figure


def calibration_chart(arms: Sequence[Telling]) -> Figure:
    """The share that is rare over the predicted probability, in bins of equally many images, a panel an arm."""
    count = len(arms)
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(WIDTH, 0.5 + WIDTH / max(count, 3)), layout="constrained")
        panels = figure.subplots(1, max(count, 3), sharex=True, sharey=True, squeeze=False)[0]
    bins = [part for arm in arms for part in arm.reliability]
    most = 1.05 * min(max(max(part.predicted for part in bins), max(part.high for part in bins)), 1)
    ticks = [tick for tick in TICKS if tick <= most]
    for axes, arm, style in zip(panels, arms, styles([arm.kind for arm in arms]), strict=False):
        axes.plot([0, most], [0, most], color=MUTED, linewidth=0.8, linestyle=":")
        predicted = [part.predicted for part in arm.reliability]
        axes.vlines(
            predicted,
            [part.low for part in arm.reliability],
            [part.high for part in arm.reliability],
            colors=style["color"],
            linewidth=1,
        )
        axes.plot(
            predicted,
            [part.observed for part in arm.reliability],
            style["marker"],
            color=style["color"],
            markerfacecolor=PAPER,
            clip_on=False,
        )
        axes.set_title(arm.name, fontsize=10)
        axes.set_xscale("function", functions=(np.sqrt, np.square))  # room for the many low probabilities
        axes.set_yscale("function", functions=(np.sqrt, np.square))
        axes.set_xlim(0, most)
        axes.set_ylim(0, most)
        axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
        axes.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
        axes.set_aspect("equal")
    for axes in panels[count:]:
        axes.set_visible(False)
    _label(panels[0], "", "share that is rare")
    panels[(count - 1) // 2].set_xlabel("predicted probability", color=INK)
    return figure


def curve_chart(found: LearningCurve) -> Figure:
    """Mean AUROC over the number of rare training images, its draws, and the reference arm's monotone curve."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(WIDTH, 3.7), layout="constrained")
        axes = figure.add_subplot()
    kinds: list[Kind] = ["synthetic" if name == found.synthetic else "reference" for name in found.draws]
    order = sorted(range(len(kinds)), key=lambda number: list(found.draws)[number] != found.reference)
    names = [list(found.draws)[number] for number in order]
    for place, (name, style) in enumerate(
        zip(names, styles([kinds[number] for number in order]), strict=True)
    ):
        shift = (found.counts[-1] / found.counts[0]) ** (0.006 * (place - (len(names) - 1) / 2))
        counts = shift * np.array(found.counts)
        for count, draws in zip(counts, found.draws[name], strict=True):
            axes.plot(np.full(len(draws), count), draws, "_", color=style["color"], markersize=7, alpha=0.7)
        means = [draws.mean() for draws in found.draws[name]]
        axes.plot(counts, means, label=name, markersize=6.5, **style)
    rates = found.rates.get(found.reference, [])
    if rates:
        fitted = [rate.fitted for rate in rates]
        axes.plot(
            found.counts,
            fitted,
            color=RULE,
            linewidth=6,
            zorder=0.5,
            solid_capstyle="round",
            label=f"{found.reference}, monotone",
        )
        for rate in rates:
            _worth(axes, rate.count, rate.synthetic, rate.more)
    axes.set_xscale("log")
    axes.set_xticks(found.counts, [str(count) for count in found.counts])
    axes.set_xticks([], minor=True)
    _label(axes, "rare training images", "AUROC")
    _legend(figure, axes)
    return figure


def _worth(axes: Axes, count: int, level: float, more: float) -> None:
    """From the synthetic arm's mean to where the reference curve reaches it."""
    if more > 0 and np.isfinite(more):
        arrow = {
            "arrowstyle": "->",
            "color": INK,
            "linewidth": 1,
            "linestyle": "-",
            "shrinkA": 5,
            "shrinkB": 0,
        }
        axes.annotate("", (count + more, level), (count, level), arrowprops=arrow)
        axes.annotate(
            f"+{more:.0f}",
            ((count * (count + more)) ** 0.5, level),
            xytext=(0, 3),
            textcoords="offset points",
            ha="center",
            color=INK,
            fontsize=9,
        )


def _pair() -> tuple[Figure, tuple[Axes, Axes]]:
    with mpl.rc_context({**STYLE, "axes.grid.axis": "both"}):
        figure = Figure(figsize=(WIDTH, 3.5), layout="constrained")
        left, right = figure.subplots(1, 2)
    return figure, (left, right)


def _label(axes: Axes, x: str, y: str) -> None:
    axes.set_xlabel(x, color=INK)
    axes.set_ylabel(y, color=INK)


def _legend(figure: Figure, axes: Axes) -> None:
    handles, labels = axes.get_legend_handles_labels()
    with mpl.rc_context(STYLE):
        figure.legend(handles, labels, loc="outside upper left", ncols=min(len(labels), 4))
