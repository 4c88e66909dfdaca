"""Every arm by itself over the splits of a cross-validation: means, with intervals over patients and training parts.

With few splits the spread of their means says next to nothing: Student's t with two degrees of freedom turns three
folds into an interval from 0.3 to 1. Test patients, who decide most of an arm's uncertainty, are many, though, and are
tested in one fold each: the variance of a cross-validated AUROC over patients is the sum of its influence values
(LeDell, Petersen and van der Laan, Electronic Journal of Statistics 9:1583, 2015; with patients as clusters, Obuchowski
1997). What another training part does is added: the spread over splits of an arm against the mean of all arms, which the
folds' patients move alike, corrected for overlapping training parts as Nadeau and Bengio (2003) correct differences.
What moves all arms alike from one set of training patients to another is left out: no cross-validation shows it.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import special

from healthgan.statistics.cases import auc_influence
from healthgan.statistics.comparison import MeanAuroc, on_logit_scale
from healthgan.statistics.conclusion import ArmResult
from healthgan.statistics.measures import MEASURES, RESAMPLES, SEED, Measured, measure_values
from healthgan.statistics.readers import Arm, Kind
from healthgan.statistics.simultaneous import t_quantile
from healthgan.statistics.splits import Split


def arms_over_splits(
    splits: Sequence[Split], values: NDArray[np.float64], share: float, level: float
) -> list[ArmResult]:
    """The arms' AUROCs and other measures.

    Args:
        splits: with the same arms in all.
        values: (J, A) mean AUROCs.
        share: test over training images.
        level: of the intervals, each for one arm alone.
    """
    kinds = [arm.kind for arm in splits[0].arms]
    aurocs = mean_aurocs_over_splits(splits, values, share, level)
    measures = _measures(splits, kinds, share, level)
    return [
        ArmResult(
            name=arm.name,
            kind=arm.kind,
            fits=sum(len(split.arms[number].scores) for split in splits),
            generators=_sum([split.arms[number].generators for split in splits]),
            auroc=aurocs[number],
            measures=measures[number],
            reliability=(),
        )
        for number, arm in enumerate(splits[0].arms)
    ]


def mean_aurocs_over_splits(
    splits: Sequence[Split], values: NDArray[np.float64], share: float, level: float = 0.95
) -> list[MeanAuroc]:
    """Each arm's mean AUROC; arguments as of ``arms_over_splits``."""
    positive, negative = _influence(splits)
    patients = [len(_patients(splits, label)) for label in (1, 0)]
    training, training_df = training_parts(values, [arm.kind for arm in splits[0].arms], share)
    found = []
    for number, mean in enumerate(values.mean(axis=0)):
        parts = [float(values @ values) for values in (positive[number], negative[number])]
        cases = max(sum(parts) + 2 * float(positive[number] @ negative[number]), 0.0)
        squares = sum(part**2 / (count - 1) for part, count in zip(parts, patients, strict=True))
        squares += float(training[number]) ** 2 / training_df
        total = cases + float(training[number])
        df = total**2 / squares if squares > 0 else np.inf
        se = float(np.sqrt(total))
        estimate = on_logit_scale(float(mean), se, t_quantile((1 - level) / 2, df))
        found.append(MeanAuroc(estimate, se, float(df), None, None))
    return found


def training_parts(
    values: NDArray[np.float64], kinds: Sequence[Kind], share: float
) -> tuple[NDArray[np.float64], float]:
    """(A,) variance of the arms' means over training parts, and its degrees of freedom.

    Pooled over the arms that are no controls, and half of what an arm's own exceeds it by, as with one training part.
    With a single such arm there is nothing to hold it against: 0.

    Args:
        values: (J, A) by split and arm.
        kinds: of the arms.
        share: test over training images.
    """
    splits, pooled = len(values), np.array([kind != "control" for kind in kinds])
    count = int(pooled.sum())
    if count < 2:
        return np.zeros(len(kinds)), np.inf
    apart = values - values[:, pooled].mean(axis=1, keepdims=True)
    own = apart.var(axis=0, ddof=1) * np.where(pooled, count / (count - 1), count / (count + 1))
    together = float(own[pooled].mean())
    variance: NDArray[np.float64] = together + np.maximum(own - together, 0) / 2
    return variance * (1 / splits + share), float((splits - 1) * (count - 1))


