"""What else is said of an arm beside its AUROC; nothing is concluded from these.

To add a measure, write a function and give it a line in ``MEASURES``.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy import special

from healthgan.scores import best_threshold, precision_recall_area, roc_height, threshold_counts
from healthgan.statistics.calibration import resampled_calibration, shift_to_prevalence
from healthgan.statistics.readers import Arm

RESAMPLES = 200
"""Of patients. The standard error that they give is itself known to 5 %."""

SEED = 1979
SPECIFICITY = 0.9


@dataclass(frozen=True)
class Predictions:
    """What one classifier says of the test images, and other choices of their patients.

    Attributes:
        labels: (N,) 0 or 1, both present.
        logits: (N,) as trained, at a prevalence of one half.
        shifted: (N,) corrected to the training prevalence; None where that is not known.
        threshold: for the logits, from validation or out-of-fold images; None where there are none.
        weights: (B, N) how often each image counts; once each in the first row.
    """

    labels: NDArray[np.int64]
    logits: NDArray[np.floating]
    shifted: NDArray[np.float64] | None
    threshold: float | None
    weights: NDArray[np.float64]

    @cached_property
    def counts(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Positives and negatives (B, T) at or above every threshold."""
        return threshold_counts(self.labels, self.logits, self.weights)

    @cached_property
    def calibration(self) -> NDArray[np.float64] | None:
        """Intercept and slope (B, 2)."""
        if self.shifted is None:
            return None
        return resampled_calibration(self.labels, self.shifted, self.weights)


@dataclass(frozen=True)
class Measure:
    """A measure of a classifier.

    Attributes:
        title: its name in words.
        low: the least it can be.
        high: the most it can be.
        best: what a perfect classifier has.
        value: of each choice of patients (B,); None where it can't be had.
    """

    title: str
    low: float
    high: float
    best: float
    value: Callable[[Predictions], NDArray[np.float64] | None]


def _average_precision(found: Predictions) -> NDArray[np.float64]:
    return precision_recall_area(*found.counts)


def _sensitivity(found: Predictions) -> NDArray[np.float64]:
    return roc_height(*found.counts, SPECIFICITY)


def _balanced_accuracy(found: Predictions) -> NDArray[np.float64] | None:
    if found.threshold is None:
        return None
    judged = (found.logits > found.threshold).astype(np.float64)
    positive, negative = found.weights * (found.labels == 1), found.weights * (found.labels == 0)
    right: NDArray[np.float64] = positive @ judged / positive.sum(axis=1) + negative @ (
        1 - judged
    ) / negative.sum(axis=1)
    return right / 2


def _brier(found: Predictions) -> NDArray[np.float64] | None:
    if found.shifted is None:
        return None
    squares = (special.expit(found.shifted) - found.labels) ** 2
    mean: NDArray[np.float64] = found.weights @ squares / found.weights.sum(axis=1)
    return mean


def _calibration(place: int) -> Callable[[Predictions], NDArray[np.float64] | None]:
    def value(found: Predictions) -> NDArray[np.float64] | None:
        return None if found.calibration is None else found.calibration[:, place]

    return value


MEASURES: dict[str, Measure] = {
    "auprc": Measure("AUPRC (average precision)", 0, 1, 1, _average_precision),
    "balanced_accuracy": Measure("balanced accuracy", 0, 1, 1, _balanced_accuracy),
    "sensitivity": Measure("sensitivity at 90 % specificity", 0, 1, 1, _sensitivity),
    "brier": Measure("Brier score", 0, 1, 0, _brier),
    "calibration_intercept": Measure("calibration intercept", -np.inf, np.inf, 0, _calibration(0)),
    "calibration_slope": Measure("calibration slope", -np.inf, np.inf, 1, _calibration(1)),
}
"""In the order in which a report shows them."""


@dataclass(frozen=True)
class Measured:
    """A measure of an arm: the mean over its classifiers.

    Attributes:
        value: the mean.
        low: of an interval for this arm alone, over patients and trainings.
        high: of it.
        sd: standard deviation over the arm's classifiers; None with one.
    """

    value: float
    low: float
    high: float
    sd: float | None


