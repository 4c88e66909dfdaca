"""Arms against each other by repeated cross-validation, where a source has no test images of its own.

Seeds are averaged within a split, and differences taken there. Training sets overlap and every image is tested in
every repeat, so that splits are no independent experiments: Nadeau and Bengio (Machine Learning 52:239, 2003)
widen the variance of the mean over J splits from s²/J to s² (1/J + test images / training images), with J − 1
degrees of freedom (Bouckaert and Frank, PAKDD 2004, for repeated cross-validation).

Intervals of several arms hold together as if their differences were independent, which is on the safe side
(Šidák, JASA 62:626, 1967): with a correlation estimated from 15 splits, 7.2 % of 1,000 made-up studies without
any difference had an arm that helped or hurt. No variance of cross-validation is unbiased. This one held 94 % of
single differences where another training set moves an arm's AUROC by 0.006 against the others, and 92 % where it
does so by 0.010 (benchmarks/honesty.py).
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from healthgan.errors import InputError
from healthgan.statistics.cases import placements
from healthgan.statistics.conclusion import Comparison, check_arms, conclude
from healthgan.statistics.fold_arms import arms_over_splits
from healthgan.statistics.pairs import Differences, Pair, families, judge
from healthgan.statistics.readers import Kind
from healthgan.statistics.simultaneous import critical_values
from healthgan.statistics.splits import Split as Split
from healthgan.statistics.verdicts import Needed, Variance, detectable
from healthgan.statistics.words import ENOUGH_SPLITS, FEW_SPLITS


def compare_cross_validation(
    splits: Sequence[Split], *, real: str = "real", equivalence: float = 0.01, level: float = 0.95
) -> Comparison:
    """The arms of a study over the splits of repeated cross-validation.

    Args:
        splits: two or more, of about equal size.
        real: the name of the reference arm that is trained on the real images only.
        equivalence: differences of AUROC below this are of no practical use.
        level: of the intervals.

    Returns:
        The same tree as with one test set. ``Variance.cases`` holds what more repeats would not remove, and
        ``Variance.crossed`` what they would; more patients remove both.

    Raises:
        InputError: a single split, fewer than two patients with images of a class in the test part of one, or a
            score isn't a finite number.
    """
    if len(splits) < 2:
        raise InputError(f"Cross-validation needs two splits or more, not {len(splits)}.")
    arms = splits[0].arms
    for split in splits:
        check_arms(split.arms, split.labels, split.patients)
        assert [arm.name for arm in split.arms] == [arm.name for arm in arms], "the same arms in every split"
    values = mean_aurocs(splits)
    share = _test_share(splits)
    few = len(splits) < FEW_SPLITS
    pairs = compare_splits([(arm.name, arm.kind) for arm in arms], values, share, real, equivalence, level)
    labels, patients = _tested(splits)
    return conclude(
        design="cross-validation",
        splits=len(splits),
        real=real,
        equivalence=equivalence,
        level=level,
        labels=labels,
        patients=patients,
        arms=arms_over_splits(splits, values, share, level),
        pairs=pairs,
        detectable_with_enough=_with_enough(pairs, real, len(splits), level) if few else None,
    )


def mean_aurocs(splits: Sequence[Split]) -> NDArray[np.float64]:
    """(J, A) in every split and arm, the mean over generators of the means over their classifiers."""
    values = np.zeros((len(splits), len(splits[0].arms)))
    for row, split in enumerate(splits):
        for column, arm in enumerate(split.arms):
            single = placements(split.labels, arm.scores)[0].mean(axis=1)
            values[row, column] = np.mean([single[arm.unit == unit].mean() for unit in np.unique(arm.unit)])
    return values


def _test_share(splits: Sequence[Split]) -> float:
    """Images of the test part over images of the training part."""
    return float(np.mean([len(split.labels) / split.training_images for split in splits]))


def compare_splits(
    arms: Sequence[tuple[str, Kind]],
    values: NDArray[np.float64],
    share: float,
    real: str = "real",
    equivalence: float = 0.01,
    level: float = 0.95,
) -> list[Pair]:
    """The pairs that are compared, from each split's mean AUROCs.

    Args:
        arms: names and kinds.
        values: (J, A) mean AUROCs.
        share: test over training images.
        real: the name of the reference arm that is trained on the real images only.
        equivalence: differences of AUROC below this are of no practical use.
        level: of the intervals.
    """
    df = float(len(values) - 1)
    pairs = []
    for family in families(arms, real):
        differences = values @ family.contrasts(len(arms)).T  # (J, K)
        spread = [_corrected(column, share) for column in differences.T]
        count = len(spread)
        found = Differences(
            differences.mean(axis=0), spread, np.full(count, df), np.eye(count), np.full(count, np.inf)
        )
        pairs += judge(family, found, equivalence, level)
    return [replace(pair, needed=_needed(pair.needed, len(values))) for pair in pairs]


def _needed(found: Needed | None, splits: int) -> Needed | None:
    """What would settle a verdict; with few splits, more of these first: a spread with two degrees of freedom tells no more."""
    if found is None or splits >= FEW_SPLITS:
        return None if found is None else replace(found, repeats=True)
    return Needed(None, None, None, splits=ENOUGH_SPLITS, repeats=True)


def _with_enough(pairs: Sequence[Pair], real: str, splits: int, level: float) -> float | None:
    """A gain of a synthetic arm over ``real`` that ``ENOUGH_SPLITS`` splits would find with 80 % chance."""
    gains = [pair for pair in pairs if pair.reference == real and pair.kind == "synthetic"]
    df = float(ENOUGH_SPLITS - 1)
    criticals = critical_values(np.eye(len(gains)), np.full(len(gains), df), level) if gains else ()
    return max(
        (
            detectable(
                pair.variance.cases + pair.variance.crossed * splits / ENOUGH_SPLITS, float(critical), df
            )
            for pair, critical in zip(gains, criticals, strict=True)
        ),
        default=None,
    )


def _corrected(values: NDArray[np.float64], share: float) -> Variance:
    """Nadeau and Bengio's variance of the mean of (J,) values, with test over training images as ``share``."""
    variance = float(values.var(ddof=1))
    return Variance(cases=variance * share, trainings=0.0, crossed=variance / len(values))


def _tested(splits: Sequence[Split]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Labels and patients of the images tested in all splits of one repeat, as far as splits tell.

    Splits are taken in order until a patient comes up again.
    """
    labels: list[NDArray[np.int64]] = []
    patients: list[NDArray[np.int64]] = []
    seen: set[int] = set()
    for split in splits:
        own = set(split.patients.tolist())
        if own & seen:
            break
        seen |= own
        labels.append(split.labels)
        patients.append(split.patients)
    return np.concatenate(labels), np.concatenate(patients)
