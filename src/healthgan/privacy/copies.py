"""Copies of training images among generated ones, found at a calibrated rate of false alarms.

Two questions are asked of every image, each in the representation that answers it best:

- *Does its fine detail match a training image?* The best aligned normalised correlation of what a slight blur
  takes away. Two chests never share their finest detail, so a copy stands out however alike chests are, also
  where two images were averaged.
- *Is it much closer to one patient than to any other?* The best aligned correlation to the nearest patient less
  that to the second nearest, in a band that noise and blur both spare. What makes an image like many chests
  cancels, so this finds copies under noise and blur, where the fine detail is gone.

Both compare over shifts and mirroring and ignore brightness and contrast; correlations are taken as Fisher's z
(artanh), whose spread does not depend on the correlation. The two bands, the shifts and these two statistics
were chosen by cross-fitting among training patients (docs/method.md has the figures).
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import ceil

import numpy as np
from numpy.typing import NDArray

from healthgan.errors import InputError
from healthgan.privacy.alignment import BAND, SHIFT, Pixels, band_pass, best_correlations, phases, reduced
from healthgan.privacy.intervals import Share

FALSE_ALARMS = 0.01
"""Share of images of other patients that are taken for copies."""
CERTIFIES = 1000
"""Held-out images from which the rate of false alarms is known well enough to state it."""
SAME_PICTURE = 0.85
"""Correlation of fine detail above which two real images are one picture, stored twice …"""
SAME_MARGIN = 1.0
"""… as they are where the nearest patient is nearer than the second nearest by more than this."""
DETAIL = (0.0, 0.5)
"""The fine detail: what a Gaussian blur of 0.5 pixels removes."""

_TOP = 1 - 1e-4  # correlations above are equal to the rounding of pixels
_FOLDS = 5


@dataclass(frozen=True)
class Evidence:
    """How strongly images look copied, both in units of Fisher's z.

    Attributes:
        detail: (N,) of the best correlation of fine detail.
        detail_match: (N,) the training image it is to.
        margin: (N,) of the nearest patient less that of the second nearest.
        margin_match: (N,) the training image nearest in the band.
    """

    detail: NDArray[np.float64]
    detail_match: NDArray[np.int64]
    margin: NDArray[np.float64]
    margin_match: NDArray[np.int64]

    def take(self, index: NDArray[np.int64]) -> "Evidence":
        """That of the images at the positions ``index``."""
        return Evidence(
            self.detail[index], self.detail_match[index], self.margin[index], self.margin_match[index]
        )

    def and_of(self, more: "Evidence") -> "Evidence":
        """That of these images, then of ``more``."""
        return Evidence(
            np.concatenate([self.detail, more.detail]),
            np.concatenate([self.detail_match, more.detail_match]),
            np.concatenate([self.margin, more.margin]),
            np.concatenate([self.margin_match, more.margin_match]),
        )

    def same_picture(self) -> NDArray[np.bool_]:
        """(N,) True where a real image is a training image too, but for how it was stored or cropped.

        Such held-out images were learned from: they are no false alarm, and to be left out. Across the patients of
        4,777 training images of ChestX-ray14 the best correlation of fine detail is 0.80 and the largest margin
        0.71; BreastMNIST holds a quarter of its pictures twice, up to a correlation of 1.
        """
        by_detail: NDArray[np.bool_] = self.detail > np.arctanh(SAME_PICTURE)
        return by_detail | (self.margin > SAME_MARGIN)


@dataclass(frozen=True)
class Detector:
    """Thresholds, and what is known of their false alarms.

    Attributes:
        detail: a copy has more detail in common than this …
        margin: … or a larger margin than this.
        images: held-out real images it was calibrated on.
        patients: whose they are.
        false_alarms: of these images, taken for copies by thresholds set on the images of other patients.
        class_alarms: the same of the class that is audited.
        certified: whether there were enough images to state the rate.
    """

    detail: float
    margin: float
    images: int
    patients: int
    false_alarms: Share
    class_alarms: Share
    certified: bool

    def strength(self, evidence: Evidence) -> NDArray[np.float64]:
        """(N,) Fisher's z by which an image passes the nearer threshold; a copy is above 0."""
        return np.maximum(evidence.detail - self.detail, evidence.margin - self.margin)

    def copies(self, evidence: Evidence) -> NDArray[np.bool_]:
        """(N,) True where an image is taken for a copy."""
        return self.strength(evidence) > 0

    def match(self, evidence: Evidence) -> NDArray[np.int64]:
        """(N,) the training image that each image is most likely a copy of."""
        by_detail = evidence.detail - self.detail >= evidence.margin - self.margin
        return np.where(by_detail, evidence.detail_match, evidence.margin_match)


