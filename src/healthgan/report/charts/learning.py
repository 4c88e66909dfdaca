"""The learning curve, and what synthetic images were worth in real ones."""

from math import isfinite, log

from markupsafe import Markup

from healthgan.report.charts.axes import Frame, Scale, Style, legend, plain, thinned, ticks_up
from healthgan.report.charts.svg import SMALL, Figure, element, line, path, text, tip
from healthgan.report.charts.telling import styles
from healthgan.report.sound.curve import LearningCurve


def curve_figure(found: LearningCurve) -> Figure:
    """Mean AUROC over the number of rare training images, its draws, and the reference arm's monotone curve."""
    names = sorted(found.draws, key=lambda name: name != found.reference)
    kinds = ["synthetic" if name == found.synthetic else "reference" for name in names]
    drawn = dict(zip(names, styles(kinds), strict=True))

    def draw(width: float) -> tuple[Markup, float]:
        monotone = [(f"{found.reference}, made monotone", None)] if found.rates.get(found.reference) else []
        head, top = legend([*drawn.items(), *monotone], width)
        frame = _frame(found, width, top + 34)
        across = thinned(frame.x, [(float(count), f"{count:,}") for count in found.counts])
        axes = frame.grid(across, ticks_up(frame.y, plain), title_x="rare training images", title_y="")
        parts = [head, text(0, top + 20, "AUROC"), axes, _monotone(frame, found)]
        for place, (name, style) in enumerate(drawn.items()):
            parts.append(_arm(frame, found, name, style, 7.0 * (place - (len(drawn) - 1) / 2)))
        parts.append(_worths(frame, found))
        return Markup().join(parts), frame.y.start + 46

    told = "; ".join(
        f"{name}: "
        + ", ".join(
            f"{draws.mean():.3f} with {count}"
            for count, draws in zip(found.counts, found.draws[name], strict=True)
        )
        for name in names
    )
    return Figure("curve", "Learning curve", f"Mean AUROC with so many rare training images. {told}.", draw)


def _frame(found: LearningCurve, width: float, top: float) -> Frame:
    values = [float(value) for curve in found.draws.values() for draws in curve for value in draws]
    room = 0.06 * (max(values) - min(values)) or 0.01
    first, last = found.counts[0], found.counts[-1]
    stretch = (last / first) ** 0.06
    return Frame(
        Scale(first / stretch, last * stretch, 48, width - 12, log),
        Scale(min(values) - room, max(values) + room, top + (290 if width > 500 else 230), top),
    )


def _monotone(frame: Frame, found: LearningCurve) -> Markup:
    rates = found.rates.get(found.reference, [])
    if not rates:
        return Markup()
    points = [(frame.x(rate.count), frame.y.clip(rate.fitted)) for rate in rates]
    return path(points, "band", stroke_width=9, stroke_linecap="round")


def _arm(frame: Frame, found: LearningCurve, name: str, style: Style, shift: float) -> Markup:
    parts, points = [], []
    for count, draws in zip(found.counts, found.draws[name], strict=True):
        x, mean = frame.x(count) + shift, float(draws.mean())
        points.append((x, frame.y(mean)))
        parts += [
            line(x - 4, frame.y(float(value)), x + 4, frame.y(float(value)), style.colour, opacity=0.65)
            for value in draws
        ]
        told = f"{name}, {count} rare training images: AUROC {mean:.3f}, mean of {len(draws)} ({draws.min():.3f} to {draws.max():.3f})"
        parts.append(tip(told, style.mark(x, frame.y(mean), radius=4.5)))
    return style.path(points) + Markup().join(parts)


def _worths(frame: Frame, found: LearningCurve) -> Markup:
    """From the synthetic arm's mean to where the reference curve gets as far."""
    parts = []
    for rate in found.rates.get(found.reference, []):
        if rate.more >= 0.5 and isfinite(rate.more):
            y, start, end = (
                frame.y.clip(rate.synthetic),
                frame.x(rate.count),
                frame.x.clip(rate.count + rate.more),
            )
            parts.append(line(start + 9, y, max(end - 6, start + 9), y, "ink", stroke_width=1.2))
            tip_of = f"{end:.2f},{y:.2f} {end - 8:.2f},{y - 4:.2f} {end - 8:.2f},{y + 4:.2f}"
            parts.append(element("polygon", points=tip_of, fill="var(--ink)"))
            parts.append(
                text(
                    (start + end) / 2,
                    y - 8,
                    f"worth {rate.more:.0f} more",
                    anchor="middle",
                    size=SMALL,
                    clear=True,
                )
            )
    return Markup().join(parts)