def _influence(splits: Sequence[Split]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(A, P) what each patient's positive images, and negative ones, add to the arms' means over splits.

    Scaled within a split by √(n / (n − 1)), so that sums of squares are unbiased.
    """
    everyone = np.unique(np.concatenate([split.patients for split in splits]))
    positive, negative = np.zeros((2, len(splits[0].arms), len(everyone)))
    for split in splits:
        place = np.searchsorted(everyone, np.unique(split.patients))
        for row, arm in enumerate(split.arms):
            mean = auc_influence(split.labels, arm.scores, split.patients).combine(_weights(arm))
            for into, part, count in (
                (positive, mean.positive, mean.positive_patients),
                (negative, mean.negative, mean.negative_patients),
            ):
                into[row, place] += part[0] * np.sqrt(count / (count - 1)) / len(splits)
    return positive, negative


def _weights(arm: Arm) -> NDArray[np.float64]:
    """(1, F) of the mean over units of the means over their classifiers."""
    units, member = np.unique(arm.unit, return_inverse=True)
    weights: NDArray[np.float64] = 1 / (len(units) * np.bincount(member)[member])
    return weights[np.newaxis]


def _patients(splits: Sequence[Split], label: int) -> NDArray[np.int64]:
    """Those with an image of a class in any test part."""
    return np.unique(np.concatenate([split.patients[split.labels == label] for split in splits]))


def _measures(
    splits: Sequence[Split], kinds: Sequence[Kind], share: float, level: float
) -> list[dict[str, Measured]]:
    """The other measures by arm: those that can be had in every split."""
    drawn = _patient_draws(splits)
    names = len(kinds)
    found: list[list[dict[str, NDArray[np.float64]]]] = [[] for _ in range(names)]
    for split, weights in zip(splits, drawn, strict=True):
        for number, arm in enumerate(split.arms):
            found[number].append(
                measure_values(arm, split.labels, weights, split.prevalence, split.validation_labels)
            )
    common = [name for name in MEASURES if all(name in one for arm in found for one in arm)]
    results: list[dict[str, Measured]] = [{} for _ in range(names)]
    for name in common:
        table = np.array(
            [[one[name].mean(axis=0) for one in arm] for arm in found]
        )  # (A, J, B), means over classifiers
        training, _ = training_parts(table[:, :, 0].T, kinds, share)
        means = table.mean(axis=1)
        for number in range(names):
            variance = float(means[number, 1:].var(ddof=1)) + float(training[number])
            half = float(special.ndtri((1 + level) / 2) * np.sqrt(variance))
            value, measure = float(means[number, 0]), MEASURES[name]
            low, high = max(value - half, measure.low), min(value + half, measure.high)
            results[number][name] = Measured(value, low, high, float(table[number, :, 0].std(ddof=1)))
    return results


def _patient_draws(splits: Sequence[Split]) -> list[NDArray[np.float64]]:
    """For each split (1 + B, N) how much each image counts, a patient alike in all splits; ones in the first row.

    Weights are exponential (Rubin's Bayesian bootstrap, Annals of Statistics 9:130, 1981): none is zero, so that no
    fold loses its few rare patients. Patients with a rare image and the others have a mean weight of 1 each.
    """
    everyone = np.unique(np.concatenate([split.patients for split in splits]))
    rare = np.isin(everyone, _patients(splits, 1))
    weights = np.random.default_rng(SEED).exponential(size=(RESAMPLES, len(everyone)))
    for group in (rare, ~rare):
        if group.any():
            weights[:, group] /= weights[:, group].mean(axis=1, keepdims=True)
    rows = np.concatenate([np.ones((1, len(everyone))), weights])
    return [rows[:, np.searchsorted(everyone, split.patients)] for split in splits]


def _sum(counts: Sequence[int | None]) -> int | None:
    """Of all, or None where there is nothing to count."""
    known = [count for count in counts if count is not None]
    return sum(known) if known else None
