"""The ladder of ``mended.py``, and figures of its trainings with intervals over seeds and patients.

A figure is measured by S trainings on the same images. Its variance is that of a multi-reader multi-case study
(Obuchowski and Rockette 1995; healthgan.statistics.readers): the covariance between *different* trainings that
another choice of patients would give, and the variance of the trainings over S.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce

import numpy as np
from numpy.typing import NDArray

from healthgan.run import Record
from healthgan.statistics import Estimate, auc_influence
from healthgan.statistics.simultaneous import t_quantile


@dataclass(frozen=True)
class Rung:
    """The study's comparison with the faults above it in the ladder mended, and one more.

    Attributes:
        title: what is mended here.
        reset: a fresh network in each fold.
        real_validation: no synthetic image in a validation fold.
        both: as many synthetic images in the reference class, in place of the real ones that balanced the set.
        equal_steps: as many optimiser steps in every arm and fold as on the real set.
        patients: folds keep patients together, and splits keep patients and equal images apart.
    """

    title: str
    reset: bool = False
    real_validation: bool = False
    both: bool = False
    equal_steps: bool = False
    patients: bool = False


RUNGS = (
    Rung("as published"),
    Rung("network reset between folds", reset=True),
    Rung("no synthetic images in validation", reset=True, real_validation=True),
    Rung("both classes synthetic", reset=True, real_validation=True, both=True),
    Rung("equal steps", reset=True, real_validation=True, both=True, equal_steps=True),
    Rung("patients kept together", True, True, True, True, True),
)

CONTROLS = {
    "control-small": "control, shrunk to the rare class's n, the same steps",
    "control-steps": "control, all of it, the same steps",
    "control-full": "control, all of it, the published epochs",
}


def training_key(arm: str, floor: float, rung: int, number: int) -> str:
    """The name of a training. What a rung doesn't change for the real images is trained once and serves both."""
    if arm == "real":
        asked = RUNGS[rung]
        rung = next(
            place
            for place, other in enumerate(RUNGS)
            if (other.reset, other.equal_steps, other.patients)
            == (asked.reset, asked.equal_steps, asked.patients)
        )
    return f"{arm}/{floor:.2f}/{rung}/{number}"


@dataclass(frozen=True)
class Measured:
    """A figure of several trainings, and what each patient adds to it.

    Attributes:
        values: (S,) one a training.
        influence: (S, P) of each patient, or synthetic image, on the figure of each training; rows sum to zero.
    """

    values: NDArray[np.float64]
    influence: NDArray[np.float64]

    def __add__(self, other: "Measured") -> "Measured":
        return Measured(self.values + other.values, self.influence + other.influence)

    def __sub__(self, other: "Measured") -> "Measured":
        return self + other.times(-1)

    def times(self, factor: float) -> "Measured":
        """That many times the figure."""
        return Measured(self.values * factor, self.influence * factor)

    def estimate(self, level: float = 0.95) -> Estimate:
        """The mean over trainings, with an interval over trainings and patients (Satterthwaite's t)."""
        fits, present = len(self.values), int(np.any(self.influence != 0, axis=0).sum())
        cases = self.influence @ self.influence.T * present / max(present - 1, 1)
        between, trained = float(cases[0, 0]), 0.0
        if fits > 1:
            between = max(float(cases.sum() - np.trace(cases)) / (fits * (fits - 1)), 0.0)
            trained = float(self.values.var(ddof=1)) / fits
        variance, value = between + trained, float(self.values.mean())
        if variance <= 0:
            return Estimate(value, value, value)
        parts = (between / variance) ** 2 / max(present - 1, 1) + (trained / variance) ** 2 / max(fits - 1, 1)
        half = t_quantile((1 - level) / 2, 1 / parts) * float(np.sqrt(variance))
        return Estimate(value, value - half, value + half)


def mean_of(found: Sequence[Measured]) -> Measured:
    """The mean of several figures of the same trainings."""
    return reduce(Measured.__add__, found).times(1 / len(found))


