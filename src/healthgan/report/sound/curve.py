"""The learning curve of a sound study, and what its synthetic images were worth in real ones."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from healthgan.report.sound.plan import arms_of
from healthgan.report.sound.reading import SoundRun
from healthgan.scores import auroc
from healthgan.statistics.exchange import Cell, Exchange, exchange_rates, points_of
from healthgan.statistics.readers import Arm


@dataclass(frozen=True)
class LearningCurve:
    """AUROCs with fewer rare training images.

    Attributes:
        reference: the arm without synthetic images that the rate is told in.
        synthetic: the arm with them.
        counts: rare training images, rising; the last is all of them.
        draws: arm → one array a count, the AUROC of each draw in which all arms could be trained; of the whole set,
            of parts of its classifiers.
        rates: reference arm → what synthetic images were worth at each count.
    """

    reference: str
    synthetic: str
    counts: tuple[int, ...]
    draws: dict[str, list[NDArray[np.float64]]]
    rates: dict[str, list[Exchange]]

    def at(self, count: int, reference: str | None = None) -> Exchange:
        """The rate at one count, against ``reference`` or the arm that was named for it."""
        return next(rate for rate in self.rates[reference or self.reference] if rate.count == count)


def learning_curve(run: SoundRun) -> LearningCurve | None:
    """The curve of a study that has one and all whose classifiers are trained."""
    settings, cells = run.protocol.curve, [cell for cell in run.cells if cell["kind"] == "curve"]
    if settings is None or not cells or not run.complete([*run.main_cells, *cells]):
        return None
    main = run.main_cells[0]
    names = [name for name in arms_of(run.protocol, cells[0], run.arms) if run.trained(main, name)]
    truth = run.tested(main)
    arms = {name: _parts(run, name) for name in names}  # (count, draw) → classifiers
    shared = set.intersection(*(set(found) for found in arms.values()))
    every = sorted({count for count, _ in shared})
    counts = tuple(count for count in every if sum(place[0] == count for place in shared) > 1)
    draws = {
        name: [
            _means(truth.label, [found[place] for place in sorted(shared) if place[0] == count])
            for count in counts
        ]
        for name, found in arms.items()
    }
    rates = {}
    if len(counts) > 1 and settings.synthetic in names:
        for reference in dict.fromkeys((settings.reference, "real")):
            if reference in names:
                paired = [
                    Cell(*place, arms[reference][place], arms[settings.synthetic][place])
                    for place in sorted(shared)
                    if place[0] in counts
                ]
                rates[reference] = exchange_rates(*points_of(paired, truth.label, truth.patient))
    return LearningCurve(settings.reference, settings.synthetic, counts, draws, rates)


def _parts(run: SoundRun, name: str) -> dict[tuple[int, int], Arm]:
    """(count, draw) → the arm's classifiers there. The whole set is there once: its classifiers stand in for draws."""
    found = {
        (int(cell["rare_count"]), int(cell["draw"])): run.arm(cell, name)
        for cell in run.cells
        if cell["kind"] == "curve" and run.trained(cell, name)
    }
    whole = run.arm(run.main_cells[0], name)
    units = (
        whole.generator
        if whole.generator is not None and len(np.unique(whole.generator)) > 1
        else np.arange(len(whole.scores))
    )
    number = np.unique(units, return_inverse=True)[1] % _most(run)
    for draw in np.unique(number):
        found[int(run.asked["rare_images"]), int(draw)] = _some(whole, number == draw)
    return found


def _most(run: SoundRun) -> int:
    """Parts into which the classifiers of the whole set are divided, the same for all arms."""
    assert run.protocol.curve is not None
    design = run.protocol.design
    units = design.generators if design.generators > 1 and not run.brought else design.seeds
    return max(1, min(run.protocol.curve.draws, units, design.reference_seeds))


def _some(arm: Arm, chosen: NDArray[np.bool_]) -> Arm:
    return replace(
        arm,
        scores=arm.scores[chosen],
        generator=None if arm.generator is None else arm.generator[chosen],
        validation=None,
    )


def _means(label: NDArray[np.int64], arms: list[Arm]) -> NDArray[np.float64]:
    """(D,) mean AUROC of each draw's classifiers."""
    return np.array([np.mean([auroc(label, scores) for scores in arm.scores]) for arm in arms])
