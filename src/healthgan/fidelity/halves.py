"""Synthetic against real images, beside real against real images: what the measures say of a perfect generator."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from healthgan.errors import InputError
from healthgan.fidelity.distances import Pair
from healthgan.fidelity.features import Features, FeatureSpace, Images
from healthgan.fidelity.manifold import NEIGHBOURS
from healthgan.fidelity.metrics import METRICS, Metric

MOST = 1000
"""Real images, and synthetic ones, that are compared; of more, a random part (whole patients)."""

EVEN = 0.45
"""Least share of the real images in the smaller half: patients are not cut, so halves are not exact."""


@dataclass(frozen=True)
class AgainstReal:
    """One measure of synthetic images beside its floor.

    The intervals are the 2.5th and 97.5th percentiles over the halves: how much the value of one comparison of
    ``n`` against ``n`` images varies. They are not standard errors of the means.

    Attributes:
        value: mean over the halves, synthetic against real images.
        low: 2.5th percentile.
        high: 97.5th percentile.
        floor: mean over the halves, real against real images of other patients.
        floor_low: 2.5th percentile.
        floor_high: 97.5th percentile.
        ratio: ``value`` over ``floor``; None for KID, whose floor is around zero.
        limit: what ``value`` should reach, or None without a goal.
        reached: whether it does.
        n: images on either side of each comparison.
        halves: how many comparisons.
    """

    value: float
    low: float
    high: float
    floor: float
    floor_low: float
    floor_high: float
    ratio: float | None
    limit: float | None
    reached: bool | None
    n: int
    halves: int


def against_real(
    space: FeatureSpace,
    real: Images,
    real_groups: NDArray[np.int64] | None,
    synthetic: Images,
    rng: np.random.Generator,
    halves: int = 200,
) -> dict[str, AgainstReal]:
    """Every measure of :data:`METRICS`, for synthetic images and for real ones in their place.

    The real images are divided at random into halves A and B that share no patient, ``halves`` times.
    measure(A, B) is the floor; measure(A, S), with S as many random synthetic images, is the value. Because the
    patients of B are not those of A, while a generator has seen both, a value may lie below the floor.

    Args:
        space: made from training images.
        real: (N, H, W, C) uint8, real images of one class, those that the generator trained on or others.
        real_groups: (N,) whose they are; None where each is of another patient.
        synthetic: (M, H, W, C) uint8, made for the same class.
        rng: decides the halves and the subsets.
        halves: how many.

    Returns:
        The measures by name.

    Raises:
        InputError: too few images on either side, or one patient has more than half of the real ones.
    """
    groups = np.arange(len(real)) if real_groups is None else np.unique(real_groups, return_inverse=True)[1]
    kept = _whole_patients(groups, rng)
    real, groups = real[kept], groups[kept]
    synthetic = synthetic[rng.permutation(len(synthetic))[:MOST]]
    splits = draw_halves(groups, halves, rng)
    n = min(len(synthetic), *(len(side) for split in splits for side in split))
    if n <= NEIGHBOURS:
        raise InputError(
            f"{len(real)} real and {len(synthetic)} synthetic images: too few to compare. "
            f"{2 * NEIGHBOURS + 4} real and {NEIGHBOURS + 1} synthetic ones are needed, of several patients."
        )
    features = np.concatenate([space.features(real), space.features(synthetic)])
    products = features @ features.T
    values, floors = np.empty((2, halves, len(METRICS)))
    for row, (first, second) in enumerate(splits):
        chosen = len(real) + rng.permutation(len(synthetic))[:n]
        values[row] = _measure(features, products, first[:n], chosen)
        floors[row] = _measure(features, products, first[:n], second[:n])
    return {
        name: _summary(metric, values[:, column], floors[:, column], n)
        for column, (name, metric) in enumerate(METRICS.items())
    }


def _measure(
    features: Features, products: Features, first: NDArray[np.int64], second: NDArray[np.int64]
) -> list[float]:
    blocks = [products[np.ix_(a, b)] for a, b in ((first, first), (first, second), (second, second))]
    pair = Pair(features[first], features[second], (blocks[0], blocks[1], blocks[2]))
    return [metric.measure(pair) for metric in METRICS.values()]


def _summary(metric: Metric, values: NDArray[np.float64], floors: NDArray[np.float64], n: int) -> AgainstReal:
    value, floor = float(values.mean()), float(floors.mean())
    low, high = np.quantile(values, [0.025, 0.975])
    floor_low, floor_high = np.quantile(floors, [0.025, 0.975])
    limit = None
    if metric.goal == "floor":
        limit = float(floor_high if metric.better == "lower" else floor_low)
    elif metric.goal is not None:
        limit = metric.goal * floor
    reached = None if limit is None else (value <= limit if metric.better == "lower" else value >= limit)
    return AgainstReal(
        value=value,
        low=float(low),
        high=float(high),
        floor=floor,
        floor_low=float(floor_low),
        floor_high=float(floor_high),
        ratio=value / floor if metric.lowest == 0 and floor > 0 else None,
        limit=limit,
        reached=reached,
        n=n,
        halves=len(values),
    )


def _whole_patients(groups: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
    """Positions of all images, or of random patients with no more than ``MOST`` images together."""
    if len(groups) <= MOST:
        return np.arange(len(groups))
    sizes = np.bincount(groups)
    order = rng.permutation(len(sizes))
    return np.flatnonzero(np.isin(groups, order[np.cumsum(sizes[order]) <= MOST]))


def draw_halves(
    groups: NDArray[np.int64], halves: int, rng: np.random.Generator, even: float = EVEN
) -> list[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Positions of the images of two halves of the patients, each in random order, ``halves`` times.

    The patients stand in a random order that is cut where it comes nearest to half of the images.

    Args:
        groups: (N,) whose the images are.
        halves: how many divisions.
        rng: decides them.
        even: least share of the images in the smaller half; a division that is less even is drawn again.

    Raises:
        InputError: there is no such division, or none was found.
    """
    _, groups = np.unique(groups, return_inverse=True)
    sizes = np.bincount(groups)
    found: list[tuple[NDArray[np.int64], NDArray[np.int64]]] = []
    for _ in range(100 * halves if len(sizes) > 1 else 0):
        order = rng.permutation(len(sizes))
        before = np.cumsum(sizes[order])[:-1]
        cut = int(np.argmin(np.abs(before - len(groups) / 2)))
        if min(before[cut], len(groups) - before[cut]) < int(even * len(groups)):
            continue
        first = np.isin(groups, order[: cut + 1])[shuffled := rng.permutation(len(groups))]
        found.append((shuffled[first], shuffled[~first]))
        if len(found) == halves:
            return found
    raise InputError(
        f"{len(groups)} real images of {len(sizes)} patients cannot be halved without parting a patient: one "
        f"has {sizes.max(initial=0)}. Add images of other patients."
    )
