"""Are generated images nearer to the training images than to others that might have been?

The distance is the same everywhere: Euclidean between images of zero mean and unit length, so that it is
sqrt(2 − 2ρ) of their correlation ρ. Standardised pixels need no network that would have to be trained on
somebody's images, ignore brightness and contrast, and of the representations tried they tell members from
non-members best when copies are moved or turned (docs/method.md). Images above 32 pixels are reduced to 28.
"""

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from healthgan.privacy.alignment import Floats, Pixels, reduced, unit_vectors
from healthgan.privacy.intervals import OneAPatient
from healthgan.scores import mid_ranks

Distances = NDArray[np.float32]

DRAWS = 200
"""Repeated draws of equal counts."""
ONE_CELL_BELOW = 1000
"""Images of the smallest of the three sets below which C_T has one cell."""

_CELL = 500  # images of the smallest set a cell, on average
_ENOUGH = 20  # generated images that a cell needs to count; tau = 20/m in the paper
_MOST = 2000  # generated images, and 5000 real ones a side, in the tables that draws are made from
_MOST_REAL = 5000
_HALVES, _DRAWS_A_HALF = 100, 10
_BLOCK = 1 << 24  # numbers in a table of distances at a time: 64 MiB
_TWO_SIDED = float(ndtri(0.975))


@dataclass(frozen=True)
class Closer:
    """The share of generated images nearer to a training image than to any held-out one, at equal counts.

    Attributes:
        share: mean over draws; 0.5 where training images are no nearer than others, 1 for copies.
        low: lower end of its 95 % interval, over patients and generated images.
        high: upper end.
        images: of each side in a draw, each of another patient.
        generated: images compared.
        draws: how many.
    """

    share: float
    low: float
    high: float
    images: int
    generated: int
    draws: int


@dataclass(frozen=True)
class DataCopying:
    """C_T of Meehan et al. (2020): below the interval, generated images are too near to the training images.

    Attributes:
        c_t: a z statistic averaged over cells; negative means copying, positive underfitting. None where no cell
            counts.
        low: lower end of the interval that holds 95 % of the values where nothing is copied; None likewise.
        high: upper end; None likewise.
        cells: that counted.
        training: images.
        heldout: images, one a patient.
        generated: images.
        not_computable: why there is no such value; empty where there is.
    """

    c_t: float | None
    low: float | None
    high: float | None
    cells: int
    training: int
    heldout: int
    generated: int
    not_computable: str = ""


def standardised(images: Pixels) -> Floats:
    """(N, H, W, C) uint8 images as (N, D) float32 points; a constant image lies at the origin."""
    return unit_vectors(reduced(images))


