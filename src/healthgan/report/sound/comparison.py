"""A sound study's questions, answered from its predictions."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from healthgan.report.sound.curve import LearningCurve, learning_curve
from healthgan.report.sound.plan import ONWARD, Cell
from healthgan.report.sound.reading import SoundRun
from healthgan.report.sound.telling import Telling, telling
from healthgan.statistics.comparison import MeanAuroc, compare_pairs, design_of, mean_aurocs
from healthgan.statistics.conclusion import Comparison, compare
from healthgan.statistics.cross_validation import Split, compare_cross_validation
from healthgan.statistics.pairs import Pair

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


@dataclass(frozen=True)
class Answers:
    """What can be answered from the jobs that are finished; None where not all that it needs are.

    Attributes:
        main: the arms on the study's own test images.
        external: the arms on the external test set.
        subgroups: of that set.
        onward: the second question: fine-tuned to other data.
        curve: the learning curve.
        telling: ROC, precision-recall and calibration of the arms that matter.
    """

    main: Comparison | None
    external: Comparison | None
    subgroups: tuple[Subgroup, ...]
    onward: Comparison | None
    curve: LearningCurve | None
    telling: tuple[Telling, ...]


@lru_cache(maxsize=1)
def examine(run: SoundRun) -> Answers:
    """Answer what can be answered; nothing of a comparison before all its classifiers are trained.

    The last run's answers are kept, as its page, its tables and what is printed all rest on them.
    """
    external = run.design == "own-test" and bool((run.task or {}).get("external"))
    cells = run.main_cells
    complete = run.complete(cells)
    onward = [cell for cell in run.cells if cell["kind"] == ONWARD]
    main = _main(run, cells) if complete else None
    return Answers(
        main=main,
        external=on_one_set(run, cells[0], "external") if complete and external else None,
        subgroups=tuple(_subgroups(run, cells[0])) if complete and external else (),
        onward=on_one_set(run, onward[0]) if run.complete(onward) else None,
        curve=learning_curve(run),
        telling=() if main is None else tuple(telling(run, main)),
    )


def on_one_set(run: SoundRun, cell: Cell, tested: str = "test") -> Comparison:
    """The arms of a cell against each other on its test images, or on those from elsewhere.

    Thresholds are from the cell's validation images, and probabilities are corrected to its training prevalence.
    """
    truth = run.tested(cell, tested)
    return compare(
        [run.arm(cell, name, tested) for name in run.compared(cell)],
        truth.label,
        truth.patient,
        prevalence=run.prevalence(cell),
        validation_labels=run.tested(cell, "val").label,
        equivalence=run.protocol.design.equivalence,
    )


def _main(run: SoundRun, cells: list[Cell]) -> Comparison:
    return on_one_set(run, cells[0]) if cells[0]["kind"] == "main" else over_splits(run, cells)


def over_splits(run: SoundRun, cells: list[Cell]) -> Comparison:
    """The arms against each other over the splits of a repeated cross-validation."""
    splits = []
    for cell in cells:
        truth = run.tested(cell)
        splits.append(
            Split(
                tuple(run.arm(cell, name) for name in run.compared(cell)),
                truth.label,
                truth.patient,
                run.training_images(cell),
                run.prevalence(cell),
                run.tested(cell, "val").label,
            )
        )
    return compare_cross_validation(splits, equivalence=run.protocol.design.equivalence)


def _subgroups(run: SoundRun, cell: Cell) -> Iterator[Subgroup]:
    truth = run.tested(cell, "external")
    arms = [run.arm(cell, name, "external") for name in run.compared(cell)]
    for column, values in sorted(truth.columns.items()):
        for value in np.unique(values):
            chosen = values == value
            label, patient = truth.label[chosen], truth.patient[chosen]
            rare, reference = int(label.sum()), int((label == 0).sum())
            if min(rare, reference) < LEAST or min(_people(label, patient)) < 2:
                yield Subgroup(column, str(value), rare, reference, {}, ())
                continue
            design = design_of([replace(arm, scores=arm.scores[:, chosen]) for arm in arms], label, patient)
            pairs = compare_pairs(design, equivalence=run.protocol.design.equivalence)
            yield Subgroup(
                column,
                str(value),
                rare,
                reference,
                {arm.name: auroc for arm, auroc in zip(arms, mean_aurocs(design), strict=True)},
                tuple(pair for pair in pairs if pair.reference == "real" and pair.kind == "synthetic"),
            )


def _people(label: NDArray[np.int64], patient: NDArray[np.int64]) -> tuple[int, int]:
    return len(np.unique(patient[label == 1])), len(np.unique(patient[label == 0]))
