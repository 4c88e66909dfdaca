"""From predictions to scores, each with an interval where it makes a claim."""

import numpy as np
from numpy.typing import NDArray
from scipy import stats


def accuracy(labels: NDArray[np.int64], probabilities: NDArray[np.float32]) -> float:
    """Share of images judged right at probability 0.5; at exactly 0.5 an image is judged 0, as Keras does.

    Args:
        labels: (N,) 0 or 1, N ≥ 1.
        probabilities: (N,) of label 1.
    """
    return float(np.mean((probabilities > 0.5) == (labels == 1)))


def auroc(labels: NDArray[np.int64], scores: NDArray[np.floating]) -> float:
    """Area under the ROC curve: the chance that a positive scores above a negative, ties counting half.

    By ranks (Mann and Whitney, 1947; Hanley and McNeil, Radiology 1982).

    Args:
        labels: (N,) 0 or 1, both present.
        scores: (N,) higher for label 1.
    """
    positives = int(np.sum(labels == 1))
    negatives = len(labels) - positives
    ranks = stats.rankdata(scores)
    return float((ranks[labels == 1].sum() - positives * (positives + 1) / 2) / (positives * negatives))


def wilson_interval(right: int, total: int, level: float = 0.95) -> tuple[float, float]:
    """Interval of a share (Wilson, JASA 1927), for ``right`` of ``total`` independent images."""
    interval = stats.binomtest(right, total).proportion_ci(level, method="wilson")
    return float(interval.low), float(interval.high)


def bootstrap_auroc(
    labels: NDArray[np.int64],
    scores: NDArray[np.floating],
    clusters: NDArray[np.int64],
    rng: np.random.Generator,
    resamples: int = 2000,
    level: float = 0.95,
) -> tuple[float, float]:
    """Percentile interval of the mean AUROC over several classifiers, drawing patients and classifiers anew.

    Positives and negatives are resampled apart, whole clusters (patients) at a time, and so are the
    classifiers (Efron and Tibshirani 1993, chapter 13; Field and Welsh, JRSS B 2007, for clusters).

    Args:
        labels: (N,) 0 or 1, both present.
        scores: (S, N), one row a classifier.
        clusters: (N,) equal for images that belong together; no cluster has both labels.
        rng: source of randomness.
        resamples: how many.
        level: of the interval.
    """
    groups = {
        label: [np.flatnonzero(clusters == cluster) for cluster in np.unique(clusters[labels == label])]
        for label in (0, 1)
    }
    values = np.empty(resamples)
    for number in range(resamples):
        drawn = [
            groups[label][pick]
            for label in (0, 1)
            for pick in rng.integers(len(groups[label]), size=len(groups[label]))
        ]
        images = np.concatenate(drawn)
        rows = rng.integers(len(scores), size=len(scores))
        values[number] = np.mean([auroc(labels[images], scores[row, images]) for row in rows])
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
