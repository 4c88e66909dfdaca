"""Every arm against the best way of training that needs no synthetic images."""

from dataclasses import dataclass

import numpy as np

from healthgan.report.sound.plan import Cell
from healthgan.report.sound.reading import SoundRun
from healthgan.statistics.comparison import compare_pairs, design_of
from healthgan.statistics.conclusion import Comparison
from healthgan.statistics.cross_validation import compare_splits, mean_aurocs
from healthgan.statistics.pairs import Pair
from healthgan.statistics.splits import Split

AGAIN = "real-again"
"""The real images once more: never called the best, as it is no way of its own."""


@dataclass(frozen=True)
class AgainstBest:
    """All arms against one.

    Attributes:
        reference: the reference arm with the highest mean AUROC on these test images, of those whose trainings are
            steady. That it was picked here flatters it, and so leans against the arms that are held against it.
        pairs: every other arm against it. Intervals of synthetic arms and controls hold for all of their kind
            together, as do those of the other reference arms.
    """

    reference: str
    pairs: tuple[Pair, ...]

    def pair(self, arm: str) -> Pair:
        """An arm's."""
        return next(pair for pair in self.pairs if pair.arm == arm)


def best_reference(found: Comparison) -> str:
    """The name of the best reference arm."""
    arms = [arm for arm in found.arms if arm.kind == "reference" and arm.name != AGAIN]
    steady = [arm for arm in arms if not arm.auroc.unsteady]
    return max(steady or arms, key=lambda arm: arm.auroc.estimate.value).name


def against_best(run: SoundRun, found: Comparison) -> AgainstBest:
    """Every arm of the main comparison against the best reference arm.

    Args:
        run: whose main cells are complete.
        found: the comparison of their arms.
    """
    best = best_reference(found)
    pairs = [pair for pair in found.pairs if pair.reference == best and pair.kind != "reference"]
    if best == found.real:
        pairs += found.against(best, "reference")
    else:
        pairs += [pair for pair in _pairs(run, found, best) if pair.kind == "reference"]
    return AgainstBest(best, tuple(pairs))


def _pairs(run: SoundRun, found: Comparison, best: str) -> list[Pair]:
    """The comparison's pairs once more, with ``best`` in the place of real images alone."""
    names = {arm.name: arm.kind for arm in found.arms}
    cells = run.main_cells
    if found.design == "split":
        truth = run.tested(cells[0])
        arms = [run.arm(cells[0], name) for name in names]
        design = design_of(arms, truth.label, truth.patient)
        return compare_pairs(design, best, found.equivalence, found.level)
    splits = splits_of(run, cells)
    share = float(np.mean([len(split.labels) / split.training_images for split in splits]))
    return compare_splits(
        list(names.items()), mean_aurocs(splits), share, best, found.equivalence, found.level
    )


def splits_of(run: SoundRun, cells: list[Cell]) -> list[Split]:
    """The folds of a cross-validation whose classifiers are all trained, with what they say of their test images."""
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
    return splits
