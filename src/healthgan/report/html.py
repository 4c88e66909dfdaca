"""One self-contained page from a run's tables and figures."""

from dataclasses import dataclass
from typing import Any

from healthgan import __version__
from healthgan.report.brought import details, facts_of, warnings
from healthgan.report.comparison import Comparison
from healthgan.report.faults import find_faults
from healthgan.report.page import data_uri, duration, environment, inline_svg, stylesheet
from healthgan.report.pictures import Example, Strip, noise_picture, png, strip_labels, strip_png
from healthgan.report.published import Published, Row
from healthgan.report.reading import Run
from healthgan.report.results import STAGES, figure_1, figure_2, figure_4, repeats
from healthgan.report.words import answer, points, state, trend_text

KINDS = {
    "generator": "training the GAN",
    "likeness": "likeness",
    "real-or-synthetic": "real or synthetic",
    "classifier": "training classifiers",
}


@dataclass(frozen=True)
class Material:
    """What the page shows beside the records.

    Attributes:
        charts: name → SVG text.
        examples: of Figure 3.
        strips: the rows of Figure 3's grid.
        animation: a GIF, or None.
    """

    charts: dict[str, str]
    examples: list[Example]
    strips: list[Strip]
    animation: bytes | None


def render(run: Run, published: Published, comparison: Comparison, material: Material) -> str:
    """The page as HTML text."""
    return (
        environment()
        .get_template("template.html.j2")
        .render(_view(run, published, comparison, material), style=stylesheet("style.css"))
    )


def _view(run: Run, published: Published, comparison: Comparison, material: Material) -> Row:
    faults = find_faults(run)
    rows = figure_4(run, published)
    return {
        "run": run,
        "name": run.folder.path.resolve().name,
        "version": __version__,
        "asked": run.asked,
        "protocol": run.protocol,
        "task": run.task,
        "likeness": run.records.get("likeness"),
        "brought": facts_of(run),
        "brought_details": details(run),
        "warnings": warnings(run),
        "apart": run.records.get("real-or-synthetic"),
        "state": state(run),
        "answer": answer(run, comparison),
        "tiles": _tiles(run, comparison),
        "published": published,
        "figure_1": figure_1(run, published),
        "figure_2": figure_2(run, published),
        "figure_4": rows,
        "repeats": {arm: repeats(run, arm) for arm in run.arms},
        "comparison": comparison,
        "trends": {arm: trend_text(trend) for arm, trend in comparison.trends.items()},
        "stages": STAGES,
        "charts": {
            name: inline_svg(svg, name, _label(name, rows, run.arms)) for name, svg in material.charts.items()
        },
        "examples": [_example(example) for example in material.examples],
        "strips": _strips(material.strips),
        "animation": None if material.animation is None else data_uri(material.animation, "gif"),
        "still": data_uri(strip_png(material.strips[-1].images), "png") if material.strips else None,
        "faults": {place: [fault for fault in faults if fault.place == place] for place in _places()},
        "times": _times(run),
    }


def _places() -> list[str]:
    return [f"figure-{number}" for number in range(1, 8)]


def _tiles(run: Run, comparison: Comparison) -> list[Row]:
    """The few figures that stand at the top; what is not known yet has no tile."""
    tiles: list[Row] = []
    real = repeats(run, "real")
    if real["runs"]:
        spread = "" if real["test_sd"] is None else f" ± {real['test_sd']:.1f}"
        note = f"{real['runs']} training{'s' * (real['runs'] > 1)}, {real['n']:,} test images"
        tiles.append(_tile("real", "Real images alone", f"{real['test_mean']:.1f}{spread} %", note))
    values = [100 * record["test_accuracy"] for _, record in run.trained("generated")]
    if values:
        same = f"{min(values):.1f}" == f"{max(values):.1f}"
        text = f"{values[0]:.1f} %" if same else f"{min(values):.1f} – {max(values):.1f} %"
        note = f"{len(values)} floor{'s' * (len(values) > 1)}, one training each"
        tiles.append(_tile("generated", "With generated images", text, note))
    mean = comparison.mean_difference
    if mean is not None:
        note = f"95 % interval {points(mean.low)} to {points(mean.high)}"
        tiles.append(_tile("plain", "Mean difference, points", points(mean.value), note))
    apart = run.records.get("real-or-synthetic", {})
    if "auroc" in apart:
        note = f"AUROC, 95 % {apart['auroc_low']:.2f} to {apart['auroc_high']:.2f}; 0.5 = not at all"
        tiles.append(_tile("plain", "Generated told from real", f"{apart['auroc']:.2f}", note))
    return tiles


def _tile(kind: str, title: str, value: str, note: str) -> Row:
    return {"kind": kind, "title": title, "value": value, "note": note}


def _example(example: Example) -> Row:
    return {
        "noise": None if example.noise is None else data_uri(png(noise_picture(example.noise)), "png"),
        "generated": data_uri(png(example.generated), "png"),
        "real": data_uri(png(example.real), "png"),
        "likeness": example.likeness,
        "round": example.round,
        "epoch": example.epoch,
        "position": example.position,
    }


def _strips(strips: list[Strip]) -> list[Row]:
    if not strips:
        return []
    return [
        {"label": label, "picture": data_uri(strip_png(strip.images), "png")}
        for strip, label in zip(strips, strip_labels(strips), strict=True)
    ]


def _label(name: str, rows: list[Row], arms: tuple[str, ...]) -> str:
    """What a chart shows, for those who cannot see it; the tables hold all figures."""
    stages = {"figure-5": "training", "figure-6": "validation", "figure-7": "test"}
    if name in stages:
        parts = []
        for arm in arms:
            values = [(row["floor"], row[f"{stages[name]}_{arm}"]) for row in rows]
            known = ", ".join(f"{value:.1f} at {floor:.2f}" for floor, value in values if value is not None)
            parts.append(f"{arm}: {known or 'none yet'}")
        return f"Chart of {stages[name]} accuracy in % over the likeness floor. {'; '.join(parts)}."
    return {
        "differences": "Chart of the difference in test accuracy with generated images at each likeness floor, with 95 % intervals; the table at Figure 4 holds its figures.",
        "likeness": "Histogram of the candidates' likeness with the floors marked; tables/likeness.csv holds its figures.",
        "losses": "Chart of the GAN's losses over the epochs; tables/losses.csv holds its figures.",
    }[name]


def _times(run: Run) -> list[Row]:
    """Jobs and seconds of work by kind."""
    rows: list[Row] = []
    for kind, title in KINDS.items():
        seconds: list[Any] = [
            record["time_seconds"]
            for record in run.records.values()
            if record.get("kind") == kind and "time_seconds" in record
        ]
        if seconds:
            rows.append({"title": title, "jobs": len(seconds), "time": duration(sum(seconds))})
    return rows
