"""The learning curve of a sound study, and what its synthetic images were worth in real ones."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from healthgan.report.sound.plan import arms_of
from healthgan.report.sound.reading import SoundRun
from healthgan.scores import auroc
from healthgan.statistics.exchange import Cell, Exchange, exchange_rates, points_of, trainings_of
from healthgan.statistics.readers import Arm


@dataclass(frozen=True)
class LearningCurve:
    """AUROCs with fewer rare training images.

    Attributes:
        reference: the arm without synthetic images that the rate is told in.
        synthetic: the arm with them.
        counts: rare training images, rising; the last is all of them.
        draws: arm → one array a count, the AUROC of each draw in which all arms could be trained; of the whole set, of
            each of its generators, or classifiers where there are not several.
        whole: the count that is all of them.
        rates: reference arm → what synthetic images were worth at each count.
    """

    reference: str
    synthetic: str
    counts: tuple[int, ...]
    draws: dict[str, list[NDArray[np.float64]]]
    whole: int
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
    arms = {name: _places(run, name) for name in names}
    shared = set.intersection(*(set(found) for found in arms.values()))
    counts = tuple(sorted({count for count, _ in shared if _enough(count, shared, arms)}))
    places = sorted(
        (place for place in shared if place[0] in counts), key=lambda place: (place[0], place[1] or 0)
    )
    draws = {
        name: [
            _means(truth.label, [found[place] for place in places if place[0] == count]) for count in counts
        ]
        for name, found in arms.items()
    }
    rates = {}
    if len(counts) > 1 and settings.synthetic in names:
        for reference in dict.fromkeys((settings.reference, "real")):
            if reference in names:
                paired = [
                    Cell(*place, arms[reference][place], arms[settings.synthetic][place]) for place in places
                ]
                rates[reference] = exchange_rates(*points_of(paired, truth.label, truth.patient))
    return LearningCurve(
        settings.reference, settings.synthetic, counts, draws, int(run.asked["rare_images"]), rates
    )


Place = tuple[int, int | None]
"""Rare training images, and the number of the draw; None for all there are."""


def _places(run: SoundRun, name: str) -> dict[Place, Arm]:
    """The arm's classifiers, wherever it could be trained."""
    found: dict[Place, Arm] = {
        (int(cell["rare_count"]), int(cell["draw"])): run.arm(cell, name)
        for cell in run.cells
        if cell["kind"] == "curve" and run.trained(cell, name)
    }
    found[int(run.asked["rare_images"]), None] = run.arm(run.main_cells[0], name)
    return found


def _enough(count: int, shared: set[Place], arms: Mapping[str, Mapping[Place, Arm]]) -> bool:
    """Whether something varies: two draws, or of the whole set two trainings of every arm."""
    if (count, None) in shared:
        return all(len(np.unique(trainings_of(found[count, None]))) > 1 for found in arms.values())
    return sum(place[0] == count for place in shared) > 1


def _means(label: NDArray[np.int64], arms: list[Arm]) -> NDArray[np.float64]:
    """(D,) mean AUROC of each draw's classifiers; of one arm, of each of its trainings."""
    single = [np.array([auroc(label, scores) for scores in arm.scores]) for arm in arms]
    if len(arms) > 1:
        return np.array([values.mean() for values in single])
    units = trainings_of(arms[0])
    return np.array([single[0][units == unit].mean() for unit in np.unique(units)])
