"""Learning curves made up with a known worth of their synthetic images, to see whether intervals hold it."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from healthgan.statistics.exchange import Point


@dataclass(frozen=True)
class Pool:
    """A training set whose images lift or lower what arms reach that learn from them.

    Attributes:
        counts: real rare images, rising; the last is the whole set, from which draws of the others are taken.
        worth: real images that synthetic ones are worth in the mean of all training sets.
        draws: of every number but the last.
        image_sd: by how much one image moves an arm, were it the only one; half of its variance is the same in both arms.
        seed_sd: of a draw's classifiers together.
        trainings: of the reference and of the synthetic arm on the whole set.
        training_sd: of one of these.
    """

    counts: tuple[int, ...] = (25, 50, 100, 200, 400)
    worth: int = 30
    draws: int = 3
    image_sd: float = 0.06
    seed_sd: float = 0.002
    trainings: tuple[int, int] = (10, 5)
    training_sd: float = 0.003


def simulate_curve(pool: Pool, rng: np.random.Generator) -> tuple[list[Point], NDArray[np.float64]]:
    """The points of one training set, and what synthetic images are worth in it.

    Draws of one number overlap, as those of a real training set do. Where nothing but the training set varies, an arm
    reaches with n of its images, in the mean of all draws, what its curve says plus what all images do in the mean.

    Args:
        pool: the training set.
        rng: makes its images and all draws.

    Returns:
        The points, and (P,) the true worth at each: 0 for none, infinite beyond the curve.
    """
    counts, last = np.array(pool.counts), pool.counts[-1]
    common, one, other = pool.image_sd * np.sqrt(0.5) * rng.standard_normal((3, last))
    moved = (common + one, common + other)
    heights = [_curve(counts, counts), _curve(counts + pool.worth, counts)]
    points = []
    for place, count in enumerate(pool.counts[:-1]):
        taken = [rng.permutation(last)[:count] for _ in range(pool.draws)]
        reached = [
            height[place]
            + np.array([by[index].mean() for index in taken])
            + rng.normal(0, pool.seed_sd, pool.draws)
            for height, by in zip(heights, moved, strict=True)
        ]
        points.append(Point(count, reached[0], reached[1]))
    whole = [
        height[-1] + by.mean() + rng.normal(0, pool.training_sd, units)
        for height, by, units in zip(heights, moved, pool.trainings, strict=True)
    ]
    points.append(Point(last, whole[0], whole[1], whole=True))
    levels = heights[1] + moved[1].mean() - moved[0].mean()
    worths = np.exp(np.interp(levels, heights[0], np.log(counts))) - counts
    return points, np.where(levels > heights[0][-1], np.inf, np.maximum(worths, 0))


def _curve(images: NDArray[np.int64], counts: NDArray[np.int64]) -> NDArray[np.float64]:
    """What is reached with so many images: straight lines over the logarithm between the counts, level at the end."""
    reached: NDArray[np.float64] = np.interp(np.log(images), np.log(counts), 0.93 - 0.5 * counts**-0.45)
    return reached
