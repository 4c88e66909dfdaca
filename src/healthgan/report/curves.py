"""ROC, precision-recall and calibration of a few arms: the curves, their rows and their tables."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from healthgan.report.grid import Cell, Column, Grid, Row, estimate, head, number
from healthgan.scores import threshold_counts
from healthgan.statistics.calibration import ReliabilityBin
from healthgan.statistics.readers import Kind

GRID = np.linspace(0, 1, 101)
EVERY = 5
"""Of the 101 points of a curve, every fifth is shown; its CSV has all."""


@dataclass(frozen=True)
class Telling:
    """An arm's curves, each the mean over its classifiers.

    Attributes:
        name: of the arm.
        kind: of the arm.
        sensitivity: (101,) at false-alarm rates of 0, 0.01 … 1.
        precision: (101,) at sensitivities of 0, 0.01 … 1; the first is that of the highest score.
        reliability: predicted against observed.
    """

    name: str
    kind: Kind
    sensitivity: NDArray[np.float64]
    precision: NDArray[np.float64]
    reliability: tuple[ReliabilityBin, ...]


def mean_curves(
    judged: Iterable[tuple[NDArray[np.int64], NDArray[np.floating]]],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Sensitivity and precision as a ``Telling`` has them, the mean over classifiers.

    Args:
        judged: labels (N,) and scores (N,) of each classifier.
    """
    sensitivities, precisions = [], []
    for label, scores in judged:
        positives, negatives = (counts[0] for counts in threshold_counts(label, scores))
        recall = positives / positives[-1]
        alarms = negatives / negatives[-1]
        sensitivities.append(np.interp(GRID, np.append(0, alarms), np.append(0, recall)))
        places = np.searchsorted(recall, GRID - 1e-9)
        precisions.append((positives / (positives + negatives))[places])
    return np.mean(sensitivities, axis=0), np.mean(precisions, axis=0)


def rows(found: Sequence[Telling]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Tables of the curves, and of the calibration; without rows where there are no curves."""
    if not found:
        return [], []
    curves = [
        {
            "at": round(float(at), 2),
            **{f"sensitivity_{arm.name}": round(float(arm.sensitivity[place]), 4) for arm in found},
            **{f"precision_{arm.name}": round(float(arm.precision[place]), 4) for arm in found},
        }
        for place, at in enumerate(GRID)
    ]
    return curves, list(_reliability_rows(found))


def _reliability_rows(found: Sequence[Telling]) -> Iterator[dict[str, Any]]:
    for arm in found:
        for place, part in enumerate(arm.reliability, start=1):
            yield {
                "arm": arm.name,
                "bin": place,
                "images": part.images,
                "predicted": round(part.predicted, 5),
                "observed": round(part.observed, 5),
                "low": round(part.low, 5),
                "high": round(part.high, 5),
            }


def roc_grid(arms: Sequence[Telling], rows: Sequence[Row]) -> Grid:
    """Sensitivity and precision of the telling arms, at every twentieth of the axes."""
    columns = [Column("at")]
    columns += [Column(arm.name, starts=number == 0) for number, arm in enumerate(arms)]
    columns += [Column(arm.name, starts=number == 0) for number, arm in enumerate(arms)]
    cells = [
        [
            Cell(f"{GRID[place]:.2f}", value=float(GRID[place])),
            *(number(float(arm.sensitivity[place]), 3) for arm in arms),
            *(number(float(arm.precision[place]), 3) for arm in arms),
        ]
        for place in range(0, len(GRID), EVERY)
    ]
    groups = [
        ("", 1),
        ("sensitivity at this false-alarm rate", len(arms)),
        ("precision at this sensitivity", len(arms)),
    ]
    return Grid("roc", "ROC and precision–recall curves", columns, cells, groups=groups, csv=rows)


def calibration_grid(arms: Sequence[Telling], rows: Sequence[Row]) -> Grid:
    """Predicted against observed by bin."""
    columns = [
        Column("arm"),
        Column("bin"),
        Column("images"),
        Column("predicted"),
        Column("share that is rare"),
    ]
    cells = [
        [
            head(arm.name),
            number(float(place), 0),
            number(float(part.images), 0),
            number(part.predicted, 3),
            estimate(part.observed, part.low, part.high, 3),
        ]
        for arm in arms
        for place, part in enumerate(arm.reliability, start=1)
    ]
    return Grid("calibration", "Calibration", columns, cells, csv=rows)
