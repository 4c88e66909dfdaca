"""The study's questions, answered from its records and predictions, each answer with its interval.

All differences are in percentage points.
"""

import statistics
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from healthgan.report.reading import Run
from healthgan.run import Record
from healthgan.statistics import (
    Estimate,
    RankCorrelation,
    independent_difference,
    percentile_estimate,
    resample_patients,
    slope,
    spearman,
)

RESAMPLES = 2000
SEED = 20230


@dataclass(frozen=True)
class Trend:
    """Test accuracy over the floor, in one arm.

    Attributes:
        rank: Spearman's correlation; None with fewer than three trained models.
        slope: points a 0.01 of likeness; its interval is over test patients.
    """

    rank: RankCorrelation | None
    slope: Estimate | None

    @property
    def clear(self) -> bool:
        """Whether both the order of the floors and the slope speak against chance."""
        return self.rank is not None and self.rank.p < 0.05 and self.slope is not None and self.slope.clear


@dataclass(frozen=True)
class Comparison:
    """Arms against each other.

    Attributes:
        differences: floor → test accuracy with generated images minus real only, same test images.
        mean_difference: the mean over those floors; its interval covers test patients and, as each floor is
            a training of its own, the luck of trainings.
        patients: whose test images they are.
        trends: by arm.
        inflation: arm → floor → validation minus test accuracy.
    """

    differences: dict[float, Estimate]
    mean_difference: Estimate | None
    patients: int | None
    trends: dict[str, Trend]
    inflation: dict[str, dict[float, Estimate]]

    def mean_inflation(self, arm: str) -> float | None:
        """Validation minus test accuracy, the mean over an arm's floors."""
        values = [gap.value for gap in self.inflation.get(arm, {}).values()]
        return statistics.mean(values) if values else None


def compare(run: Run) -> Comparison:
    """Answer what can be answered from the jobs that are finished."""
    right = {arm: _right(run, arm) for arm in run.arms}
    floors = [floor for floor in run.floors if floor in right["real"] and floor in right["generated"]]
    patients = _patients(run)
    differences: dict[float, Estimate] = {}
    mean = None
    if floors and patients is not None:
        gains = 100 * np.stack([right["generated"][floor] - right["real"][floor] for floor in floors])
        draws = resample_patients(gains, patients, np.random.default_rng(SEED), RESAMPLES)
        differences = {
            floor: percentile_estimate(gain.mean(), drawn)
            for floor, gain, drawn in zip(floors, gains, draws.T, strict=True)
        }
        mean = percentile_estimate(gains.mean(), _floors_anew(draws).mean(axis=1))
    return Comparison(
        differences=differences,
        mean_difference=mean,
        patients=None if patients is None else len(np.unique(patients)),
        trends={arm: _trend(right[arm], patients) for arm in ("real", "generated")},
        inflation={arm: {floor: _gap(record) for floor, record in run.trained(arm)} for arm in run.arms},
    )


def predictions_file(arm: str, floor: float) -> str:
    """The artefact with a classifier's scores of the test images."""
    return f"predictions/classifier-{arm}-{floor:.2f}.npz"


def _right(run: Run, arm: str) -> dict[float, NDArray[np.float64]]:
    """Floor → (N,) 1 where the test image is judged right (a score above 0.5 means the rare class)."""
    found = {}
    for floor, _ in run.trained(arm):
        score = run.array(predictions_file(arm, floor), "score")
        label = run.array(predictions_file(arm, floor), "label")
        if score is not None and label is not None:
            found[floor] = ((score > 0.5) == (label == 1)).astype(np.float64)
    return found


def _floors_anew(draws: NDArray[np.float64]) -> NDArray[np.float64]:
    """(resamples, floors) with the floors of each resample drawn with replacement."""
    rng = np.random.default_rng([SEED, 1])
    picks = rng.integers(draws.shape[1], size=draws.shape)
    drawn: NDArray[np.float64] = np.take_along_axis(draws, picks, axis=1)
    return drawn


def _patients(run: Run) -> NDArray[np.int64] | None:
    """(N,) patients of the main task's test images."""
    for arm in ("real", "generated"):
        for floor, _ in run.trained(arm):
            patients = run.array(predictions_file(arm, floor), "patient")
            if patients is not None:
                return patients
    return None


def _trend(right: dict[float, NDArray[np.float64]], patients: NDArray[np.int64] | None) -> Trend:
    if len(right) < 3 or patients is None:
        return Trend(None, None)
    floors = np.array(list(right))
    values = 100 * np.stack(list(right.values()))
    draws = resample_patients(values, patients, np.random.default_rng(SEED), RESAMPLES)
    means = values.mean(axis=1)
    per_hundredth = 100 * floors
    return Trend(
        rank=spearman(floors, means),
        slope=percentile_estimate(float(slope(per_hundredth, means)), slope(per_hundredth, draws)),
    )


def _gap(record: Record) -> Estimate:
    """Validation minus test accuracy: different images, so two independent shares."""
    folds = record["folds"]
    total = sum(fold["val_images"] for fold in folds)
    right = round(sum(fold["val_images"] * fold["val_accuracy"] for fold in folds))
    tested = record["test_images"]
    gap = independent_difference(right, total, round(record["test_accuracy"] * tested), tested)
    return Estimate(100 * gap.value, 100 * gap.low, 100 * gap.high)
