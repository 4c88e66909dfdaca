"""The figures of a study after the published protocol, as far as its artefacts are at hand."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray
from scipy.special import logit

from healthgan.report import pictures
from healthgan.report.charts import published as charts
from healthgan.report.charts.forest import Forest, Line
from healthgan.report.charts.pictures import example_figure, strip_figure
from healthgan.report.charts.svg import Figure
from healthgan.report.charts.telling import calibration_figure, roc_figure
from healthgan.report.comparison import Comparison, predictions_file
from healthgan.report.curves import Telling, mean_curves
from healthgan.report.curves import rows as curve_rows
from healthgan.report.published import Published, Row
from healthgan.report.published_grids import differences_rows
from healthgan.report.reading import CANDIDATES, Run, history_file
from healthgan.report.results import STAGES, figure_4
from healthgan.report.words import floor_text
from healthgan.statistics import reliability
from healthgan.statistics.readers import Kind

TELLING: Mapping[str, Kind] = MappingProxyType({"real": "reference", "generated": "synthetic"})
"""The arms whose curves are drawn: they are tested on the same images; the control is not."""
BALANCED = 0.5
"""Share of rare images in a test set of this protocol."""
SURE = 1e-9
"""A probability can't be nearer to 0 or 1 than this; in float32 some are 0 or 1."""


@dataclass(frozen=True)
class Drawn:
    """What a page shows beside the records.

    Attributes:
        charts: name → figure.
        tables: the numbers behind some of them, by the names of their files.
        telling: both arms' curves; empty where no classifier's scores are at hand.
        examples: of Figure 3.
        strips: the rows of Figure 3's grid.
        animation: a GIF, or None.
    """

    charts: dict[str, Figure]
    tables: dict[str, list[Row]]
    telling: list[Telling]
    examples: list[pictures.Example]
    strips: list[pictures.Strip]
    animation: bytes | None

    @property
    def files(self) -> dict[str, str | bytes]:
        """What belongs into the folder ``figures``, by name."""
        found: dict[str, str | bytes] = {f"{name}.svg": figure.file() for name, figure in self.charts.items()}
        if self.examples:
            found["figure-3.svg"] = example_figure(self.examples).file()
        if self.strips:
            found["figure-3-epochs.svg"] = strip_figure(self.strips).file()
        if self.animation is not None:
            found["figure-3.gif"] = self.animation
        return found


def draw(run: Run, published: Published, comparison: Comparison, *, patient_images: bool) -> Drawn:
    """All figures of a run.

    Args:
        run: the study.
        published: figures to set beside its own.
        comparison: its answers.
        patient_images: whether real images may be shown.
    """
    found, tables = _accuracies(run, published), {}
    gaps = differences_rows(run, comparison)
    if gaps:
        tables["differences"] = gaps
    if comparison.differences:
        found["differences"] = _differences(comparison)
    likeness = run.array(CANDIDATES, "likeness")
    if likeness is not None and not np.isnan(likeness).all():
        counts, edges = _histogram(likeness)
        found["likeness"] = charts.likeness_figure(counts, edges, run.floors)
        tables["likeness"] = [
            {"from": float(start), "to": float(end), "candidates": int(count)}
            for start, end, count in zip(edges[:-1], edges[1:], counts, strict=True)
        ]
    losses = {number: run.array(history_file(number), "losses") for number in run.rounds()}
    known = {number: values for number, values in losses.items() if values is not None}
    if known:
        found["losses"] = charts.loss_figure(known)
        tables["losses"] = [
            {"round": number, "epoch": epoch, "generator": float(generator), "discriminator": float(other)}
            for number, values in known.items()
            for epoch, (generator, other) in enumerate(values, start=1)
        ]
    telling = list(_telling(run))
    if telling:
        found["roc"] = roc_figure(telling, BALANCED)
        found["calibration"] = calibration_figure(telling)
        tables["roc"], tables["calibration"] = curve_rows(telling)
    examples = pictures.examples(run)
    if not patient_images:
        examples = [replace(example, real=None) for example in examples]
    return Drawn(found, tables, telling, examples, pictures.strips(run), pictures.animation(run))


def _telling(run: Run) -> Iterator[Telling]:
    """Both arms on the main task's test images, the mean over all classifiers of each."""
    for arm, kind in TELLING.items():
        files = [predictions_file(arm, floor) for floor, _ in run.trained(arm)]
        read = [(run.array(file, "label"), run.array(file, "score")) for file in files]
        judged = [(label, score) for label, score in read if label is not None and score is not None]
        if judged:
            scores = np.stack([score for _, score in judged]).astype(np.float64).clip(SURE, 1 - SURE)
            bins = reliability(judged[0][0], logit(scores))
            yield Telling(arm, kind, *mean_curves(judged), bins)


def _accuracies(run: Run, published: Published) -> dict[str, Figure]:
    rows = figure_4(run, published)
    return {
        f"figure-{number}": charts.accuracy_figure(number, rows, run.arms, stage)
        for number, stage in enumerate(STAGES, start=5)
        if any(row[f"{stage}_{arm}"] is not None for row in rows for arm in run.arms)
    }


def _differences(comparison: Comparison) -> Figure:
    """Test accuracy with generated images minus real only at every floor, and over all."""
    lines = [
        Line(f"floor {floor_text(floor)}", "synthetic", found.value, found.low, found.high)
        for floor, found in comparison.differences.items()
    ]
    mean = comparison.mean_difference
    if mean is not None and len(lines) > 1:
        lines.append(Line("all floors", "synthetic", mean.value, mean.low, mean.high))
    axis = "difference in test accuracy, percentage points"
    forest = Forest(lines, axis, 0.0, {}, digits=1)
    return forest.figure("differences", "Test accuracy with generated images minus real images alone")


def _histogram(likeness: NDArray[np.float32]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Candidates in steps of 0.01, to which the floors' own steps fit: counts and edges."""
    known = likeness[~np.isnan(likeness)].astype(np.float64)
    low, high = int(np.floor(known.min() * 100)), int(np.floor(known.max() * 100)) + 1
    edges = np.arange(low, high + 1) / 100
    places = np.clip(np.floor(known * 100 + 1e-6).astype(int) - low, 0, high - low - 1)
    return np.bincount(places, minlength=high - low), edges
