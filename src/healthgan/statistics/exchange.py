"""Learning curves, and what synthetic images were worth in real ones."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from healthgan.statistics.comparison import design_of
from healthgan.statistics.differences import slope
from healthgan.statistics.readers import Arm
from healthgan.statistics.simultaneous import t_quantile

RESAMPLES = 2000
SEED = 1955


@dataclass(frozen=True)
class Point:
    """What was reached with one number of real rare training images.

    Attributes:
        count: how many.
        reference: (D,) AUROC of the reference arm, one a draw of the images; two draws or more.
        synthetic: (D,) of the synthetic arm on the same draws.
        whole: whether these are all images there are: no draws, but trainings on one set, two or more of either arm,
            (D,) and (E,), which have nothing to do with each other.
    """

    count: int
    reference: NDArray[np.float64]
    synthetic: NDArray[np.float64]
    whole: bool = False


@dataclass(frozen=True)
class Exchange:
    """What the synthetic images were worth at one number of real ones.

    Attributes:
        count: real rare training images.
        reference: mean AUROC of the reference arm.
        fitted: the same on the monotone curve.
        synthetic: mean AUROC of the synthetic arm.
        more: real images that would have done as much for the reference arm; 0 for none, infinite for more than
            the curve goes on for.
        low: of its interval.
        high: of it.
        beyond: how many more the curve goes on for.
    """

    count: int
    reference: float
    fitted: float
    synthetic: float
    more: float
    low: float
    high: float
    beyond: int

    def words(self, value: float) -> str:
        """One of the three numbers in words: 'none', '37', or '> 158'; 'some' at the curve's end, where it knows no number."""
        if value < 0.5:
            return "none"
        if np.isinf(value):
            return f"> {self.beyond}" if self.beyond else "some"
        return f"{value:.0f}"


def exchange_rates(
    points: Sequence[Point],
    case_covariance: NDArray[np.float64] | None = None,
    level: float = 0.95,
) -> list[Exchange]:
    """What the synthetic images were worth at every number of real ones: 'about k more real ones'.

    The reference arm's means are made monotone (isotonic regression over the numbers, weighted by draws; Barlow
    et al. 1972) and joined by straight lines over the logarithm of the number. The synthetic arm's mean is looked
    up on that curve: the least number of real images with which the reference arm gets as far.

    The interval is a percentile bootstrap of the deviations of draws from their mean, reference and synthetic arm
    together; three draws are too few to stand alone, so the deviations of all numbers are pooled
    (``_deviations``). The whole set is what draws are made from: the curve is about it, and there only trainings
    vary. Test patients move both arms and all points together; their covariance is added as normal deviations.

    Args:
        points: two or more, in order of increasing number; the last may be the whole set.
        case_covariance: (2P, 2P) over test patients, of the reference means and then of the synthetic means; see
            ``points_of``. Without it the interval is about training images and trainings only.
        level: of the interval.
    """
    counts = np.array([point.count for point in points])
    assert len(points) > 1, "a curve has two points or more"
    assert np.all(np.diff(counts) > 0), "numbers of images increase"
    weights = np.array([len(point.reference) for point in points], np.float64)
    means = np.array([[point.reference.mean(), point.synthetic.mean()] for point in points])  # (P, 2)
    fitted = _monotone(means[np.newaxis, :, 0], weights)
    drawn = means + _deviations(points, case_covariance, level)  # (B, P, 2)
    worth = _worth(counts, _monotone(drawn[:, :, 0], weights), drawn[:, :, 1])  # (B, P)
    lows, highs = np.quantile(worth, [(1 - level) / 2, (1 + level) / 2], axis=0, method="nearest")
    found = _worth(counts, fitted, means[np.newaxis, :, 1])[0]
    return [
        Exchange(
            count=point.count,
            reference=float(means[number, 0]),
            fitted=float(fitted[0, number]),
            synthetic=float(means[number, 1]),
            more=float(found[number]),
            low=float(lows[number]),
            high=float(highs[number]),
            beyond=int(counts[-1] - point.count),
        )
        for number, point in enumerate(points)
    ]


def _deviations(
    points: Sequence[Point], case_covariance: NDArray[np.float64] | None, level: float
) -> NDArray[np.float64]:
    """(B, P, 2) by which the means of other draws and trainings, and on other test patients, might differ.

    Deviations from the mean of D draws are scaled by √(D/(D−1)), which makes their variance unbiased, divided by
    the spread that their number of images has on a trend, pooled, drawn, and multiplied back. They are widened
    by what Student's t has over the normal distribution at the pooled degrees of freedom. Of the whole set, the means
    of the arms' trainings vary, each by itself.
    """
    rng = np.random.default_rng(SEED)
    drawn = [point for point in points if not point.whole]
    assert all(not point.whole for point in points[:-1]), "the whole set is the last"
    kept = []
    for point in drawn:
        both = np.stack([point.reference, point.synthetic], axis=1)
        assert len(both) > 1, "two draws or more of every number"
        kept.append((both - both.mean(axis=0)) * np.sqrt(len(both) / (len(both) - 1)))
    scale = _spread([point.count for point in drawn], kept)
    pool = np.concatenate([one / own for one, own in zip(kept, scale, strict=True)])
    widen = _widened(len(pool) - len(drawn), level)
    parts = [
        widen * own * pool[rng.integers(len(pool), size=(RESAMPLES, len(one)))].mean(axis=1)
        for one, own in zip(kept, scale, strict=True)
    ]
    parts += [
        np.stack([_of_trainings(values, level, rng) for values in (point.reference, point.synthetic)], axis=1)
        for point in points
        if point.whole
    ]
    found = np.stack(parts, axis=1)
    if case_covariance is not None:
        values, vectors = np.linalg.eigh(case_covariance)
        root = vectors * np.sqrt(np.maximum(values, 0))
        cases = rng.standard_normal((RESAMPLES, len(values))) @ root.T
        found = found + cases.reshape(RESAMPLES, 2, len(points)).transpose(0, 2, 1)
    return found


