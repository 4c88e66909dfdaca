"""The study's way of training and scoring one classifier: folds, then the test set."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from healthgan.classifiers.fit import Recipe, fit, new_classifier, predict
from healthgan.scores import accuracy


@dataclass(frozen=True)
class Examples:
    """Images with 0/1 labels, and which of them are synthetic.

    Attributes:
        pixels: (N, H, W, C) uint8.
        labels: (N,) int64, 1 for the rare class.
        synthetic: (N,) bool.
        folds: (N,) int64, the fold in which the image validates.
    """

    pixels: NDArray[np.uint8]
    labels: NDArray[np.int64]
    synthetic: NDArray[np.bool_]
    folds: NDArray[np.int64]


@dataclass(frozen=True)
class FoldScores:
    """One fold: accuracy of the last epoch in training, and on its validation images."""

    train_accuracy: float
    val_accuracy: float
    train_images: int
    val_images: int


def run_folds(
    examples: Examples,
    test_pixels: NDArray[np.uint8],
    *,
    recipe: Recipe,
    epochs: int,
    reset_between_folds: bool,
    synthetic_in_validation: bool,
    seed: int,
    device: torch.device,
    progress: Callable[[int], None],
) -> tuple[list[FoldScores], NDArray[np.float32]]:
    """Train fold after fold and score; then apply the network of the last fold to the test images.

    With ``reset_between_folds`` false, as published, one network goes on from fold to fold with its
    optimiser's state: from the second fold on it is validated on images that it was trained on.

    Args:
        examples: all images for training and validation.
        test_pixels: (M, H, W, C) uint8; they decide nothing.
        recipe: how the network is trained.
        epochs: a fold.
        reset_between_folds: start each fold with a fresh network.
        synthetic_in_validation: leave synthetic images in the validation folds.
        seed: decides everything random.
        device: where to train.
        progress: called with the number of epochs done, over all folds.

    Returns:
        The scores of the folds and the test images' probabilities (M,).
    """
    numbers = np.unique(examples.folds)
    seeds = [
        int(child.generate_state(1, np.uint64)[0] >> 1)
        for child in np.random.SeedSequence(seed).spawn(len(numbers))
    ]
    size = (examples.pixels.shape[1], examples.pixels.shape[2])
    classifier = new_classifier(size, examples.pixels.shape[3], recipe, seeds[0], device)
    scores = []
    for done, number in enumerate(numbers):
        if reset_between_folds and done:
            classifier = new_classifier(size, examples.pixels.shape[3], recipe, seeds[done], device)
        training = np.flatnonzero(examples.folds != number)
        validation = np.flatnonzero(
            (examples.folds == number) & (synthetic_in_validation | ~examples.synthetic)
        )
        accuracies = fit(
            classifier,
            examples.pixels[training],
            examples.labels[training],
            epochs,
            lambda epoch, before=done * epochs: progress(before + epoch),  # type: ignore[misc] # mypy cannot infer a lambda with a default
        )
        judged = predict(classifier, examples.pixels[validation])
        scores.append(
            FoldScores(
                train_accuracy=accuracies[-1],
                val_accuracy=accuracy(examples.labels[validation], judged),
                train_images=len(training),
                val_images=len(validation),
            )
        )
    return scores, predict(classifier, test_pixels)
