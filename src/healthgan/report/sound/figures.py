"""The charts of a sound study, as Matplotlib figures that a page recolours. Equal records give equal files."""

from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from healthgan.report.figures import COLOURS, GRID, INK, MUTED, STYLE, WIDTH
from healthgan.report.page import PAPER
from healthgan.statistics.pairs import Pair

COLOUR = {"reference": COLOURS["real"], "synthetic": COLOURS["generated"], "control": COLOURS["control"]}
MARKER = {"reference": "o", "synthetic": "s", "control": "^"}
TITLES = {"synthetic": "synthetic", "reference": "reference", "control": "controls"}
LINE, GAP = 0.3, 0.75  # inches a row; rows between two groups


def forest(pairs: Sequence[Pair], labels: Sequence[str], axis: str, equivalence: float) -> Figure:
    """Differences with their intervals, a row each, in groups by kind, beside the region of no practical interest.

    The thick line is the interval of an arm alone, the thin one that which holds for all arms of its kind together.
    A mark is filled where the latter leaves zero out.

    Args:
        pairs: at least one.
        labels: of the rows.
        axis: what is shown.
        equivalence: half the width of the region.
    """
    places, headings, place = [], [], 0.0
    for number, pair in enumerate(pairs):
        if number == 0 or pair.kind != pairs[number - 1].kind:
            place += GAP if number else 0
            headings.append((place, TITLES[pair.kind]))
            place += 1
        places.append(place)
        place += 1
    with mpl.rc_context({**STYLE, "axes.grid.axis": "x"}):
        figure = Figure(figsize=(WIDTH, LINE * place + 0.85), layout="constrained")
        axes = figure.add_subplot()
    axes.axvspan(-equivalence, equivalence, color=GRID, linewidth=0)
    axes.axvline(0, color=MUTED, linewidth=1)
    for y, pair in zip(places, pairs, strict=True):
        _interval(axes, y, pair)
    axes.set_yticks(places, labels)
    for y, title in headings:
        axes.annotate(
            title,
            (0, y),
            xycoords=("axes fraction", "data"),
            xytext=(-6, 0),
            textcoords="offset points",
            ha="right",
            va="center",
            color=MUTED,
            fontsize=9,
        )
    axes.set_ylim(place - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.set_xlabel(axis)
    _sides(axes)
    return figure


def _interval(axes: Axes, y: float, pair: Pair) -> None:
    colour = COLOUR[pair.kind]
    clear = pair.low > 0 or pair.high < 0
    axes.hlines(y, pair.low, pair.high, colors=colour, linewidth=1.1)
    axes.hlines(y, pair.marginal_low, pair.marginal_high, colors=colour, linewidth=3.2)
    style: dict[str, Any] = {"color": colour, "markersize": 7, "markeredgewidth": 1.6}
    axes.plot(pair.difference, y, MARKER[pair.kind], markerfacecolor=colour if clear else PAPER, **style)


def _sides(axes: Axes) -> None:
    """Which way is better, above the axes, and room around the widest interval."""
    low, high = axes.get_xlim()
    axes.set_xlim(min(low, -0.2 * (high - low)), max(high, 0.2 * (high - low)))
    for side, text, offset in (("right", "← worse", -8), ("left", "better →", 8)):
        axes.annotate(
            text,
            (0, 1),
            xycoords=("data", "axes fraction"),
            xytext=(offset, 3),
            textcoords="offset points",
            ha=side,
            va="bottom",
            color=INK,
            fontsize=9,
        )
