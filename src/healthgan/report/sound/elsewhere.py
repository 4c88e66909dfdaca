"""A sound study's arms on images from elsewhere, all of them and by subgroup."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from healthgan.report.sound.plan import Cell
from healthgan.report.sound.reading import SoundRun, Tested
from healthgan.statistics.comparison import MeanAuroc, compare_pairs, design_of, mean_aurocs
from healthgan.statistics.conclusion import Comparison, compare
from healthgan.statistics.pairs import Pair
from healthgan.statistics.readers import Arm

LEAST = 10
"""Rare or reference images of a subgroup below which it is left out."""


@dataclass(frozen=True)
class Subgroup:
    """The images of an external test set that have one value in a column.

    Attributes:
        column: its name.
        value: the text in it.
        rare: images of the rare class.
        reference: images of the reference class.
        aurocs: arm → its mean AUROC; empty where there are too few images or patients.
        pairs: synthetic arms against real images alone, with intervals that hold together within the group.
    """

    column: str
    value: str
    rare: int
    reference: int
    aurocs: dict[str, MeanAuroc]
    pairs: tuple[Pair, ...]

    @property
    def skipped(self) -> bool:
        """Whether it is too small to be judged."""
        return not self.aurocs


class External:
    """The arms' predictions of the external test set.

    In a cross-validation the classifiers of every fold judge all external images, none of which any of them has seen. A
    fold's classifiers are then one unit, as a generator's are on one training part: their folds are parts of the same
    source, drawn by chance, so the claim is about classifiers that learn from such a part of this source.
    """

    def __init__(self, run: SoundRun, cells: Sequence[Cell]) -> None:
        self._run, self._cells = run, cells
        self._truth: Tested = run.tested(cells[0], "external")
        self._arms = [self._joined(name) for name in run.compared(cells[0])]

    def compared(self) -> Comparison:
        """All arms against each other.

        Thresholds are from the validation images of a study with one training part; those of folds differ, so that
        there is none.
        """
        run, cells = self._run, self._cells
        single = len(cells) == 1
        found = compare(
            self._arms,
            self._truth.label,
            self._truth.patient,
            prevalence=float(np.mean([run.prevalence(cell) for cell in cells])),
            validation_labels=run.tested(cells[0], "val").label if single else None,
            equivalence=run.protocol.design.equivalence,
        )
        counted = [replace(arm, generators=self._generators(arm.name)) for arm in found.arms]
        return replace(found, arms=tuple(counted))

    def subgroups(self) -> Iterator[Subgroup]:
        """By each value of each column."""
        truth = self._truth
        for column, values in sorted(truth.columns.items()):
            for value in np.unique(values):
                yield self._subgroup(column, str(value), values == value)

    def _subgroup(self, column: str, value: str, chosen: NDArray[np.bool_]) -> Subgroup:
        label, patient = self._truth.label[chosen], self._truth.patient[chosen]
        rare, reference = int(label.sum()), int((label == 0).sum())
        if min(rare, reference) < LEAST or min(_people(label, patient)) < 2:
            return Subgroup(column, value, rare, reference, {}, ())
        arms = [replace(arm, scores=arm.scores[:, chosen]) for arm in self._arms]
        design = design_of(arms, label, patient)
        pairs = compare_pairs(design, equivalence=self._run.protocol.design.equivalence)
        return Subgroup(
            column,
            value,
            rare,
            reference,
            {arm.name: auroc for arm, auroc in zip(arms, mean_aurocs(design), strict=True)},
            tuple(pair for pair in pairs if pair.reference == "real" and pair.kind == "synthetic"),
        )

    def _joined(self, name: str) -> Arm:
        """The classifiers of all cells; where there are several cells, each is a unit."""
        parts = [self._run.arm(cell, name, "external") for cell in self._cells]
        if len(parts) == 1:
            return parts[0]
        return Arm(
            name=name,
            kind=parts[0].kind,
            scores=np.concatenate([part.scores for part in parts]),
            generator=np.repeat(np.arange(len(parts)), [len(part.scores) for part in parts]),
        )

    def _generators(self, name: str) -> int | None:
        counts = [self._run.arm(cell, name, "external").generators for cell in self._cells]
        known = [count for count in counts if count is not None]
        return sum(known) if known else None


def _people(label: NDArray[np.int64], patient: NDArray[np.int64]) -> tuple[int, int]:
    return len(np.unique(patient[label == 1])), len(np.unique(patient[label == 0]))