class Units:
    """A column for each patient, and for each synthetic image, that any figure knows."""

    def __init__(self, codes: Iterable[NDArray[np.int64]]) -> None:
        self.codes = np.unique(np.concatenate(list(codes)))

    def sums(self, units: NDArray[np.int64], values: NDArray[np.float64]) -> NDArray[np.float64]:
        """(P,) the values (N,) of images summed over each unit."""
        return np.bincount(
            np.searchsorted(self.codes, units), weights=values, minlength=len(self.codes)
        ).astype(np.float64)

    def fold_accuracy(
        self, right: NDArray[np.bool_], folds: NDArray[np.int64], units: NDArray[np.int64]
    ) -> Measured:
        """One training's accuracy, the mean over folds; each array (N,)."""
        _, fold = np.unique(folds, return_inverse=True)
        sizes = np.bincount(fold)
        accuracy = np.bincount(fold, weights=right) / sizes
        influence = (right - accuracy[fold]) / (sizes[fold] * len(sizes))
        return Measured(np.array([accuracy.mean()]), self.sums(units, influence)[np.newaxis])

    def auroc(
        self, labels: NDArray[np.int64], scores: NDArray[np.float64], units: NDArray[np.int64]
    ) -> Measured:
        """The AUROC of trainings with scores (S, N)."""
        found = auc_influence(labels, scores, units)
        columns = np.zeros((len(scores), len(self.codes)))
        columns[:, np.searchsorted(self.codes, np.unique(units))] = found.positive + found.negative
        return Measured(found.auroc, columns)


def stacked(found: Sequence[Measured]) -> Measured:
    """Trainings side by side."""
    return Measured(
        np.concatenate([one.values for one in found]), np.concatenate([one.influence for one in found])
    )


@dataclass(frozen=True)
class Figures:
    """Of one arm at one floor in one rung, over seeds."""

    validation: Measured
    accuracy: Measured
    auroc: Measured

    @property
    def inflation(self) -> Measured:
        """Validation minus test accuracy."""
        return self.validation - self.accuracy


@dataclass(frozen=True)
class Truth:
    """Labels and units of the images that a record's test scores belong to."""

    labels: NDArray[np.int64]
    units: NDArray[np.int64]


class Results:
    """The figures of all trainings that are there, for the seeds that every arm has."""

    def __init__(
        self,
        records: Mapping[str, Record],
        floors: Sequence[float],
        tests: Mapping[str, Truth],
        seeds: int,
    ) -> None:
        self.records, self.floors, self.tests = records, list(floors), tests
        cells = [("real", 0.0), *(("generated", floor) for floor in floors)]
        self.seeds = [
            number
            for number in range(seeds)
            if all(
                training_key(*cell, rung, number) in records for cell in cells for rung in range(len(RUNGS))
            )
        ]
        self.real_seeds = [
            number
            for number in range(seeds)
            if all(training_key("real", 0.0, rung, number) in records for rung in range(len(RUNGS)))
        ]
        self.control_seeds = [
            number
            for number in range(seeds)
            if all(training_key(arm, 0.0, len(RUNGS) - 1, number) in records for arm in (*CONTROLS, "real"))
        ]
        codes = [np.array(record["val_unit"]) for record in records.values() if "val_unit" in record]
        self.units = Units([*codes, *(test.units for test in tests.values())])

    def figures(self, arm: str, floor: float, rung: int, seeds: Sequence[int]) -> Figures:
        """Of an arm in a rung."""
        found = [self.records[training_key(arm, floor, rung, number)] for number in seeds]
        test = self.tests["control" if arm in CONTROLS else "main"]
        scores = np.array([record["test_score"] for record in found])
        judged = (scores > 0.5) == (test.labels == 1)
        one = np.zeros(len(test.labels), np.int64)
        return Figures(
            stacked(
                [
                    self.units.fold_accuracy(
                        np.array(record["val_right"], bool),
                        np.array(record["val_fold"]),
                        np.array(record["val_unit"]),
                    )
                    for record in found
                ]
            ),
            stacked([self.units.fold_accuracy(right, one, test.units) for right in judged]),
            self.units.auroc(test.labels, scores, test.units),
        )

    def ladder(self, floors: Sequence[float]) -> list[tuple[Figures, Figures]]:
        """In each rung: real images alone, and the mean over floors with generated ones."""
        steps = []
        for rung in range(len(RUNGS)):
            made = [self.figures("generated", floor, rung, self.seeds) for floor in floors]
            mean = Figures(
                mean_of([one.validation for one in made]),
                mean_of([one.accuracy for one in made]),
                mean_of([one.auroc for one in made]),
            )
            steps.append((self.figures("real", 0.0, rung, self.seeds), mean))
        return steps
