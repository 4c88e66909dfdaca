"""What another choice of test patients would do to AUROCs: influence values and the covariance they give.

DeLong, DeLong and Clarke-Pearson (Biometrics 44:837, 1988) write an AUROC as a mean of *structural components*,
one for each image. Obuchowski (Biometrics 53:567, 1997) adds them up over the images of a patient, who may have
images of both classes, and takes patients as the independent units.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Influence:
    """What each patient adds to each AUROC.

    Attributes:
        auroc: (F,).
        positive: (F, P) a patient's positive images: the sum over them of (component − AUROC), over the number
            of positive images. Rows sum to zero.
        negative: (F, P) likewise for the negative images.
        positive_patients: patients with a positive image.
        negative_patients: patients with a negative image.
    """

    auroc: NDArray[np.float64]
    positive: NDArray[np.float64]
    negative: NDArray[np.float64]
    positive_patients: int
    negative_patients: int

    def combine(self, weights: NDArray[np.float64]) -> "Influence":
        """That of weighted sums of the AUROCs, ``weights`` (K, F)."""
        return Influence(
            weights @ self.auroc,
            weights @ self.positive,
            weights @ self.negative,
            self.positive_patients,
            self.negative_patients,
        )


def placements(
    labels: NDArray[np.int64], scores: NDArray[np.floating]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The structural components of the AUROC: how large a share of the other class an image beats.

    One sort a row (Sun and Xu, IEEE Signal Processing Letters 21:1389, 2014); ties count half.

    Args:
        labels: (N,) 0 or 1, both present.
        scores: (F, N) finite; higher for label 1.

    Returns:
        (F, positives) the share of negatives below each positive, and (F, negatives) the share of positives
        above each negative; the mean of either is the AUROC.
    """
    order = np.argsort(scores, axis=1)
    is_positive = labels[order] == 1
    positives = np.cumsum(is_positive, axis=1, dtype=np.int32)  # up to and with this place
    ranked = np.take_along_axis(scores, order, axis=1)
    places = np.arange(1, scores.shape[1] + 1, dtype=np.int32)
    starts = np.ones(scores.shape, np.bool_)
    starts[:, 1:] = ranked[:, 1:] != ranked[:, :-1]
    first = np.maximum.accumulate(np.where(starts, places, 0), axis=1) - 1  # where the tied ones begin
    ends = np.ones(scores.shape, np.bool_)
    ends[:, :-1] = starts[:, 1:]
    last = np.minimum.accumulate(np.where(ends, places, places[-1])[:, ::-1], axis=1)[:, ::-1] - 1
    begun = np.take_along_axis(positives - is_positive, first, axis=1)
    doubled = begun + np.take_along_axis(
        positives, last, axis=1
    )  # positives below, twice, and tied ones once
    others = first + last + 1 - doubled
    total = int(is_positive[0].sum())
    share = np.where(is_positive, others / (2 * (len(labels) - total)), 1 - doubled / (2 * total))
    found = np.empty(scores.shape)
    np.put_along_axis(found, order, share, axis=1)
    return found[:, labels == 1], found[:, labels == 0]


def auc_influence(
    labels: NDArray[np.int64], scores: NDArray[np.floating], patients: NDArray[np.int64]
) -> Influence:
    """Influence values of the AUROC of several classifiers on the same images, a patient each.

    Args:
        labels: (N,) 0 or 1, both present.
        scores: (F, N) finite, one row a classifier; higher for label 1.
        patients: (N,) equal for images of one patient, who may have images of both classes.
    """
    _, member = np.unique(patients, return_inverse=True)
    count = int(member.max()) + 1
    parts = []
    for label, components in zip((1, 0), placements(labels, scores), strict=True):
        auroc = components.mean(axis=1)
        whose = member[labels == label]
        order = np.argsort(whose, kind="stable")
        present, starts = np.unique(whose[order], return_index=True)
        sums = np.zeros((len(scores), count))
        sums[:, present] = np.add.reduceat((components - auroc[:, np.newaxis])[:, order], starts, axis=1)
        parts.append((auroc, sums / len(whose), len(present)))
    (auroc, positive, positives), (_, negative, negatives) = parts
    return Influence(auroc, positive, negative, positives, negatives)


@dataclass(frozen=True)
class CaseCovariance:
    """The covariance of AUROCs over choices of test patients, in the parts it is estimated from.

    Attributes:
        positive: (K, L) from the patients' positive images.
        negative: (K, L) from their negative images.
        both: (K, L) from patients with images of both classes.
    """

    positive: NDArray[np.float64]
    negative: NDArray[np.float64]
    both: NDArray[np.float64]

    @property
    def total(self) -> NDArray[np.float64]:
        """(K, L)."""
        return self.positive + self.negative + self.both


def case_covariance(influence: Influence) -> CaseCovariance:
    """Obuchowski's (1997) covariance of clustered AUROCs; with an image a patient it is DeLong's.

    Args:
        influence: of K AUROCs; at least two patients with positive and two with negative images.

    Returns:
        Parts of (K, K).
    """
    positive, negative = influence.positive, influence.negative
    crossed = positive @ negative.T
    return _corrected(influence, positive @ positive.T, negative @ negative.T, crossed + crossed.T)


def case_variance(influence: Influence) -> CaseCovariance:
    """The diagonal (K,) of ``case_covariance``, without the rest of it."""
    positive, negative = influence.positive, influence.negative
    return _corrected(
        influence,
        np.einsum("kp,kp->k", positive, positive),
        np.einsum("kp,kp->k", negative, negative),
        2 * np.einsum("kp,kp->k", positive, negative),
    )


def _corrected(
    influence: Influence,
    positive: NDArray[np.float64],
    negative: NDArray[np.float64],
    both: NDArray[np.float64],
) -> CaseCovariance:
    """Sums of products over patients, each unbiased by n / (n − 1) with the number of patients it is over."""
    positives, negatives = influence.positive_patients, influence.negative_patients
    patients = influence.positive.shape[1]
    return CaseCovariance(
        positives / (positives - 1) * positive,
        negatives / (negatives - 1) * negative,
        patients / (patients - 1) * both,
    )
