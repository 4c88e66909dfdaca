"""Real or synthetic? A classifier two-sample test (Lopez-Paz and Oquab, ICLR 2017)."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from healthgan.classifiers.fit import Classifier, Recipe, fit, fit_balanced, new_classifier, predict
from healthgan.fidelity.features import SCALED, Images
from healthgan.fidelity.halves import draw_halves
from healthgan.scores import auroc, bootstrap_auroc

STEPS = 2000
"""Balanced steps of a classifier that tells synthetic from real images, or one class from the other."""


@dataclass(frozen=True)
class RealOrSynthetic:
    """How well a classifier tells generated images from real ones; 0.5 means not at all.

    Attributes:
        auroc: mean over the classifiers, on images that none of them saw; 1 = synthetic.
        auroc_low: lower end of its 95 % interval.
        auroc_high: upper end.
        aurocs: of each classifier.
        real_images: real training images.
        generated_images: generated training images.
        heldout_images: real images scored.
        heldout_patients: whose they are.
        fresh_images: generated images scored.
    """

    auroc: float
    auroc_low: float
    auroc_high: float
    aurocs: list[float]
    real_images: int
    generated_images: int
    heldout_images: int
    heldout_patients: int
    fresh_images: int


def real_or_synthetic(
    real: NDArray[np.uint8],
    generated: NDArray[np.uint8],
    *,
    heldout_real: NDArray[np.uint8],
    heldout_patients: NDArray[np.int64],
    fresh: NDArray[np.uint8],
    recipe: Recipe,
    epochs: int,
    classifiers: int,
    seed: int,
    device: torch.device,
    progress: Callable[[int], None],
) -> RealOrSynthetic:
    """Train classifiers to tell generated from real images and score them on images of neither set.

    As the published study did it: passes over all training images, as many as there are.

    Args:
        real: (N, H, W, C) uint8, training images.
        generated: (N, H, W, C) uint8, training images.
        heldout_real: (P, H, W, C) uint8, real images of other patients.
        heldout_patients: (P,) whose they are.
        fresh: (Q, H, W, C) uint8, newly generated images.
        recipe: how a classifier is trained.
        epochs: passes over the training images.
        classifiers: how many are trained, each with a seed of its own.
        seed: decides everything random.
        device: where to train.
        progress: called with the number of classifiers trained.
    """

    def train(classifier: Classifier, first: Images, second: Images) -> None:
        labels = np.repeat(np.array([0, 1]), (len(first), len(second)))
        fit(classifier, np.concatenate([first, second]), labels, epochs, _ignore)

    return _compare(
        _Sides(real, generated, heldout_real, fresh, heldout_patients, np.arange(len(fresh))),
        recipe=recipe,
        train=train,
        classifiers=classifiers,
        seed=seed,
        device=device,
        progress=progress,
    )


def real_or_synthetic_balanced(
    real: Images,
    synthetic: Images,
    *,
    heldout_real: Images,
    heldout_patients: NDArray[np.int64],
    fresh: Images,
    seed: int,
    device: torch.device,
    steps: int = STEPS,
    classifiers: int = 3,
    progress: Callable[[int], None] = lambda _: None,
) -> RealOrSynthetic:
    """Train classifiers in steps of 16 real and 16 synthetic images, scaled, from equally large sets.

    Args:
        real: (N, H, W, C) uint8, the generator's training images.
        synthetic: (M, H, W, C) uint8. Of the larger set a random part is taken, as many as the other has.
        heldout_real: (P, H, W, C) uint8, real images of patients that the generator did not see either.
        heldout_patients: (P,) whose they are.
        fresh: (Q, H, W, C) uint8, other synthetic images of the same generator.
        seed: decides everything random.
        device: where to train.
        steps: of each classifier.
        classifiers: how many are trained, each with a seed of its own.
        progress: called with the number of classifiers trained.
    """
    rng = np.random.default_rng([seed, 1])
    count = min(len(real), len(synthetic))
    chosen = [pool[rng.permutation(len(pool))[:count]] for pool in (real, synthetic)]
    return _compare(
        _Sides(chosen[0], chosen[1], heldout_real, fresh, heldout_patients, np.arange(len(fresh))),
        recipe=SCALED,
        train=lambda classifier, first, second: fit_balanced(classifier, (first, second), steps),
        classifiers=classifiers,
        seed=seed,
        device=device,
        progress=progress,
    )


def real_or_real(
    real: Images,
    patients: NDArray[np.int64],
    *,
    heldout_real: Images,
    heldout_patients: NDArray[np.int64],
    seed: int,
    device: torch.device,
    steps: int = STEPS,
    classifiers: int = 3,
    progress: Callable[[int], None] = lambda _: None,
) -> RealOrSynthetic:
    """The floor of the test: the same with real images in place of the synthetic ones.

    The training patients are divided at random; images of the one half are called real, those of the other
    synthetic, equally many (about half as many as in the test itself). The held-out patients are divided
    likewise, and the classifiers judge which half an image is from. As there is nothing to know, 0.5 is
    expected; the interval tells which AUROC of synthetic images cannot be told from 0.5 with so few held-out
    patients.

    Args:
        real: (N, H, W, C) uint8, the generator's training images.
        patients: (N,) whose they are.
        heldout_real: (P, H, W, C) uint8, real images of other patients.
        heldout_patients: (P,) whose they are.
        seed: decides everything random.
        device: where to train.
        steps: of each classifier.
        classifiers: how many are trained, each with a seed of its own.
        progress: called with the number of classifiers trained.

    Raises:
        InputError: the patients of either set cannot be divided.
    """
    rng = np.random.default_rng([seed, 2])
    ((first, second),) = draw_halves(patients, 1, rng, even=0)
    ((asked, other),) = draw_halves(heldout_patients, 1, rng, even=0)
    count = min(len(first), len(second))
    return _compare(
        _Sides(
            real[first[:count]],
            real[second[:count]],
            heldout_real[asked],
            heldout_real[other],
            heldout_patients[asked],
            heldout_patients[other],
        ),
        recipe=SCALED,
        train=lambda classifier, one, two: fit_balanced(classifier, (one, two), steps),
        classifiers=classifiers,
        seed=seed,
        device=device,
        progress=progress,
    )


@dataclass(frozen=True)
class _Sides:
    """What a classifier learns to tell apart, and what it is asked about.

    Attributes:
        real: (N, H, W, C) uint8, training images of label 0.
        synthetic: (M, H, W, C) uint8, training images of label 1.
        heldout: (P, H, W, C) uint8, judged images of label 0.
        fresh: (Q, H, W, C) uint8, judged images of label 1.
        heldout_groups: (P,) which of them belong together.
        fresh_groups: (Q,) likewise.
    """

    real: Images
    synthetic: Images
    heldout: Images
    fresh: Images
    heldout_groups: NDArray[np.int64]
    fresh_groups: NDArray[np.int64]


def _compare(
    sides: _Sides,
    *,
    recipe: Recipe,
    train: Callable[[Classifier, Images, Images], None],
    classifiers: int,
    seed: int,
    device: torch.device,
    progress: Callable[[int], None],
) -> RealOrSynthetic:
    """Train and ask the classifiers; ``train`` gets a fresh one and the training images of label 0 and 1."""
    judged = np.concatenate([sides.heldout, sides.fresh])
    truth = np.repeat(np.array([0, 1]), (len(sides.heldout), len(sides.fresh)))
    clusters = np.concatenate(
        [sides.heldout_groups, sides.heldout_groups.max() + 1 + _numbered(sides.fresh_groups)]
    )
    children = np.random.SeedSequence(seed).spawn(classifiers + 1)
    scores = []
    for done, child in enumerate(children[:-1], start=1):
        size = (judged.shape[1], judged.shape[2])
        number = int(child.generate_state(1, np.uint64)[0] >> 1)
        classifier = new_classifier(size, judged.shape[3], recipe, number, device)
        train(classifier, sides.real, sides.synthetic)
        scores.append(predict(classifier, judged))
        progress(done)
    aurocs = [auroc(truth, row) for row in scores]
    low, high = bootstrap_auroc(truth, np.stack(scores), clusters, np.random.default_rng(children[-1]))
    return RealOrSynthetic(
        auroc=float(np.mean(aurocs)),
        auroc_low=low,
        auroc_high=high,
        aurocs=aurocs,
        real_images=len(sides.real),
        generated_images=len(sides.synthetic),
        heldout_images=len(sides.heldout),
        heldout_patients=len(np.unique(sides.heldout_groups)),
        fresh_images=len(sides.fresh),
    )


def _numbered(groups: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.asarray(np.unique(groups, return_inverse=True)[1], np.int64)


def _ignore(epoch: int) -> None:
    """Take no notice of an epoch's end."""