def _of_trainings(values: NDArray[np.float64], level: float, rng: np.random.Generator) -> NDArray[np.float64]:
    """(B,) by which the mean of other trainings on the same images might differ."""
    assert len(values) > 1, "two trainings or more of the whole set"
    se = values.std(ddof=1) / np.sqrt(len(values))
    return np.asarray(_widened(len(values) - 1, level) * se * rng.standard_normal(RESAMPLES))


def _widened(df: int, level: float) -> float:
    """What Student's t has over the normal distribution at the ends of an interval."""
    return t_quantile((1 - level) / 2, df) / t_quantile((1 - level) / 2, np.inf)


def _spread(counts: Sequence[int], kept: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    """(P,) relative spread of draws: a power of the number of images, from 0 to −1, by least squares of logs."""
    square = np.array([np.mean(one**2) for one in kept])
    if np.any(square == 0):
        return np.ones(len(counts))
    logs = np.log(np.array(counts, np.float64))
    power = np.clip(slope(logs, np.log(square)) / 2, -1, 0)
    relative: NDArray[np.float64] = np.exp(power * (logs - logs[0]))
    return relative


def _monotone(values: NDArray[np.float64], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """The nearest rising curves (B, P) to ``values`` (B, P): the largest of the least means over what surrounds."""
    sums = np.pad(np.cumsum(values * weights, axis=1), ((0, 0), (1, 0)))
    totals = np.concatenate([[0.0], np.cumsum(weights)])
    fitted = np.full(values.shape, -np.inf)
    for start in range(values.shape[1]):
        ends = np.arange(start + 1, values.shape[1] + 1)
        means = (sums[:, ends] - sums[:, [start]]) / (totals[ends] - totals[start])
        least = np.minimum.accumulate(means[:, ::-1], axis=1)[:, ::-1]
        fitted[:, start:] = np.maximum(fitted[:, start:], least)
    return fitted


def _worth(
    counts: NDArray[np.int64], curves: NDArray[np.float64], levels: NDArray[np.float64]
) -> NDArray[np.float64]:
    """(B, P) how many more images lift a curve (B, P) from its height at each number to the level there."""
    logs = np.log(counts)
    rows = np.arange(len(curves))
    found = np.zeros(levels.shape)
    for number, count in enumerate(counts):
        level = levels[:, number]
        above = np.minimum((curves < level[:, np.newaxis]).sum(axis=1), len(counts) - 1)  # first to reach it
        below = np.maximum(above - 1, 0)
        rise = curves[rows, above] - curves[rows, below]
        part = np.divide(level - curves[rows, below], rise, out=np.zeros(len(rows)), where=rise > 0)
        more = np.exp(logs[below] + part.clip(0, 1) * (logs[above] - logs[below])) - count
        found[:, number] = np.where(
            level > curves[:, -1], np.inf, np.where(level > curves[:, number], more, 0)
        )
    return found


@dataclass(frozen=True)
class Cell:
    """One draw of rare training images, or all of them.

    Attributes:
        count: how many.
        draw: its number among the draws of as many; None for all there are.
        reference: classifiers of the reference arm.
        synthetic: classifiers of the synthetic arm.
    """

    count: int
    draw: int | None
    reference: Arm
    synthetic: Arm


def points_of(
    cells: Sequence[Cell], labels: NDArray[np.int64], patients: NDArray[np.int64]
) -> tuple[list[Point], NDArray[np.float64]]:
    """Points of a learning curve from predictions of one test set, and their case covariance.

    Args:
        cells: two draws or more of every number, and perhaps the whole set with two trainings or more of either arm.
        labels: (N,) 0 or 1, of the test images.
        patients: (N,) equal for images of one patient.

    Returns:
        The points in order, and the covariance (2P, 2P) for ``exchange_rates``.
    """
    counts = sorted({cell.count for cell in cells})
    arms, wholes = [], [any(cell.draw is None for cell in cells if cell.count == count) for count in counts]
    for which in ("reference", "synthetic"):
        for count, whole in zip(counts, wholes, strict=True):
            chosen = [cell for cell in cells if cell.count == count]
            parts = [cell.reference if which == "reference" else cell.synthetic for cell in chosen]
            if whole:
                assert len(parts) == 1, "the whole set is there once"
                units = trainings_of(parts[0])
            else:
                units = np.repeat([cell.draw for cell in chosen], [len(part.scores) for part in parts])
            arms.append(Arm(f"{which}-{count}", "control", np.concatenate([p.scores for p in parts]), units))
    design = design_of(arms, labels, patients)
    means = [unit.influence.auroc for unit in design.units]
    points = [
        Point(count, means[number], means[number + len(counts)], whole)
        for number, (count, whole) in enumerate(zip(counts, wholes, strict=True))
    ]
    return points, design.cases.total


def trainings_of(arm: Arm) -> NDArray[np.int64]:
    """(F,) which independent training each classifier belongs to: its generator, or itself where there are not several."""
    several = arm.generators is not None and arm.generators > 1
    return arm.unit if several else np.arange(len(arm.scores))
