"""From predictions to scores, each with an interval where it makes a claim."""

import numpy as np
from numpy.typing import NDArray


def mid_ranks(values: NDArray[np.floating]) -> NDArray[np.float64]:
    """Ranks (N,) from 1, equal values sharing the mean of theirs, as ``scipy.stats.rankdata`` gives them.

    Not SciPy's, as importing scipy.stats takes a tenth of the time in which a report is made. With a NaN among the
    values all ranks are NaN.
    """
    if np.isnan(values).any():
        return np.full(len(values), np.nan)
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    ranks: NDArray[np.float64] = (last - (counts - 1) / 2)[place]
    return ranks


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
    ranks = mid_ranks(scores)
    return float((ranks[labels == 1].sum() - positives * (positives + 1) / 2) / (positives * negatives))


def wilson_interval(right: int, total: int, level: float = 0.95) -> tuple[float, float]:
    """Interval of a share (Wilson, JASA 1927), for ``right`` of ``total`` independent images."""
    from scipy import special  # late, and not scipy.stats: see mid_ranks

    z, share = float(special.ndtri((1 + level) / 2)), right / total
    middle = (2 * right + z**2) / (2 * (total + z**2))
    half = z * float(np.sqrt(4 * right * (1 - share) + z**2)) / (2 * (total + z**2))
    return 0.0 if right == 0 else middle - half, 1.0 if right == total else middle + half


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


def threshold_counts(
    labels: NDArray[np.int64], scores: NDArray[np.floating], weights: NDArray[np.float64] | None = None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """How many positives and negatives are judged rare, for every threshold from the highest down.

    Args:
        labels: (N,) 0 or 1.
        scores: (N,) higher for label 1; equal scores share a threshold.
        weights: (B, N) how often each image counts, one resample a row; once each if None.

    Returns:
        Positives and negatives (B, T) at or above each of the T distinct scores; B = 1 without weights.
    """
    order = np.argsort(-scores, kind="stable")
    ranked = scores[order]
    ends = np.flatnonzero(np.append(ranked[1:] != ranked[:-1], True))
    counted = np.ones((1, len(scores))) if weights is None else weights[:, order]
    positives = np.cumsum(counted * (labels[order] == 1), axis=1)[:, ends]
    every = np.cumsum(counted, axis=1)[:, ends]
    return positives, every - positives


def precision_recall_area(
    positives: NDArray[np.float64], negatives: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Average precision (B,) from ``threshold_counts``: precision at each threshold, by its gain in recall."""
    gains = np.diff(positives, axis=1, prepend=0)
    judged = positives + negatives
    precision = np.divide(positives, judged, out=np.zeros_like(positives), where=judged > 0)
    area: NDArray[np.float64] = (gains * precision).sum(axis=1) / positives[:, -1]
    return area


def roc_height(
    positives: NDArray[np.float64], negatives: NDArray[np.float64], specificity: float
) -> NDArray[np.float64]:
    """Sensitivity (B,) at a specificity, from ``threshold_counts``; see ``sensitivity_at``."""
    sensitivity = np.pad(positives / positives[:, -1:], ((0, 0), (1, 0)))
    alarms = np.pad(negatives, ((0, 0), (1, 0)))
    allowed = (1 - specificity) * negatives[
        :, -1:
    ] + 1e-9  # counts; 10 % of 1,000 are 100 in spite of rounding
    rows = np.arange(len(positives))
    last = (alarms <= allowed).sum(axis=1) - 1  # the last point not beyond
    after = np.minimum(last + 1, alarms.shape[1] - 1)
    step = alarms[rows, after] - alarms[rows, last]
    part = np.divide(allowed[:, 0] - alarms[rows, last], step, out=np.zeros(len(rows)), where=step > 0)
    part[part < 1e-8] = 0  # the allowance for rounding is no step along a tie
    reached: NDArray[np.float64] = sensitivity[rows, last] + part * (
        sensitivity[rows, after] - sensitivity[rows, last]
    )
    return reached


def average_precision(labels: NDArray[np.int64], scores: NDArray[np.floating]) -> float:
    """Area under the precision-recall curve as average precision, without interpolation.

    Its value under chance is the prevalence, which belongs beside it.

    Args:
        labels: (N,) 0 or 1, both present.
        scores: (N,) higher for label 1.
    """
    return float(precision_recall_area(*threshold_counts(labels, scores))[0])


def sensitivity_at(
    labels: NDArray[np.int64], scores: NDArray[np.floating], specificity: float = 0.9
) -> float:
    """Sensitivity at a specificity: the height of the ROC curve.

    The highest point with at least this specificity; where images of equal score of both classes span it, the
    straight line between the points before and after them, as a threshold that judges some of them would give.

    Args:
        labels: (N,) 0 or 1, both present.
        scores: (N,) higher for label 1.
        specificity: between 0 and 1.
    """
    return float(roc_height(*threshold_counts(labels, scores), specificity)[0])


def balanced_accuracy(labels: NDArray[np.int64], scores: NDArray[np.floating], threshold: float) -> float:
    """Mean of sensitivity and specificity where a score above ``threshold`` is judged rare.

    Args:
        labels: (N,) 0 or 1, both present.
        scores: (N,).
        threshold: from other images than these.
    """
    judged = scores > threshold
    return float((judged[labels == 1].mean() + 1 - judged[labels == 0].mean()) / 2)


def best_threshold(labels: NDArray[np.int64], scores: NDArray[np.floating]) -> float:
    """The threshold with the highest balanced accuracy: half-way to the next score below; the highest if several.

    Args:
        labels: (N,) 0 or 1, both present; of validation or out-of-fold images, never of test images.
        scores: (N,).
    """
    positives, negatives = threshold_counts(labels, scores)
    gain = positives[0] / positives[0, -1] - negatives[0] / negatives[0, -1]
    distinct = np.unique(scores.astype(np.float64))[::-1]
    place = int(np.argmax(gain))
    return float((distinct[place] + distinct[min(place + 1, len(distinct) - 1)]) / 2)