def nearest(
    queries: Floats, references: Floats, *, own: NDArray[np.int64] | None = None
) -> tuple[Distances, NDArray[np.int64]]:
    """The distance from each query to its nearest reference, and which that is.

    Args:
        queries: (N, D) as ``standardised`` gives them.
        references: (M, D) likewise.
        own: (N,) one reference to leave out for each query; M ≥ 2 is needed then.
    """
    block = max(1, _BLOCK // len(references))
    best = np.empty(len(queries), np.float32)
    position = np.empty(len(queries), np.int64)
    for start in range(0, len(queries), block):
        part = slice(start, start + block)
        table = queries[part] @ references.T
        rows = np.arange(len(table))
        if own is not None:
            table[rows, own[part]] = -np.inf
        position[part] = table.argmax(axis=1)
        best[part] = table[rows, position[part]]
    return _distance(best), position


def closer_to_training(
    generated: Floats,
    training: Floats,
    training_patients: NDArray[np.int64],
    heldout: Floats,
    heldout_patients: NDArray[np.int64],
    seed: int,
) -> Closer:
    """How often a generated image is nearer to a training image than to a held-out one.

    Both sides give as many images, each of another patient, drawn anew 200 times; ties count half. The
    interval is ± 1.96 standard deviations of the share over 100 random halves of the patients of each side and
    as many bootstrap draws of generated images. Halves, as a patient drawn twice can't be nearest twice; that
    they are half as many and drawn from a finite number cancels (delete-half jackknife: Shao and Wu, Annals of
    Statistics 17:1176, 1989). Both sides draw with the same seed, so that exchanging them mirrors the share
    around 0.5.

    Args:
        generated: (N, D) as ``standardised`` gives them; at most 2,000 random ones are compared.
        training: (M, D) likewise; at most 5,000 random ones.
        training_patients: (M,) whose they are.
        heldout: (P, D) likewise; at most 5,000 random ones.
        heldout_patients: (P,) whose they are.
        seed: of the draws.
    """
    rng = np.random.default_rng([seed, 0])
    kept = generated[_some(len(generated), _MOST, rng)]
    sides = [
        _Side(points, patients, kept, np.random.default_rng([seed, 1]))  # the same for both
        for points, patients in ((training, training_patients), (heldout, heldout_patients))
    ]
    share = float(_nearer(sides, DRAWS).mean())
    halves = [
        rng.choice(_nearer([side.half() for side in sides], _DRAWS_A_HALF), len(kept)).mean()
        for _ in range(_HALVES)
    ]
    margin = _TWO_SIDED * float(np.std(halves, ddof=1))
    count = min(side.drawing.patients for side in sides)
    return Closer(share, max(share - margin, 0.0), min(share + margin, 1.0), count, len(kept), DRAWS)


class _Side:
    """Real images, their correlations with the generated ones, and a generator to draw from them."""

    def __init__(
        self,
        points: Floats,
        patients: NDArray[np.int64],
        generated: Floats,
        rng: np.random.Generator,
    ) -> None:
        some = _some(len(points), _MOST_REAL, rng)
        self.rng = rng
        self.table = points[some] @ generated.T  # (images, generated)
        self.drawing = OneAPatient(patients[some])

    def half(self) -> "_Side":
        """One with half of the patients, which draws from the same generator."""
        part = copy(self)
        part.drawing = self.drawing.half(self.rng)
        return part


def _nearer(sides: Sequence[_Side], draws: int) -> NDArray[np.float64]:
    """(N,) how often each generated image is nearer to the first side, over draws of equal counts."""
    count = min(side.drawing.patients for side in sides)
    total = np.zeros(sides[0].table.shape[1])
    for _ in range(draws):
        first, second = (side.table[side.drawing.draw(count, side.rng)].max(axis=0) for side in sides)
        total += np.where(first == second, 0.5, first > second)
    return total / draws


def authenticity(images: Floats, training: Floats) -> NDArray[np.bool_]:
    """(N,) True where an image is farther from its nearest training image than that is from any other one.

    Alaa, van Breugel, Saveliev and van der Schaar, "How faithful is your synthetic data?", ICML 2022, section
    3.3; an image nearer than that counts as a copy with noise. Real images of other patients show what to
    expect.

    Args:
        images: (N, D) as ``standardised`` gives them.
        training: (M, D) likewise, M ≥ 2.
    """
    distance, match = nearest(images, training)
    matched, which = np.unique(match, return_inverse=True)
    around, _ = nearest(training[matched], training, own=matched)
    authentic: NDArray[np.bool_] = distance > around[which]
    return authentic


def data_copying(
    generated: Floats,
    training: Floats,
    heldout: Floats,
    heldout_patients: NDArray[np.int64],
    rng: np.random.Generator,
) -> DataCopying:
    """Are generated images nearer to the training images than held-out real images are?

    Meehan, Chaudhuri and Dasgupta, "A non-parametric test to detect data-copying in generative models", AISTATS
    2020, equation 3: in every cell of a k-means partition of the training images, the z score of the
    Mann–Whitney U of both sets of distances to the nearest training image (that of the cell); the mean over
    the cells with at least 20 generated images, weighted by held-out images. One cell where a set has less
    than 1,000 images, else one for every 500. One random held-out image a patient, as the z score wants
    independent ones.

    Args:
        generated: (N, D) as ``standardised`` gives them.
        training: (M, D) likewise.
        heldout: (P, D) likewise.
        heldout_patients: (P,) whose they are.
        rng: draws held-out images and starts k-means.
    """
    drawing = OneAPatient(heldout_patients)
    real = heldout[drawing.draw(drawing.patients, rng)]
    least = min(len(generated), len(training), len(real))
    cells = 1 if least < ONE_CELL_BELOW else least // _CELL
    home = _partition((training, real, generated), cells, rng)
    weights, scores = [], []
    for cell in range(cells):
        here, others, made = (
            points[own == cell] for points, own in zip((training, real, generated), home, strict=True)
        )
        if len(here) and len(others) and (len(made) >= _ENOUGH or cells == 1):
            weights.append(len(others))
            scores.append(mann_whitney_z(nearest(made, here)[0], nearest(others, here)[0]))
    counts = (len(training), len(real), len(generated))
    if not scores:
        reason = (
            f"not computable: none of {cells} cells of the training images has {_ENOUGH} generated images and a "
            "held-out one"
        )
        return DataCopying(None, None, None, 0, *counts, not_computable=reason)
    weight = np.array(weights) / sum(weights)
    spread = _TWO_SIDED * float(np.linalg.norm(weight))  # of a weighted mean of independent z scores
    value = float(weight @ np.array(scores))
    return DataCopying(value, -spread, spread, len(scores), *counts)


def mann_whitney_z(first: NDArray[np.floating], second: NDArray[np.floating]) -> float:
    """The z score of Mann and Whitney's U (1947): negative where ``first`` tends to be smaller; ties allowed.

    0 where all values are equal.
    """
    n, m = len(first), len(second)
    ranks = mid_ranks(np.concatenate([first, second]))
    _, tied = np.unique(ranks, return_counts=True)
    u = ranks[:n].sum() - n * (n + 1) / 2
    ties = float((tied.astype(np.float64) ** 3 - tied).sum()) / ((n + m) * (n + m - 1))
    variance = n * m / 12 * (n + m + 1 - ties)
    return float((u - n * m / 2) / np.sqrt(variance)) if variance > 1e-9 else 0.0


def _partition(
    sets: tuple[Floats, Floats, Floats], cells: int, rng: np.random.Generator
) -> list[NDArray[np.int64]]:
    """The cell of every point: that of the nearest centre of the first set."""
    if cells == 1:
        return [np.zeros(len(points), np.int64) for points in sets]
    from sklearn.cluster import KMeans

    means = KMeans(cells, n_init=1, random_state=int(rng.integers(2**31))).fit(sets[0])
    return [means.predict(points).astype(np.int64) for points in sets]


def _distance(correlation: Distances) -> Distances:
    distance: Distances = np.sqrt(np.maximum(2 - 2 * correlation, 0))
    return distance


def _some(total: int, most: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """All positions, or ``most`` random ones."""
    return np.arange(total) if total <= most else np.sort(rng.choice(total, most, replace=False))
