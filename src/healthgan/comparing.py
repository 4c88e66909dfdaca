"""Two ways to train a classifier, compared from the scores that their classifiers gave: for anybody's own models."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from healthgan.errors import InputError
from healthgan.statistics.comparison import compare_pairs, design_of, mean_aurocs
from healthgan.statistics.conclusion import check_arms
from healthgan.statistics.differences import Estimate
from healthgan.statistics.readers import Arm
from healthgan.statistics.verdicts import Verdict


@dataclass(frozen=True)
class Compared:
    """Two ways of training against each other on the same test images. All AUROCs are from 0 to 1.

    Attributes:
        difference: mean AUROC of b minus mean AUROC of a.
        low: of its interval, over test patients and trainings.
        high: of it.
        level: of all intervals here.
        verdict: whether b helps or hurts against a, makes no practical difference, or can't be told yet.
        equivalence: differences up to this are of no practical use.
        se: standard error of the difference.
        df: its degrees of freedom (Satterthwaite).
        auroc_a: mean over the classifiers of a, with an interval of its own.
        auroc_b: of b.
        detectable: the true difference that such a comparison finds with 80 % chance.
        classifiers: of a and of b.
        images: tested.
        positive_images: of them.
        patients: whose they are.
        of_patients_only: there is one classifier of each: the interval speaks of these two, and not of what another
            training would have given.
    """

    difference: float
    low: float
    high: float
    level: float
    verdict: Verdict
    equivalence: float
    se: float
    df: float
    auroc_a: Estimate
    auroc_b: Estimate
    detectable: float
    classifiers: tuple[int, int]
    images: int
    positive_images: int
    patients: int
    of_patients_only: bool

    def __str__(self) -> str:
        of = " Of these two classifiers only: another training may differ." if self.of_patients_only else ""
        return (
            f"AUROC {self.auroc_b.value:.3f} against {self.auroc_a.value:.3f}: difference {self.difference:+.3f} "
            f"({100 * self.level:g} % interval {self.low:+.3f} to {self.high:+.3f}; {self.images:,} images, "
            f"{self.positive_images:,} positive, of {self.patients:,} patients; {self.classifiers[1]} and "
            f"{self.classifiers[0]} classifiers): {self.verdict}.{of}"
        )


def compare(
    predictions_a: ArrayLike,
    predictions_b: ArrayLike,
    labels: ArrayLike,
    patients: ArrayLike | None = None,
    *,
    generators_a: ArrayLike | None = None,
    generators_b: ArrayLike | None = None,
    equivalence: float = 0.01,
    level: float = 0.95,
) -> Compared:
    """Compare two ways of training by AUROC, with an interval that covers new patients and new trainings.

    The classifiers are taken as the readers of a multi-reader multi-case study (Obuchowski and Rockette,
    Communications in Statistics B 24:285, 1995): several trainings that differ by their seed alone are several
    readers, the test images are the cases. Images of one patient count together (Obuchowski, Biometrics 53:567,
    1997). With one classifier each and one image a patient the standard error is DeLong's (Biometrics 44:837, 1988).
    Which classifier of b belongs to which of a is not used: equal seeds are no pairs.

    Choose nothing by these test images: not the epoch, not the best seed, not which two to compare.

    Args:
        predictions_a: (R, N) scores of the R classifiers of the first way, the one that b is held against, on N test
            images; or (N,) of a single one. Higher means more surely positive; the scale does not matter.
        predictions_b: (S, N) or (N,) of the second way, on the same images in the same order.
        labels: (N,) 0 or 1.
        patients: (N,) whose image each is, whole numbers or texts; None where every image is of another patient.
        generators_a: (R,) which generator's images a classifier was trained on, if there were several generators:
            classifiers of one generator are not independent of each other. If all are of one, the interval speaks of that
            generator only, and not of what another training of it would give.
        generators_b: (S,) of b.
        equivalence: differences of AUROC up to this are of no practical use; above 0.
        level: of the intervals, between 0 and 1.

    Raises:
        InputError: an array has another shape or value, or fewer than two patients have images of a class.
    """
    truth = _labels(labels)
    people = _patients(patients, len(truth))
    if not (equivalence > 0 and 0 < level < 1):
        raise InputError(
            f"equivalence is {equivalence} and level {level}; above 0, and between 0 and 1, are needed."
        )
    arms = (
        _arm("a", predictions_a, generators_a, len(truth)),
        _arm("b", predictions_b, generators_b, len(truth)),
    )
    check_arms(arms, truth, people)
    design = design_of(arms, truth, people)
    (pair,) = compare_pairs(design, "a", equivalence, level)
    first, second = mean_aurocs(design, level)
    return Compared(
        difference=pair.difference,
        low=pair.marginal_low,
        high=pair.marginal_high,
        level=level,
        verdict=pair.verdict,
        equivalence=equivalence,
        se=pair.se,
        df=pair.df,
        auroc_a=first.estimate,
        auroc_b=second.estimate,
        detectable=pair.detectable,
        classifiers=(len(arms[0].scores), len(arms[1].scores)),
        images=len(truth),
        positive_images=int(truth.sum()),
        patients=len(np.unique(people)),
        of_patients_only=all(len(arm.scores) == 1 for arm in arms),
    )


def _arm(name: str, predictions: ArrayLike, generators: ArrayLike | None, images: int) -> Arm:
    scores = np.atleast_2d(np.asarray(predictions))
    if scores.ndim != 2 or scores.shape[1] != images or not len(scores) or scores.dtype.kind not in "fiu":
        raise InputError(
            f"predictions_{name} are {scores.dtype} {np.shape(predictions)}; numbers ({images},), or a row for each "
            f"classifier (R, {images}), are needed."
        )
    if not np.isfinite(scores).all():
        raise InputError(f"predictions_{name} hold NaN or infinity. Leave that classifier out, and say so.")
    groups = None
    if generators is not None:
        groups = np.asarray(generators)
        if groups.shape != (len(scores),) or groups.dtype.kind not in "iu":
            raise InputError(
                f"generators_{name} are {groups.dtype} {groups.shape}; {len(scores)} whole numbers are needed, one a "
                "classifier."
            )
        groups = groups.astype(np.int64)
    return Arm(name, "reference", scores.astype(np.float64), groups)


def _labels(labels: ArrayLike) -> NDArray[np.int64]:
    found = np.asarray(labels)
    if found.ndim != 1 or found.dtype.kind not in "iub" or not np.isin(found, (0, 1)).all():
        raise InputError(
            f"labels are {found.dtype} {found.shape}; (N,) of 0 and 1 are needed, 1 for positive."
        )
    return found.astype(np.int64)


def _patients(patients: ArrayLike | None, images: int) -> NDArray[np.int64]:
    if patients is None:
        return np.arange(images)
    found = np.asarray(patients)
    if found.shape != (images,) or found.dtype.kind not in "iuU":
        raise InputError(
            f"patients are {found.dtype} {found.shape}; {images} whole numbers or texts are needed, one an image."
        )
    codes: NDArray[np.int64] = np.unique(found, return_inverse=True)[1].astype(np.int64)
    return codes
