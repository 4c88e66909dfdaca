"""How a set of generated images compares with a set of real ones."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from healthgan.classifiers.fit import Recipe, fit, new_classifier, predict
from healthgan.scores import auroc, bootstrap_auroc


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

    A classifier two-sample test (Lopez-Paz and Oquab, ICLR 2017).

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
    pixels = np.concatenate([real, generated])
    labels = np.repeat(np.array([0, 1]), (len(real), len(generated)))
    judged = np.concatenate([heldout_real, fresh])
    truth = np.repeat(np.array([0, 1]), (len(heldout_real), len(fresh)))
    clusters = np.concatenate([heldout_patients, heldout_patients.max() + 1 + np.arange(len(fresh))])
    children = np.random.SeedSequence(seed).spawn(classifiers + 1)
    scores = []
    for done, child in enumerate(children[:-1], start=1):
        size = (pixels.shape[1], pixels.shape[2])
        number = int(child.generate_state(1, np.uint64)[0] >> 1)
        classifier = new_classifier(size, pixels.shape[3], recipe, number, device)
        fit(classifier, pixels, labels, epochs, _ignore)
        scores.append(predict(classifier, judged))
        progress(done)
    aurocs = [auroc(truth, row) for row in scores]
    low, high = bootstrap_auroc(truth, np.stack(scores), clusters, np.random.default_rng(children[-1]))
    return RealOrSynthetic(
        auroc=float(np.mean(aurocs)),
        auroc_low=low,
        auroc_high=high,
        aurocs=aurocs,
        real_images=len(real),
        generated_images=len(generated),
        heldout_images=len(heldout_real),
        heldout_patients=len(np.unique(heldout_patients)),
        fresh_images=len(fresh),
    )


def _ignore(epoch: int) -> None:
    """Take no notice of an epoch's end."""