def patient_weights(
    labels: NDArray[np.int64], patients: NDArray[np.int64], resamples: int = RESAMPLES
) -> NDArray[np.float64]:
    """How often each image counts when patients are drawn anew, those with a positive image apart from the others.

    Args:
        labels: (N,) 0 or 1.
        patients: (N,) equal for images of one patient.
        resamples: how many.

    Returns:
        (1 + resamples, N), ones in the first row; in every row both classes are present.
    """
    _, member = np.unique(patients, return_inverse=True)
    rare = np.bincount(member, weights=labels) > 0
    rng = np.random.default_rng(SEED)
    times = np.zeros((resamples, len(rare)))
    for group in (np.flatnonzero(rare), np.flatnonzero(~rare)):
        if len(group):
            times[:, group] = rng.multinomial(len(group), np.full(len(group), 1 / len(group)), size=resamples)
    weights = times[:, member]
    present = ((weights * (labels == 1)).sum(axis=1) > 0) & ((weights * (labels == 0)).sum(axis=1) > 0)
    return np.concatenate([np.ones((1, len(labels))), weights[present]])


def measure_arm(
    arm: Arm,
    labels: NDArray[np.int64],
    weights: NDArray[np.float64],
    prevalence: float | None = None,
    validation_labels: NDArray[np.int64] | None = None,
    level: float = 0.95,
) -> dict[str, Measured]:
    """All measures of an arm that can be had, by their names in ``MEASURES``.

    The standard error adds the bootstrap over patients, with the classifiers as they are, and the variance of the
    arm's generators (or classifiers); what classifiers err on different patients counts in both, which errs on
    the wide side.

    Args:
        arm: its ``validation`` scores, if any, set each classifier's threshold.
        labels: (N,) of the test images.
        weights: from ``patient_weights``.
        prevalence: of the rare class in the training part, which probabilities are corrected to.
        validation_labels: (V,) of the validation or out-of-fold images.
        level: of the intervals.
    """
    found = measure_values(arm, labels, weights, prevalence, validation_labels)
    return {name: _summary(values, arm, MEASURES[name], level) for name, values in found.items()}


def measure_values(
    arm: Arm,
    labels: NDArray[np.int64],
    weights: NDArray[np.float64],
    prevalence: float | None,
    validation_labels: NDArray[np.int64] | None,
) -> dict[str, NDArray[np.float64]]:
    """(F, B) values of each measure that can be had, by classifier and choice of patients; arguments as above."""
    values: dict[str, list[NDArray[np.float64] | None]] = {name: [] for name in MEASURES}
    for number, logits in enumerate(arm.scores):
        threshold = None
        if arm.validation is not None and validation_labels is not None:
            threshold = best_threshold(validation_labels, arm.validation[number])
        shifted = None if prevalence is None else shift_to_prevalence(logits, prevalence)
        found = Predictions(labels, logits, shifted, threshold, weights)
        for name, measure in MEASURES.items():
            values[name].append(measure.value(found))
    return {
        name: np.stack(kept)
        for name, rows in values.items()
        if len(kept := [row for row in rows if row is not None]) == len(rows)
    }


def _summary(values: NDArray[np.float64], arm: Arm, measure: Measure, level: float) -> Measured:
    """From (F, B) values of classifiers and choices of patients."""
    mean = values.mean(axis=0)
    units = np.array([values[arm.unit == unit, 0].mean() for unit in np.unique(arm.unit)])
    variance = (mean[1:].var(ddof=1) if len(mean) > 2 else 0.0) + (
        units.var(ddof=1) / len(units) if len(units) > 1 else 0.0
    )
    half = float(special.ndtri((1 + level) / 2) * np.sqrt(variance))
    return Measured(
        value=float(mean[0]),
        low=float(max(mean[0] - half, measure.low)),
        high=float(min(mean[0] + half, measure.high)),
        sd=float(values[:, 0].std(ddof=1)) if len(values) > 1 else None,
    )
