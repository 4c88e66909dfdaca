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


DIVISIONS = 500
"""Of the held-out patients, for the floor."""


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
        heldout_patients: whose they are; None where patients are not known.
        fresh_images: generated images scored.
    """

    auroc: float
    auroc_low: float
    auroc_high: float
    aurocs: list[float]
    real_images: int
    generated_images: int
    heldout_images: int
    heldout_patients: int | None
    fresh_images: int


def real_or_synthetic(
    real: NDArray[np.uint8],
    generated: NDArray[np.uint8],
    *,
    heldout_real: NDArray[np.uint8],
    heldout_patients: NDArray[np.int64] | None,
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
        heldout_patients: (P,) whose they are; None where that is not known: each image counts as of another one.
        fresh: (Q, H, W, C) uint8, newly generated images.
        recipe: how a classifier is trained.
        epochs: passes over the training images.
        classifiers: how many are trained, each with a seed of its own.
        seed: decides everything random.
        device: where to train.
        progress: called with the number of classifiers trained.
    """
    pixels = np.concatenate([real, generated])
    labels = np.repeat(np.array([0, 1]), (len(real), len(generated)))

    def train(classifier: Classifier) -> None:
        fit(classifier, pixels, labels, epochs, _ignore)

    return _compare(
        (heldout_real, heldout_patients),
        fresh,
        recipe=recipe,
        train=train,
        trained_on=(len(real), len(generated)),
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
    heldout_patients: NDArray[np.int64] | None,
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
        heldout_patients: (P,) whose they are; None where that is not known: each image counts as of another one.
        fresh: (Q, H, W, C) uint8, other synthetic images of the same generator.
        seed: decides everything random.
        device: where to train.
        steps: of each classifier.
        classifiers: how many are trained, each with a seed of its own.
        progress: called with the number of classifiers trained.
    """
    rng = np.random.default_rng([seed, 1])
    count = min(len(real), len(synthetic))
    pools = (real[rng.permutation(len(real))[:count]], synthetic[rng.permutation(len(synthetic))[:count]])
    return _compare(
        (heldout_real, heldout_patients),
        fresh,
        recipe=SCALED,
        train=lambda classifier: fit_balanced(classifier, pools, steps),
        trained_on=(count, count),
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
    heldout_patients: NDArray[np.int64] | None,
    seed: int,
    device: torch.device,
    steps: int = STEPS,
    classifiers: int = 3,
    progress: Callable[[int], None] = lambda _: None,
) -> RealOrSynthetic:
    """The floor of the test: the same with real images in place of the synthetic ones.

    The training patients are divided at random; images of the one half are called real, those of the other
    synthetic, equally many (about half as many as in the test itself), and the classifiers learn to tell them
    apart. Then the held-out patients are divided at random, again and again, and each time the classifiers judge
    which half an image is from. There is nothing to know, so that the mean is near 0.5; the interval holds 95 % of
    the divisions, and an AUROC of synthetic images inside it can't be told from that of real ones. It is somewhat
    too wide, as half of the held-out images take the place of the fresh ones.

    Args:
        real: (N, H, W, C) uint8, the generator's training images.
        patients: (N,) whose they are.
        heldout_real: (P, H, W, C) uint8, real images of other patients.
        heldout_patients: (P,) whose they are; None where that is not known: each image counts as of another one.
        seed: decides everything random.
        device: where to train.
        steps: of each classifier.
        classifiers: how many are trained, each with a seed of its own.
        progress: called with the number of classifiers trained.

    Returns:
        The mean over ``DIVISIONS`` divisions and the interval that holds 95 % of them. The counts of images
        are those of one division.

    Raises:
        InputError: the patients of either set cannot be divided.
    """
    rng = np.random.default_rng([seed, 2])
    ((first, second),) = draw_halves(patients, 1, rng, even=0)
    people = np.arange(len(heldout_real)) if heldout_patients is None else heldout_patients
    divisions = draw_halves(people, DIVISIONS, rng, even=0)
    count = min(len(first), len(second))
    scores = _scores(
        heldout_real,
        recipe=SCALED,
        train=lambda classifier: fit_balanced(classifier, (real[first[:count]], real[second[:count]]), steps),
        seeds=np.random.SeedSequence(seed).spawn(classifiers),
        device=device,
        progress=progress,
    )
    aurocs = np.empty((DIVISIONS, classifiers))
    for number, (asked, other) in enumerate(divisions):
        truth = np.repeat(np.array([0, 1]), (len(asked), len(other)))
        order = np.concatenate([asked, other])
        aurocs[number] = [auroc(truth, row[order]) for row in scores]
    low, high = np.quantile(aurocs.mean(axis=1), [0.025, 0.975])
    return RealOrSynthetic(
        auroc=float(aurocs.mean()),
        auroc_low=float(low),
        auroc_high=float(high),
        aurocs=[float(value) for value in aurocs.mean(axis=0)],
        real_images=count,
        generated_images=count,
        heldout_images=len(divisions[0][0]),
        heldout_patients=None if heldout_patients is None else len(np.unique(people[divisions[0][0]])),
        fresh_images=len(divisions[0][1]),
    )


def _compare(
    real: tuple[Images, NDArray[np.int64] | None],
    fresh: Images,
    *,
    recipe: Recipe,
    train: Callable[[Classifier], None],
    trained_on: tuple[int, int],
    classifiers: int,
    seed: int,
    device: torch.device,
    progress: Callable[[int], None],
) -> RealOrSynthetic:
    """Train classifiers and ask them about real images, given with their patients, and fresh synthetic ones."""
    heldout, known = real
    patients = np.arange(len(heldout)) if known is None else known
    truth = np.repeat(np.array([0, 1]), (len(heldout), len(fresh)))
    clusters = np.concatenate([patients, patients.max() + 1 + np.arange(len(fresh))])
    children = np.random.SeedSequence(seed).spawn(classifiers + 1)
    scores = _scores(
        np.concatenate([heldout, fresh]),
        recipe=recipe,
        train=train,
        seeds=children[:-1],
        device=device,
        progress=progress,
    )
    aurocs = [auroc(truth, row) for row in scores]
    low, high = bootstrap_auroc(truth, scores, clusters, np.random.default_rng(children[-1]))
    return RealOrSynthetic(
        auroc=float(np.mean(aurocs)),
        auroc_low=low,
        auroc_high=high,
        aurocs=aurocs,
        real_images=trained_on[0],
        generated_images=trained_on[1],
        heldout_images=len(heldout),
        heldout_patients=None if known is None else len(np.unique(patients)),
        fresh_images=len(fresh),
    )


def _scores(
    judged: Images,
    *,
    recipe: Recipe,
    train: Callable[[Classifier], None],
    seeds: list[np.random.SeedSequence],
    device: torch.device,
    progress: Callable[[int], None],
) -> NDArray[np.float32]:
    """The probability of label 1, (S, N): one classifier a seed, fresh from ``new_classifier`` to ``train``."""
    scores = []
    for done, child in enumerate(seeds, start=1):
        size = (judged.shape[1], judged.shape[2])
        number = int(child.generate_state(1, np.uint64)[0] >> 1)
        classifier = new_classifier(size, judged.shape[3], recipe, number, device)
        train(classifier)
        scores.append(predict(classifier, judged))
        progress(done)
    return np.stack(scores)


def _ignore(epoch: int) -> None:
    """Take no notice of an epoch's end."""
