"""A sound study's questions, answered from its predictions."""

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from healthgan.report.curves import Telling
from healthgan.report.sound.best import AgainstBest, against_best, splits_of
from healthgan.report.sound.curve import LearningCurve, learning_curve
from healthgan.report.sound.elsewhere import External, Subgroup
from healthgan.report.sound.plan import ONWARD, Cell
from healthgan.report.sound.reading import SoundRun
from healthgan.report.sound.telling import telling
from healthgan.statistics.conclusion import Comparison, compare
from healthgan.statistics.cross_validation import compare_cross_validation


@dataclass(frozen=True)
class Answers:
    """What can be answered from the jobs that are finished; None where not all that it needs are.

    Attributes:
        main: the arms on the study's own test images.
        best: the same against the best arm that needs no synthetic images; None where there is no other arm.
        external: the arms on the external test set.
        subgroups: of that set.
        onward: the second question: fine-tuned to other data.
        curve: the learning curve.
        telling: ROC, precision-recall and calibration of the arms that matter.
    """

    main: Comparison | None
    best: AgainstBest | None
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
    cells, task = run.main_cells, run.task or {}
    complete = run.complete(cells)
    elsewhere = External(run, cells) if complete and task.get("external") else None
    onward = [cell for cell in run.cells if cell["kind"] == ONWARD]
    main = told(_main(run, cells), task["main"]) if complete else None
    return Answers(
        main=main,
        best=None if main is None or len(main.arms) < 2 else against_best(run, main),
        external=None if elsewhere is None else told(elsewhere.compared(), task["external"]),
        subgroups=() if elsewhere is None else tuple(elsewhere.subgroups()),
        onward=told(on_one_set(run, onward[0]), task["onward"]) if run.complete(onward) else None,
        curve=learning_curve(run),
        telling=() if main is None else tuple(telling(run, main)),
    )


def on_one_set(run: SoundRun, cell: Cell) -> Comparison:
    """The arms of a cell against each other on its test images.

    Thresholds are from the cell's validation images, and probabilities are corrected to its training prevalence.
    """
    truth = run.tested(cell)
    return compare(
        [run.arm(cell, name) for name in run.compared(cell)],
        truth.label,
        truth.patient,
        prevalence=run.prevalence(cell),
        validation_labels=run.tested(cell, "val").label,
        equivalence=run.protocol.design.equivalence,
    )


def told(found: Comparison, facts: dict[str, Any]) -> Comparison:
    """The comparison without its counts of patients where the source does not tell them."""
    return found if facts["patients_known"] else replace(found, patients=None, rare_patients=None)


def _main(run: SoundRun, cells: list[Cell]) -> Comparison:
    return on_one_set(run, cells[0]) if cells[0]["kind"] == "main" else over_splits(run, cells)


def over_splits(run: SoundRun, cells: list[Cell]) -> Comparison:
    """The arms against each other over the splits of a repeated cross-validation."""
    return compare_cross_validation(splits_of(run, cells), equivalence=run.protocol.design.equivalence)