def gather_evidence(
    images: Pixels,
    training: Pixels,
    training_patients: NDArray[np.int64],
    *,
    shift: int = SHIFT,
    progress: Callable[[int, int], None] | None = None,
) -> Evidence:
    """Compare every image with every training image.

    The time grows with the product of the counts: on one core 2,000 images against 5,000 take about half a
    minute at 28×28. Images above 32 pixels are reduced to 28 and take four times as long, as they are also moved
    by half a pixel of these. The memory does not grow with the product.

    Args:
        images: (N, H, W, C) uint8.
        training: (M, H, W, C) uint8.
        training_patients: (M,) of at least two patients. Where patients are unknown, give every image a
            number of its own; copies of pictures that a patient has several of are then found by their
            detail only.
        shift: pixels (of an image reduced to 28) that images are moved by at most.
        progress: told how many comparisons of an image with all training images are done, and of how many.

    Raises:
        InputError: sizes or counts do not fit.
    """
    _check(images, training, training_patients)
    queries, references = phases(images), reduced(training)
    order = np.argsort(training_patients, kind="stable")
    first = np.flatnonzero(np.diff(training_patients[order], prepend=training_patients[order[0]] - 1))
    found: list[NDArray[np.float64]] = []
    matches: list[NDArray[np.int64]] = []
    done = 0
    for band in (DETAIL, BAND):
        filtered = band_pass(references[order], *band)
        parts = []
        for best in best_correlations([band_pass(query, *band) for _, _, query in queries], filtered, shift):
            two = np.partition(np.maximum.reduceat(best, first, axis=1), -2, axis=1)[:, -2:]
            done += len(best)
            if progress is not None:
                progress(done, 2 * len(images))
            parts.append((np.arctanh(np.clip(two, -_TOP, _TOP).astype(np.float64)), best.argmax(axis=1)))
        found.append(np.concatenate([z for z, _ in parts]))
        matches.append(order[np.concatenate([position for _, position in parts])])
    (_, detail), (second, nearest) = found[0].T, found[1].T
    return Evidence(detail, matches[0], nearest - second, matches[1])


def calibrate(
    heldout: Evidence,
    patients: NDArray[np.int64],
    rng: np.random.Generator,
    *,
    classes: NDArray[np.int64] | None = None,
) -> Detector:
    """Set both thresholds so that 1 % of real images of other patients are taken for copies.

    Each statistic gets half of the rate (Bonferroni) and the conformal quantile: the probability that a new
    image of such a patient exceeds it is at most that half, whatever the distribution. Where there are classes,
    the largest of their quantiles is taken, so that this holds in every class (Vovk, Gammerman and Shafer,
    Algorithmic Learning in a Random World, 2005, chapters 2 and 4). Fewer than 199 images have no such quantile;
    their largest value is taken. False alarms are counted apart from the setting of thresholds: every fold of
    patients is judged by thresholds set on the others.

    Args:
        heldout: evidence of real images whose patients have no image in the training set, of all classes that
            the training set has, against that same training set. 1,000 or more are needed to state 1 %.
        patients: (N,) whose they are.
        rng: divides the patients.
        classes: (N,) of the images, 0 for the one that matters most; by default all are of class 0.

    Raises:
        InputError: there are fewer than two patients.
    """
    names, member = np.unique(patients, return_inverse=True)
    if len(names) < 2:
        raise InputError(
            f"The held-out images come from {len(names)} patient(s); at least two are needed to calibrate "
            "the search for copies. Give more held-out images."
        )
    known = np.zeros(len(member), np.int64) if classes is None else classes
    fold = (rng.permutation(len(names)) % min(_FOLDS, len(names)))[member]
    alarms = np.zeros(len(member), np.bool_)
    for number in range(fold.max() + 1):
        judged = fold == number
        detail, margin = _thresholds(heldout.take(np.flatnonzero(~judged)), known[~judged])
        alarms[judged] = (heldout.detail[judged] > detail) | (heldout.margin[judged] > margin)
    first = known == 0
    return Detector(
        *_thresholds(heldout, known),
        images=len(member),
        patients=len(names),
        false_alarms=Share.among_patients(alarms, member),
        class_alarms=Share.among_patients(alarms[first], member[first]),
        certified=len(member) >= CERTIFIES,
    )


def _thresholds(heldout: Evidence, classes: NDArray[np.int64]) -> tuple[float, float]:
    """The largest of the classes' conformal quantiles: of the detail, and of the margin."""
    detail, margin = zip(
        *(
            (_quantile(heldout.detail[classes == name]), _quantile(heldout.margin[classes == name]))
            for name in np.unique(classes)
        ),
        strict=True,
    )
    return max(detail), max(margin)


def _quantile(values: NDArray[np.float64]) -> float:
    rank = min(ceil((len(values) + 1) * (1 - FALSE_ALARMS / 2)), len(values))
    return float(np.sort(values)[rank - 1])


def _check(images: Pixels, training: Pixels, patients: NDArray[np.int64]) -> None:
    if images.ndim != 4 or images.shape[1:] != training.shape[1:]:
        raise InputError(
            f"The images have shape {images.shape}, the training images {training.shape}; (N, H, W, C) of "
            "equal height, width and channels are needed. Resample or convert one of them."
        )
    if len(images) == 0 or patients.shape != (len(training),) or len(np.unique(patients)) < 2:
        raise InputError(
            f"{len(images)} images, {len(training)} training images and {len(np.unique(patients))} training "
            "patients were given; at least one image, two patients and one patient number a training image "
            "are needed to tell copies."
        )
