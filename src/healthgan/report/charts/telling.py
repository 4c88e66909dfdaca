"""ROC, precision over sensitivity, and calibration."""

from collections.abc import Sequence
from math import sqrt

from markupsafe import Markup

from healthgan.report.charts.axes import Frame, Scale, Style, legend, plain, thinned, ticks_across, ticks_up
from healthgan.report.charts.svg import SMALL, Figure, line, path, text, tip
from healthgan.report.curves import GRID, Telling

ROOT_TICKS = (0, 0.01, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1)

_DASHES = {
    ("reference", 0): None,
    ("reference", 1): "7 4",
    ("synthetic", 0): None,
    ("control", 0): "2 3",
}
_COLOURS = {"reference": "real", "synthetic": "generated", "control": "control"}
_SHAPES = {"reference": "circle", "synthetic": "square", "control": "triangle"}


def styles(kinds: Sequence[str]) -> list[Style]:
    """A style an arm, by its kind; two of a kind differ in their dashes and marks."""
    found = []
    for number, kind in enumerate(kinds):
        place = list(kinds[:number]).count(kind)
        found.append(
            Style(
                _COLOURS[kind], _DASHES.get((kind, place), "1 4"), _SHAPES[kind] if place == 0 else "diamond"
            )
        )
    return found


def roc_figure(arms: Sequence[Telling], prevalence: float) -> Figure:
    """Sensitivity over 1 − specificity, and precision over sensitivity: side by side, or one below the other."""
    drawn = styles([arm.kind for arm in arms])

    def draw(width: float) -> tuple[Markup, float]:
        names, top = legend(
            [(arm.name, Style(s.colour, s.dash, "")) for arm, s in zip(arms, drawn, strict=True)], width
        )
        beside = width > 500
        side = (width - 2 * 48 - 30) / 2 if beside else width - 60
        panels, y = [names], top + 32
        for number, what in enumerate(("roc", "precision")):
            left = 44.0 + (number * (side + 74) if beside else 0)
            frame = Frame(Scale(0, 1, left, left + side), Scale(0, 1, y + side, y))
            panels.append(_panel(frame, what, arms, drawn, prevalence))
            y += 0 if beside else side + 84
        return Markup().join(panels), (y + side + 44) if beside else y - 36

    areas = "; ".join(f"{arm.name} finds {_at(arm):.0%} of rare images at 10 % false alarms" for arm in arms)
    return Figure("roc", "ROC and precision–recall curves of the arms that matter", f"{areas}.", draw)


def _at(arm: Telling) -> float:
    return float(arm.sensitivity[list(GRID).index(0.1)])


def _panel(
    frame: Frame, what: str, arms: Sequence[Telling], drawn: Sequence[Style], prevalence: float
) -> Markup:
    up, across = ticks_up(frame.y, plain, 40), ticks_across(frame.x, plain, 6)
    left, right = frame.x.start, frame.x.end
    if what == "roc":
        titles = ("1 − specificity (false alarms)", "sensitivity")
        chance = line(left, frame.y(0), right, frame.y(1), "edge", stroke_dasharray="2 4")
    else:
        titles = ("sensitivity (recall)", "precision")
        level = frame.y(prevalence)
        chance = line(left, level, right, level, "edge", stroke_dasharray="2 4")
        below = prevalence < 0.9
        chance += text(left + 5, level - 5 if below else level + 15, "prevalence", fill="muted", size=SMALL)
    axes = frame.grid(across, up, title_x=titles[0], upright=True)
    parts = [axes, text(left, frame.y.end - 9, titles[1]), chance]
    for arm, style in zip(arms, drawn, strict=True):
        values = arm.sensitivity if what == "roc" else arm.precision[1:]
        places = GRID if what == "roc" else GRID[1:]
        points = [(frame.x(float(x)), frame.y(float(v))) for x, v in zip(places, values, strict=True)]
        parts.append(tip(arm.name, style.path(points)))
    return Markup().join(parts)


def calibration_figure(arms: Sequence[Telling]) -> Figure:
    """The share that is rare over the predicted probability, in bins of equally many images, a panel an arm."""
    bins = [part for arm in arms for part in arm.reliability]
    most = 1.04 * min(max(max(part.predicted for part in bins), max(part.high for part in bins)), 1)
    drawn = styles([arm.kind for arm in arms])

    def draw(width: float) -> tuple[Markup, float]:
        columns = min(len(arms), 3 if width > 500 else 2)
        gap, left = 24.0, 44.0
        side = (width - left - gap * (columns - 1) - 8) / max(columns, 2)
        parts, y = [text(0, 14, "share that is rare")], 54.0
        for number, (arm, style) in enumerate(zip(arms, drawn, strict=True)):
            column = number % columns
            if number and column == 0:
                y += side + 56
            x = left + column * (side + gap)
            frame = Frame(Scale(0, most, x, x + side, sqrt), Scale(0, most, y + side, y, sqrt))
            parts.append(_calibration_panel(frame, arm, style, first=column == 0))
        right = left + columns * side + gap * (columns - 1)
        parts.append(text((left + right) / 2, y + side + 38, "predicted probability", anchor="middle"))
        return Markup().join(parts), y + side + 46

    told = "; ".join(
        f"{arm.name}: {arm.reliability[-1].observed:.0%} are rare where {arm.reliability[-1].predicted:.0%} is predicted, in the highest bin"
        for arm in arms
    )
    return Figure("calibration", "Calibration of the arms that matter", f"{told}.", draw)


def _calibration_panel(frame: Frame, arm: Telling, style: Style, *, first: bool) -> Markup:
    most = frame.x.high
    labels = [(float(tick), f"{tick:g}") for tick in ROOT_TICKS if tick <= most]
    across = thinned(frame.x, labels)
    up = [one for number, one in enumerate(labels) if number == 0 or _far(frame.y, labels, number)]
    axes = frame.grid(across, up if first else [(value, "") for value, _ in up])
    low = line(frame.x.start, frame.y(0), frame.x.end, frame.y(most), "edge", stroke_dasharray="2 4")
    parts = [axes, low, text(frame.x.start, frame.y.end - 10, arm.name, weight="600")]
    for part in arm.reliability:
        x = frame.x.clip(part.predicted)
        told = f"{arm.name}: {part.predicted:.3f} predicted, {part.observed:.3f} are rare ({part.low:.3f} to {part.high:.3f}), {part.images} images"
        upright = path(
            [(x, frame.y.clip(part.low)), (x, frame.y.clip(part.high))], style.colour, stroke_width=1.2
        )
        parts.append(tip(told, upright, style.mark(x, frame.y.clip(part.observed), filled=False, radius=4)))
    return Markup().join(parts)


def _far(scale: Scale, labels: Sequence[tuple[float, str]], number: int) -> bool:
    """Whether a label stands far enough above the one below it and below the last one."""
    here = scale(labels[number][0])
    below = scale(labels[number - 1][0])
    return abs(here - below) >= 17
