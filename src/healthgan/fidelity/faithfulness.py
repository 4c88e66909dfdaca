"""Do synthetic images show the class they were made for, and can one learn the class from them?"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from healthgan.classifiers.fit import Classifier, fit_balanced, new_classifier, predict
from healthgan.fidelity.features import IN_DOMAIN_STEPS, SCALED, Images
from healthgan.fidelity.two_sample import STEPS
from healthgan.scores import auroc

Scores = NDArray[np.float32]
"""(S, N): the probability of the rare class, one classifier a row, one image a column."""

RESAMPLES = 1000

JUDGE_STEPS = IN_DOMAIN_STEPS
"""Of the classifiers that judge faithfulness, for the same reason: what resembles training images that they know
by heart is called right far more often than the image of a new patient."""


@dataclass(frozen=True)
class Estimate:
    """A value with its 95 % interval and what it rests on.

    Attributes:
        value: mean over the classifiers.
        low: lower end of the interval.
        high: upper end.
        images: how many were judged.
    """

    value: float
    low: float
    high: float
    images: int


@dataclass(frozen=True)
class Judged:
    """Images of one class as the classifiers judge them.

    Attributes:
        scores: (S, N) probability of the rare class.
        groups: (N,) which images belong together: one patient's; a synthetic image stands alone.
    """

    scores: Scores
    groups: NDArray[np.int64]


@dataclass(frozen=True)
class Faithfulness:
    """How often images are called the class they belong to, at probability 0.5, synthetic and held-out real ones.

    Attributes:
        synthetic: mean over the classes of the share called right.
        heldout: the same of real images that nobody saw.
        points: ``synthetic`` − ``heldout`` in percentage points; zero is best, above zero the synthetic images
            are clearer cases than real ones.
        by_class: of each class, shares called right: synthetic, held-out.
        classifiers: how many, trained on real images.
    """

    synthetic: Estimate
    heldout: Estimate
    points: Estimate
    by_class: dict[str, tuple[Estimate, Estimate]]
    classifiers: int


@dataclass(frozen=True)
class Learnt:
    """What classifiers that saw only synthetic images know of real ones.

    Attributes:
        synthetic: AUROC on held-out real images of classifiers trained on synthetic images.
        real: the same of classifiers trained on as many real ones, in as many steps.
        difference: ``synthetic`` − ``real``; zero is as good as real.
        rare_images: training images of the rare class in either.
        reference_images: of the reference class.
        synthetic_reference: whether the first classifiers' reference images are synthetic too; where they are
            real, looking synthetic predicts the class in training, and the AUROC suffers for it.
        classifiers: of each kind.
    """

    synthetic: Estimate
    real: Estimate
    difference: Estimate
    rare_images: int
    reference_images: int
    synthetic_reference: bool
    classifiers: int


def train_classifiers(
    reference: Images,
    rare: Images,
    *,
    seed: int,
    device: torch.device,
    classifiers: int = 3,
    steps: int = STEPS,
    progress: Callable[[int], None] = lambda _: None,
) -> list[Classifier]:
    """The study's network on scaled pixels, several times, in steps of 16 images of either class.

    Args:
        reference: (N, H, W, C) uint8.
        rare: (M, H, W, C) uint8.
        seed: decides everything random.
        device: where to train.
        classifiers: how many, each with a seed of its own.
        steps: of each.
        progress: called with the number trained.
    """
    trained = []
    for done, child in enumerate(np.random.SeedSequence(seed).spawn(classifiers), start=1):
        number = int(child.generate_state(1, np.uint64)[0] >> 1)
        size = (rare.shape[1], rare.shape[2])
        trained.append(new_classifier(size, rare.shape[3], SCALED, number, device))
        fit_balanced(trained[-1], (reference, rare), steps)
        progress(done)
    return trained


def judge(classifiers: list[Classifier], pixels: Images, groups: NDArray[np.int64] | None = None) -> Judged:
    """Ask every classifier about every image.

    Args:
        classifiers: one or more.
        pixels: (N, H, W, C) uint8.
        groups: (N,) whose they are; None where each stands alone.
    """
    scores = np.stack([predict(classifier, pixels) for classifier in classifiers])
    return Judged(scores, np.arange(len(pixels)) if groups is None else groups)


def faithfulness(
    synthetic: dict[str, Judged], heldout: dict[str, Judged], rng: np.random.Generator
) -> Faithfulness:
    """Compare the judgement of synthetic images with that of real ones.

    The interval draws synthetic images, held-out patients and classifiers anew, the same classifiers on both
    sides. It does not draw another training of the generator.

    Args:
        synthetic: by ``rare`` and ``reference``, or only one of them, as classifiers trained on real images
            judge them.
        heldout: real images that neither generator nor classifiers saw; at least the classes of
            ``synthetic``, which alone are compared.
        rng: of the resampling.
    """
    count = len(next(iter(synthetic.values())).scores)
    weights = rng.multinomial(count, np.full(count, 1 / count), size=RESAMPLES) / count
    shares: dict[str, tuple[Estimate, Estimate]] = {}
    means, draws = np.zeros((2, len(synthetic))), np.zeros((2, len(synthetic), RESAMPLES))
    for column, name in enumerate(synthetic):
        both = []
        for row, side in enumerate((synthetic[name], heldout[name])):
            right = (side.scores > 0.5) == (name == "rare")
            means[row, column] = right.mean()
            draws[row, column] = _resampled_share(right, side.groups, weights, rng)
            both.append(_estimate(means[row, column], draws[row, column], right.shape[1]))
        shares[name] = (both[0], both[1])
    mean, draw = means.mean(axis=1), draws.mean(axis=1)
    images = [sum(pair[side].images for pair in shares.values()) for side in (0, 1)]
    return Faithfulness(
        synthetic=_estimate(mean[0], draw[0], images[0]),
        heldout=_estimate(mean[1], draw[1], images[1]),
        points=_estimate(100 * (mean[0] - mean[1]), 100 * (draw[0] - draw[1]), sum(images)),
        by_class=shares,
        classifiers=count,
    )


def learnt_from_synthetic(
    synthetic: tuple[Judged, Judged],
    real: tuple[Judged, Judged],
    *,
    rare_images: int,
    reference_images: int,
    synthetic_reference: bool,
    rng: np.random.Generator,
) -> Learnt:
    """Train on synthetic, test on real (Esteban, Hyland and Rätsch, 2017), beside training on real.

    The interval of the difference draws the same patients on both sides, and classifiers on each. Patients are
    drawn in each class apart, so that no draw is without a class: one with images of both classes counts as one
    patient of either, whose images of the one may be drawn without those of the other.

    Args:
        synthetic: held-out real images, of the reference and of the rare class, as the classifiers judge them
            that were trained on synthetic images.
        real: the same images, as the ones trained on real images judge them.
        rare_images: training images of the rare class, the same number on both sides.
        reference_images: of the reference class.
        synthetic_reference: whether the reference images were synthetic too.
        rng: of the resampling.
    """
    labels = np.repeat(np.array([0, 1]), [len(side.groups) for side in real])
    clusters = [
        _positions(side.groups, start) for side, start in zip(real, (0, len(real[0].groups)), strict=True)
    ]
    sides = [np.concatenate([side.scores for side in pair], axis=1) for pair in (synthetic, real)]
    draws = np.empty((2, RESAMPLES))
    for number in range(RESAMPLES):
        images = np.concatenate(
            [own[pick] for own in clusters for pick in rng.integers(len(own), size=len(own))]
        )
        for side, scores in enumerate(sides):
            rows = scores[rng.integers(len(scores), size=len(scores))][:, images]
            draws[side, number] = np.mean([auroc(labels[images], row) for row in rows])
    means = [float(np.mean([auroc(labels, row) for row in scores])) for scores in sides]
    return Learnt(
        synthetic=_estimate(means[0], draws[0], len(labels)),
        real=_estimate(means[1], draws[1], len(labels)),
        difference=_estimate(means[0] - means[1], draws[0] - draws[1], len(labels)),
        rare_images=rare_images,
        reference_images=reference_images,
        synthetic_reference=synthetic_reference,
        classifiers=len(sides[0]),
    )


def _resampled_share(
    right: NDArray[np.bool_],
    groups: NDArray[np.int64],
    weights: NDArray[np.float64],
    rng: np.random.Generator,
) -> NDArray[np.float64]:
    """(resamples,) shares called right, with groups drawn anew and classifiers weighted by ``weights``.

    Args:
        right: (S, N).
        groups: (N,).
        weights: (resamples, S), of the classifiers in each resample.
        rng: draws the groups.
    """
    member = np.unique(groups, return_inverse=True)[1]
    sizes = np.bincount(member)
    sums = np.stack([np.bincount(member, weights=row) for row in right])  # (S, groups)
    drawn = rng.multinomial(len(sizes), np.full(len(sizes), 1 / len(sizes)), size=len(weights))
    shares = (drawn @ sums.T) / (drawn @ sizes)[:, np.newaxis]  # (resamples, S)
    return np.asarray((shares * weights).sum(axis=1), np.float64)


def _positions(groups: NDArray[np.int64], start: int) -> list[NDArray[np.int64]]:
    """Where the images of each group stand, counted from ``start``."""
    return [start + np.flatnonzero(groups == group) for group in np.unique(groups)]


def _estimate(value: float, draws: NDArray[np.float64], images: int) -> Estimate:
    low, high = np.quantile(draws, [0.025, 0.975])
    return Estimate(float(value), float(low), float(high), images)
