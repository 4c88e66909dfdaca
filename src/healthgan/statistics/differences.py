"""Differences, trends and their intervals. Nothing here knows of images or networks."""

import itertools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from healthgan.scores import mid_ranks, wilson_interval

EXACT_UP_TO = 8
"""Pairs up to which Spearman's p-value counts all orders (8! = 40,320)."""


@dataclass(frozen=True)
class Estimate:
    """A value with its interval."""

    value: float
    low: float
    high: float

    @property
    def clear(self) -> bool:
        """Whether the interval leaves zero out."""
        return self.low > 0 or self.high < 0


@dataclass(frozen=True)
class RankCorrelation:
    """Spearman's coefficient, its two-sided p-value and the number of pairs."""

    rho: float
    p: float
    pairs: int


def resample_patients(
    values: NDArray[np.float64],
    patients: NDArray[np.int64],
    rng: np.random.Generator,
    resamples: int = 2000,
) -> NDArray[np.float64]:
    """Means of several quantities over images, with the patients drawn anew, the same ones for all quantities.

    Whole patients are drawn with replacement, as their images are not independent (Field and Welsh, JRSS B
    2007); as the same patients are drawn for every row, differences between rows are paired.

    Args:
        values: (K, N) one quantity a row, one image a column; 0/1 for right or wrong gives accuracies.
        patients: (N,) equal for images of one patient.
        rng: source of randomness.
        resamples: how many draws.

    Returns:
        (resamples, K) means.
    """
    _, member = np.unique(patients, return_inverse=True)
    count = int(member.max()) + 1
    sizes = np.bincount(member, minlength=count)  # images a patient
    sums = np.stack([np.bincount(member, weights=row, minlength=count) for row in values])  # (K, patients)
    drawn = rng.multinomial(count, np.full(count, 1 / count), size=resamples)  # (resamples, patients)
    means: NDArray[np.float64] = (drawn @ sums.T) / (drawn @ sizes)[:, np.newaxis]
    return means


def percentile_estimate(value: float, draws: NDArray[np.float64], level: float = 0.95) -> Estimate:
    """A value with the percentile interval of its bootstrap draws (Efron and Tibshirani 1993, chapter 13)."""
    low, high = np.quantile(draws, [(1 - level) / 2, (1 + level) / 2])
    return Estimate(float(value), float(low), float(high))


def paired_difference(
    first: NDArray[np.bool_],
    second: NDArray[np.bool_],
    patients: NDArray[np.int64],
    rng: np.random.Generator,
    resamples: int = 2000,
    level: float = 0.95,
) -> Estimate:
    """Accuracy of ``second`` minus accuracy of ``first`` on the same images, with a patient bootstrap.

    The interval tells what another choice of test patients would do; it does not tell what another
    training of the two models would.

    Args:
        first: (N,) whether the one model judges the image right.
        second: (N,) whether the other does.
        patients: (N,) equal for images of one patient.
        rng: source of randomness.
        resamples: how many.
        level: of the interval.
    """
    values = np.stack([first, second]).astype(np.float64)
    draws = resample_patients(values, patients, rng, resamples)
    return percentile_estimate(values[1].mean() - values[0].mean(), draws[:, 1] - draws[:, 0], level)


def slope(x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
    """Slope of the straight line of least squares through (x, y).

    Args:
        x: (K,) not all equal.
        y: (..., K) one line for each of the leading places.

    Returns:
        (...,) slopes.
    """
    centred = x - x.mean()
    slopes: NDArray[np.float64] = np.asarray(y @ centred / (centred @ centred))
    return slopes


def spearman(x: NDArray[np.float64], y: NDArray[np.float64]) -> RankCorrelation | None:
    """Spearman's rank correlation; None with fewer than three pairs or where one side does not vary.

    The p-value counts all orders of ``y`` up to ``EXACT_UP_TO`` pairs; above, it is SciPy's approximation
    by Student's t.

    Args:
        x: (K,).
        y: (K,).
    """
    pairs = len(x)
    if pairs < 3 or len(np.unique(x)) == 1 or len(np.unique(y)) == 1:
        return None
    ranks = [mid_ranks(side) - (pairs + 1) / 2 for side in (x, y)]
    scale = np.sqrt((ranks[0] @ ranks[0]) * (ranks[1] @ ranks[1]))
    rho = float(np.clip(ranks[0] @ ranks[1] / scale, -1, 1))
    if pairs > EXACT_UP_TO:
        return RankCorrelation(rho, _t_test(rho, pairs - 2), pairs)
    orders = np.array(list(itertools.permutations(ranks[1])))
    others = orders @ ranks[0] / scale
    return RankCorrelation(rho, float(np.mean(np.abs(others) >= abs(rho) - 1e-9)), pairs)


def _t_test(rho: float, df: int) -> float:
    """The chance, without a correlation, of one that large either way, by Student's t."""
    from scipy import special  # late, and not scipy.stats: see scores.mid_ranks

    if abs(rho) == 1:
        return 0.0
    return float(2 * special.stdtr(df, -abs(rho) * np.sqrt(df / (1 - rho**2))))


def independent_difference(
    first_right: int, first_total: int, second_right: int, second_total: int
) -> Estimate:
    """Difference of two shares of different images, first minus second, with a 95 % interval.

    Newcombe's method 10 (Statistics in Medicine 17:873, 1998): the two Wilson intervals, combined.
    """
    first, second = first_right / first_total, second_right / second_total
    first_low, first_high = wilson_interval(first_right, first_total)
    second_low, second_high = wilson_interval(second_right, second_total)
    difference = first - second
    return Estimate(
        value=difference,
        low=difference - float(np.hypot(first - first_low, second_high - second)),
        high=difference + float(np.hypot(first_high - first, second - second_low)),
    )
