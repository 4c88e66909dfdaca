"""ROC, precision-recall and calibration of the few arms that matter to the verdict."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from healthgan.report.sound.reading import SoundRun
from healthgan.scores import threshold_counts
from healthgan.statistics.calibration import ReliabilityBin
from healthgan.statistics.conclusion import Comparison
from healthgan.statistics.pairs import Pair
from healthgan.statistics.readers import Kind

GRID = np.linspace(0, 1, 101)


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


def hardest(found: Comparison, arm: str) -> Pair:
    """An arm against the reference arm that it is least sure to be better than.

    A reference arm whose trainings are unsteady is taken only where there is no other: its wide interval says
    nothing about the arm.
    """
    pairs = [pair for pair in found.pairs if pair.arm == arm]
    steady = [pair for pair in pairs if not found.arm(pair.reference).auroc.unsteady]
    return min(steady or pairs, key=lambda pair: pair.low)


def nearest(found: Comparison) -> Pair | None:
    """The synthetic arm that comes nearest to being better than every reference arm, against its hardest one."""
    arms = [arm.name for arm in found.arms if arm.kind == "synthetic"]
    worst = [hardest(found, arm) for arm in arms]
    return max(worst, key=lambda pair: pair.low, default=None)


def telling_names(found: Comparison) -> list[str]:
    """Real images alone; the nearest synthetic arm and its hardest reference arm; the oracle, where there is one."""
    pair = nearest(found)
    names = [found.real, *(() if pair is None else (pair.reference, pair.arm))]
    names += [arm.name for arm in found.arms if arm.name == "oracle"]
    return list(dict.fromkeys(names))


def telling(run: SoundRun, found: Comparison) -> list[Telling]:
    """The curves of these arms over all cells of the comparison."""
    return [_curves(run, found, name) for name in telling_names(found)]


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
        for number, part in enumerate(arm.reliability, start=1):
            yield {
                "arm": arm.name,
                "bin": number,
                "images": part.images,
                "predicted": round(part.predicted, 5),
                "observed": round(part.observed, 5),
                "low": round(part.low, 5),
                "high": round(part.high, 5),
            }


def _curves(run: SoundRun, found: Comparison, name: str) -> Telling:
    sensitivities, precisions = [], []
    for cell in run.main_cells:
        label = run.tested(cell).label
        for scores in run.arm(cell, name).scores:
            positives, negatives = (counts[0] for counts in threshold_counts(label, scores))
            recall = positives / positives[-1]
            alarms = negatives / negatives[-1]
            sensitivities.append(np.interp(GRID, np.append(0, alarms), np.append(0, recall)))
            places = np.searchsorted(recall, GRID - 1e-9)
            precisions.append((positives / (positives + negatives))[places])
    arm = found.arm(name)
    return Telling(
        name, arm.kind, np.mean(sensitivities, axis=0), np.mean(precisions, axis=0), arm.reliability
    )
