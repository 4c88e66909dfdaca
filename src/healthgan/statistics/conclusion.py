"""All that a study concludes from its predictions, in one tree that reports and tables are made from."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from healthgan.errors import InputError
from healthgan.statistics.calibration import ReliabilityBin, reliability, shift_to_prevalence
from healthgan.statistics.comparison import MeanAuroc, compare_pairs, design_of, mean_aurocs
from healthgan.statistics.measures import Measured, measure_arm, patient_weights
from healthgan.statistics.pairs import Pair, answers_of
from healthgan.statistics.readers import Arm, Kind
from healthgan.statistics.verdicts import Headline, headline
from healthgan.statistics.words import FEW_SPLITS


@dataclass(frozen=True)
class ArmResult:
    """An arm by itself.

    Attributes:
        name: of its recipe.
        kind: what it is there for.
        fits: classifiers.
        generators: how many different ones they learnt from; None where the recipe needs none.
        auroc: the primary measure.
        measures: the others that can be had, by their names in ``measures.MEASURES``.
        reliability: predicted against observed at the training prevalence; empty where that is not known.
    """

    name: str
    kind: Kind
    fits: int
    generators: int | None
    auroc: MeanAuroc
    measures: dict[str, Measured]
    reliability: tuple[ReliabilityBin, ...]


@dataclass(frozen=True)
class Comparison:
    """The arms of a study against each other.

    Attributes:
        design: one test set, whose claim is about classifiers from this training set, or repeated
            cross-validation, whose claim is about training sets of its size.
        splits: of cross-validation; 1 with one test set.
        real: the reference arm trained on the real images only.
        equivalence: differences below this are of no practical use.
        level: of the intervals.
        images: tested.
        rare_images: of them.
        patients: whose they are; None where a report takes them for not known, as every image was given one of its own.
        rare_patients: those with a rare image; None likewise.
        arms: in the order in which they were given.
        pairs: every synthetic arm and control against every reference arm, other reference arms against real.
        headline: the study's answer.
        because: the arms that give it: helping ones, or reference arms that are better than all synthetic ones.
        detectable: a true gain over ``real`` that would be found with 80 % chance, whichever synthetic arm had
            it; None without such pairs.
        detectable_at_best: the same with any number of trainings, or of repeats of a cross-validation: the least that
            these test patients can settle.
        detectable_with_enough: the same with ``ENOUGH_SPLITS`` splits of a cross-validation that has few; None elsewhere.
    """

    design: Literal["split", "cross-validation"]
    splits: int
    real: str
    equivalence: float
    level: float
    images: int
    rare_images: int
    patients: int | None
    rare_patients: int | None
    arms: tuple[ArmResult, ...]
    pairs: tuple[Pair, ...]
    headline: Headline
    because: tuple[str, ...]
    detectable: float | None
    detectable_at_best: float | None
    detectable_with_enough: float | None = None

    @property
    def few_splits(self) -> bool:
        """Whether a cross-validation has so few splits that these alone make its intervals wide."""
        return self.design == "cross-validation" and self.splits < FEW_SPLITS

    @property
    def prevalence(self) -> float:
        """Of the rare class among the tested images: what AUPRC would be by chance."""
        return self.rare_images / self.images

    def arm(self, name: str) -> ArmResult:
        """The arm of that name.

        Raises:
            KeyError: there is none.
        """
        return {arm.name: arm for arm in self.arms}[name]

    def pair(self, arm: str, reference: str) -> Pair:
        """The arm against the reference arm.

        Raises:
            KeyError: they were not compared.
        """
        return {(pair.arm, pair.reference): pair for pair in self.pairs}[arm, reference]

    def against(self, reference: str, kind: Kind = "synthetic") -> list[Pair]:
        """All arms of a kind against a reference arm."""
        return [pair for pair in self.pairs if pair.reference == reference and pair.kind == kind]


def compare(
    arms: Sequence[Arm],
    labels: NDArray[np.int64],
    patients: NDArray[np.int64],
    *,
    prevalence: float | None = None,
    validation_labels: NDArray[np.int64] | None = None,
    real: str = "real",
    equivalence: float = 0.01,
    level: float = 0.95,
) -> Comparison:
    """The arms of a study on one test set, or on a subgroup of it.

    Args:
        arms: predictions of the same images in the same order; two kinds of training of one arm are two arms.
        labels: (N,) 0 or 1.
        patients: (N,) equal for images of one patient, who may have images of both classes.
        prevalence: of the rare class in the training part; without it nothing is said of calibration.
        validation_labels: (V,) of the images of the arms' ``validation`` scores.
        real: the name of the reference arm that is trained on the real images only.
        equivalence: differences of AUROC below this are of no practical use.
        level: of the intervals.

    Raises:
        InputError: fewer than two patients have images of a class, or a score isn't a finite number.
    """
    check_arms(arms, labels, patients)
    design = design_of(arms, labels, patients)
    pairs = compare_pairs(design, real, equivalence, level)
    weights = patient_weights(labels, patients)
    results = [
        ArmResult(
            arm.name,
            arm.kind,
            len(arm.scores),
            arm.generators,
            auroc,
            measure_arm(arm, labels, weights, prevalence, validation_labels, level),
            () if prevalence is None else reliability(labels, shift_to_prevalence(arm.scores, prevalence)),
        )
        for arm, auroc in zip(arms, mean_aurocs(design, level), strict=True)
    ]
    return conclude(
        design="split",
        splits=1,
        real=real,
        equivalence=equivalence,
        level=level,
        labels=labels,
        patients=patients,
        arms=results,
        pairs=pairs,
    )


def conclude(
    *,
    design: Literal["split", "cross-validation"],
    splits: int,
    real: str,
    equivalence: float,
    level: float,
    labels: NDArray[np.int64],
    patients: NDArray[np.int64],
    arms: Sequence[ArmResult],
    pairs: Sequence[Pair],
    detectable_with_enough: float | None = None,
) -> Comparison:
    """The headline, and the whole tree."""
    synthetic = [pair for pair in pairs if pair.kind == "synthetic"]
    answer, because = headline(answers_of(pairs, level), real)
    with_real = [pair for pair in synthetic if pair.reference == real]
    return Comparison(
        design=design,
        splits=splits,
        real=real,
        equivalence=equivalence,
        level=level,
        images=len(labels),
        rare_images=int(labels.sum()),
        patients=len(np.unique(patients)),
        rare_patients=len(np.unique(patients[labels == 1])),
        arms=tuple(arms),
        pairs=tuple(pairs),
        headline=answer,
        because=because,
        detectable=max((pair.detectable for pair in with_real), default=None),
        detectable_at_best=max((pair.detectable_at_best for pair in with_real), default=None),
        detectable_with_enough=detectable_with_enough,
    )


def check_arms(arms: Sequence[Arm], labels: NDArray[np.int64], patients: NDArray[np.int64]) -> None:
    """Refuse what no statistics can be made of.

    Raises:
        InputError: fewer than two patients have images of a class, or a score isn't a finite number.
    """
    assert arms, "there is something to compare"
    assert len({arm.name for arm in arms}) == len(arms), "arms have different names"
    for label, title in ((1, "rare"), (0, "reference")):
        found = len(np.unique(patients[labels == label]))
        if found < 2:
            raise InputError(
                f"The test images of the {title} class come from {found} patients. "
                "A comparison needs images of two patients or more of either class."
            )
    for arm in arms:
        assert arm.scores.shape[1:] == labels.shape, "a score for every image"
        if not np.isfinite(arm.scores).all():
            raise InputError(
                f"A classifier of the arm '{arm.name}' gave scores that are no finite numbers. "
                "Its training went astray: check the network and the learning rate."
            )
