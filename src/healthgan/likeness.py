"""How alike generated images are to the real ones they were made from, and which of them to keep.

Likeness is the best structural similarity (:mod:`healthgan.ssim`) of an image to any real training image of
its class, with the data range of the image that is judged, here as in the 2023 study. That study kept what
reached a floor, which prefers copies. The band asks for what real images of *different* patients have in
common: no less, and no more.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from healthgan.errors import InputError
from healthgan.ssim import Progress, best_match

Pixels = NDArray[np.uint8]

LOW, HIGH, COPY = 5.0, 95.0, 99.0
"""Percentiles of the likeness of real images that bound the band, and the one beyond which copies are sought."""
MIN_IMAGES = 20
"""Fewer have no 5th percentile inside their range."""
_LEAF = 32  # candidates compared with one another at once


class Verdict(IntEnum):
    """What becomes of a candidate."""

    ACCEPTED = 0
    CONSTANT = 1
    UNLIKE = 2
    TOO_ALIKE = 3
    COPY_SUSPECT = 4
    DUPLICATE = 5

    @property
    def label(self) -> str:
        """The name in tables and files: ``copy suspect``."""
        return self.name.lower().replace("_", " ")


REASONS: Mapping[Verdict, str] = MappingProxyType(
    {
        Verdict.ACCEPTED: "inside the band, or at or above the floor",
        Verdict.CONSTANT: "all its pixels are equal",
        Verdict.UNLIKE: f"less like the real images than {LOW:.0f} % of them are like other patients', or below the floor",
        Verdict.TOO_ALIKE: f"more like a real image than {HIGH:.0f} % of them are like other patients'",
        Verdict.COPY_SUSPECT: f"more like a real image than {COPY:.0f} % of them are like other patients'",
        Verdict.DUPLICATE: f"more like an accepted candidate than {COPY:.0f} % of real images are like other patients'",
    }
)


@dataclass(frozen=True)
class Band:
    """How alike real images of different patients are.

    Attributes:
        low: 5th percentile of the likeness of a real image to those of other patients; below is *unlike*.
        high: 95th percentile; above is *too alike* to be trained on.
        copy: 99th percentile; above is a *copy suspect*, or between candidates a *duplicate*.
        images: how many real images it rests on.
        patients: how many patients, known or presumed.
        patients_known: whether the source tells them.
    """

    low: float
    high: float
    copy: float
    images: int
    patients: int
    patients_known: bool


@dataclass(frozen=True)
class Judged:
    """One verdict a candidate.

    Attributes:
        likeness: (N,) float32, the best SSIM to a real image; NaN for a constant candidate.
        nearest: (N,) int64, the position of that image; −1 for a constant candidate.
        verdict: (N,) int8 codes of :class:`Verdict`.
    """

    likeness: NDArray[np.float32]
    nearest: NDArray[np.int64]
    verdict: NDArray[np.int8]

    @property
    def accepted(self) -> NDArray[np.bool_]:
        """(N,) True where the candidate is kept."""
        kept: NDArray[np.bool_] = self.verdict == Verdict.ACCEPTED
        return kept

    def counts(self) -> dict[str, int]:
        """How many have which verdict, every verdict named: the counts add up to N."""
        return {verdict.label: int((self.verdict == verdict).sum()) for verdict in Verdict}


def calibrate(reals: Pixels, patients: NDArray[np.int64] | None, progress: Progress | None = None) -> Band:
    """The band of a class, from its real training images alone.

    Each image is compared with those of all other patients (leave one patient out). One that stands there twice
    counts once, since it would pass for another patient's. Where the patients are not known, images that stand out
    by their likeness are presumed to be of one patient; else the band would let copies pass.

    Args:
        reals: (M, H, W, C) uint8, training images of one class.
        patients: (M,) codes; None where they are not known.
        progress: told how many pairs are done and of how many, from the start again at each round of comparisons.

    Raises:
        InputError: there are fewer than 20 different images that are not constant, or only one patient.
    """
    _, first = np.unique(reals.reshape(len(reals), -1), axis=0, return_index=True)
    first.sort()
    groups = _presumed_patients(reals[first], progress) if patients is None else patients[first]
    likeness, _ = best_match(
        reals[first], reals[first], query_groups=groups, reference_groups=groups, progress=progress
    )
    known = likeness[~np.isnan(likeness)].astype(np.float64)
    if len(known) < MIN_IMAGES:
        raise InputError(
            f"{len(known)} different real images of several patients are too few for a likeness band; {MIN_IMAGES} are "
            "needed. Give more real images. In Python, healthgan.likeness.judge takes a floor (such as 0.8) or None in its place."
        )
    low, high, copy = np.percentile(known, [LOW, HIGH, COPY])
    return Band(
        float(low), float(high), float(copy), len(known), len(np.unique(groups)), patients is not None
    )


def _presumed_patients(reals: Pixels, progress: Progress | None) -> NDArray[np.int64]:
    """(M,) group numbers: images joined by a likeness that lies beyond the fence.

    The fence is the median and four times its distance from the first quartile: Tukey's (Exploratory Data
    Analysis, 1977), Q3 + 1.5 (Q3 − Q1), with the upper half mirrored from the lower, where near-duplicates
    do not reach. Where likeness spreads so far that the fence lies above 1, nothing is joined.
    """
    groups = np.arange(len(reals))
    fence = np.inf
    while True:
        likeness, nearest = best_match(
            reals, reals, query_groups=groups, reference_groups=groups, progress=progress
        )
        value = likeness.astype(np.float64)
        if np.isinf(fence) and not np.isnan(value).all():
            quartile, median = np.nanpercentile(value, [25, 50])
            fence = median + 4 * (median - quartile)
        beyond = np.flatnonzero(value > fence)
        if len(beyond) == 0:
            return groups
        for image in beyond:
            one, other = groups[image], groups[nearest[image]]
            groups[groups == max(one, other)] = min(one, other)


def judge(
    candidates: Pixels,
    reals: Pixels,
    rule: Band | float | None,
    earlier: Pixels | None = None,
    progress: Progress | None = None,
) -> Judged:
    """Decide on every candidate, in their order.

    Args:
        candidates: (N, H, W, C) uint8.
        reals: (M, H, W, C) uint8, the training images of the class they were made for.
        rule: a band; or the study's floor, which the likeness must reach; or None, which accepts all.
        earlier: (K, H, W, C) uint8, accepted before: a band refuses duplicates of these, too. Judging in batches
            then gives what judging at once gives.
        progress: told how many pairs of a candidate and a real image are done, and of how many.

    Raises:
        InputError: the arrays have other shapes or types than the ones above.
    """
    likeness, nearest = best_match(candidates, reals, progress=progress)
    value = likeness.astype(np.float64)
    verdict = np.full(len(candidates), Verdict.ACCEPTED, np.int8)
    if rule is not None:
        verdict[value < (rule.low if isinstance(rule, Band) else rule)] = Verdict.UNLIKE
        verdict[np.isnan(value)] = Verdict.CONSTANT
    if isinstance(rule, Band):
        verdict[value > rule.high] = Verdict.TOO_ALIKE
        verdict[value > rule.copy] = Verdict.COPY_SUSPECT
        inside = np.flatnonzero(verdict == Verdict.ACCEPTED)
        twins = np.setdiff1d(inside, _without_twins(candidates, inside, rule.copy, earlier))
        verdict[twins] = Verdict.DUPLICATE
    return Judged(likeness, nearest, verdict)


def _without_twins(
    images: Pixels, index: NDArray[np.int64], limit: float, earlier: Pixels | None
) -> NDArray[np.int64]:
    """The positions in ``index`` less those whose SSIM to one that stays, or to an earlier image, exceeds the limit."""
    if earlier is not None and len(earlier) and len(index):
        index = index[~(best_match(images[index], earlier)[0].astype(np.float64) > limit)]
    return _first_come(images, index, limit)


def _first_come(images: Pixels, index: NDArray[np.int64], limit: float) -> NDArray[np.int64]:
    """What going through ``index`` one by one would keep.

    By halves: the second half is compared with what stays of the first, then with itself.
    """
    if len(index) <= 1:
        return index
    if len(index) <= _LEAF:
        each = np.arange(len(index))
        best, _ = best_match(images[index], images[index], query_groups=each, reference_groups=each)
        if not (best.astype(np.float64) > limit).any():
            return index
    first = _first_come(images, index[: len(index) // 2], limit)
    second = index[len(index) // 2 :]
    best, _ = best_match(images[second], images[first])
    return np.concatenate([first, _first_come(images, second[~(best.astype(np.float64) > limit)], limit)])


@dataclass(frozen=True)
class Candidates:
    """Generated images, each once, with their likeness.

    Attributes:
        images: (N, H, W, C) uint8, no two equal.
        likeness: (N,) float32, the best SSIM to any real training image; NaN for a constant image.
        nearest: (N,) int64, the real training image it is to; −1 for a constant image.
        round: (N,) int64, the training of the GAN that made it.
        epoch: (N,) int64, the epoch after which it was rendered.
        vector: (N,) int64, the noise vector it was rendered from.
        harvested: how many there were before duplicates were dropped.
    """

    images: NDArray[np.uint8]
    likeness: NDArray[np.float32]
    nearest: NDArray[np.int64]
    round: NDArray[np.int64]
    epoch: NDArray[np.int64]
    vector: NDArray[np.int64]
    harvested: int

    def accepted(self, floor: float) -> NDArray[np.bool_]:
        """(N,) True where the likeness reaches the floor."""
        reached: NDArray[np.bool_] = self.likeness >= floor
        return reached

    def spread(self, floor: float, count: int) -> NDArray[np.int64]:
        """Positions of up to ``count`` images that reach the floor, evenly spaced from least to most alike.

        Where none reaches it, of the ones with the highest likeness.
        """
        order = np.argsort(self.likeness, kind="stable")
        order = order[~np.isnan(self.likeness[order])]
        above = order[self.likeness[order] >= floor]
        pool = above if len(above) else order[-count:]
        if len(pool) <= count:
            return pool
        return pool[np.linspace(0, len(pool) - 1, count).round().astype(np.int64)]


def score_candidates(
    rounds: Sequence[NDArray[np.uint8]],
    reals: NDArray[np.uint8],
    *,
    first_epoch: int,
    threads: int | None = None,
) -> Candidates:
    """Gather the harvest of several trainings, drop exact duplicates and score the rest as the study did.

    Likeness is the best structural similarity (Wang et al., IEEE TIP 2004; scikit-image's defaults) to any
    real training image, with the data range of the generated image.

    Args:
        rounds: one array a training, (epochs, vectors, H, W, C) uint8.
        reals: (M, H, W, C) uint8, the real training images of the class.
        first_epoch: the epoch of the first row.
        threads: to score with; by default one a core.
    """
    flat = [images.reshape(-1, *images.shape[2:]) for images in rounds]
    places = [np.indices(images.shape[:2]).reshape(2, -1) for images in rounds]
    images = np.concatenate(flat)
    number = np.repeat(np.arange(len(rounds)), [len(part) for part in flat])
    epoch, vector = np.concatenate(places, axis=1)
    _, kept = np.unique(images.reshape(len(images), -1), axis=0, return_index=True)
    kept.sort()
    likeness, nearest = best_match(images[kept], reals, threads=threads)
    return Candidates(
        images=images[kept],
        likeness=likeness,
        nearest=nearest,
        round=number[kept],
        epoch=epoch[kept] + first_epoch,
        vector=vector[kept],
        harvested=len(images),
    )
