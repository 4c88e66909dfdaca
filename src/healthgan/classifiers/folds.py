"""The study's way of training and scoring one classifier: folds, then the test set."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from healthgan.classifiers.chains import Chain, Fold
from healthgan.classifiers.fit import Recipe, fit, new_classifier, predict
from healthgan.classifiers.fold_program import run_chains
from healthgan.classifiers.pictures import Pictures
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
class FoldTraining:
    """What ``run_folds`` takes that differs from one training of a study to another.

    Attributes:
        examples: all images for training and validation.
        test_pixels: (M, H, W, C) uint8; they decide nothing.
        epochs: a fold.
        seed: decides everything random.
    """

    examples: Examples
    test_pixels: NDArray[np.uint8]
    epochs: int
    seed: int


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
    parts = _parts(examples, synthetic_in_validation=synthetic_in_validation)
    seeds = _seeds(seed, len(parts))
    size = (examples.pixels.shape[1], examples.pixels.shape[2])
    classifier = new_classifier(size, examples.pixels.shape[3], recipe, seeds[0], device)
    scores = []
    for done, (training, validation) in enumerate(parts):
        if reset_between_folds and done:
            classifier = new_classifier(size, examples.pixels.shape[3], recipe, seeds[done], device)
        accuracies = fit(
            classifier,
            examples.pixels[training],
            examples.labels[training],
            epochs,
            lambda epoch, before=done * epochs: progress(before + epoch),  # type: ignore[misc] # mypy cannot infer a lambda with a default
        )
        judged = predict(classifier, examples.pixels[validation])
        scores.append(_scored(examples, training, validation, accuracies[-1], judged))
    return scores, predict(classifier, test_pixels)


def run_many_folds(
    trainings: Sequence[FoldTraining],
    *,
    recipe: Recipe,
    reset_between_folds: bool,
    synthetic_in_validation: bool,
    device: torch.device,
    progress: Callable[[int, int, int], None],
    memory: int | None = None,
) -> list[tuple[list[FoldScores], NDArray[np.float32]]]:
    """What ``run_folds`` gives on the CPU for each training, to rounding, with all of them trained as one program.

    Draws are those of a training alone. Sums are taken in another order, which Adam makes more of with every step.

    Args:
        trainings: on images of one size.
        recipe: how the networks are trained.
        reset_between_folds: start each fold with a fresh network.
        synthetic_in_validation: leave synthetic images in the validation folds.
        device: where to train.
        progress: called with the place of a training, its number of steps done, and of how many.
        memory: bytes that networks trained at once may take; None: what a CUDA device has free, or ``room.MEMORY``.
    """
    if not trainings:
        return []
    pictures = Pictures(trainings[0].test_pixels.shape[1:])
    chains: list[Chain] = []
    judging: list[NDArray[np.int64]] = []
    owners: list[int] = []
    for owner, one in enumerate(trainings):
        place, test = pictures.add(one.examples.pixels), pictures.add(one.test_pixels)
        folds = [
            Fold(place[training], one.examples.labels[training], place[validation])
            for training, validation in _parts(one.examples, synthetic_in_validation=synthetic_in_validation)
        ]
        runs = [(fold,) for fold in folds] if reset_between_folds else [tuple(folds)]
        seeds = _seeds(one.seed, len(folds))
        chains += [Chain(run, one.epochs, recipe.batch, seed) for run, seed in zip(runs, seeds, strict=False)]
        judging += [test[:0]] * (len(runs) - 1) + [test]
        owners += [owner] * len(runs)
    done = [0] * len(chains)

    def told(place: int, steps: int) -> None:
        done[place] = steps
        own = [number for number, owner in enumerate(owners) if owner == owners[place]]
        total = sum(chains[number].steps for number in own)
        progress(owners[place], sum(done[number] for number in own), total)

    courses = run_chains(chains, judging, pictures.pixels, recipe, device, told, memory)
    found = []
    for owner, one in enumerate(trainings):
        own = [course for course, whose in zip(courses, owners, strict=True) if whose == owner]
        outcomes = [
            outcome
            for course in own
            for outcome in zip(course.train_accuracies, course.validation, strict=True)
        ]
        parts = _parts(one.examples, synthetic_in_validation=synthetic_in_validation)
        scores = [
            _scored(one.examples, training, validation, right, judged)
            for (training, validation), (right, judged) in zip(parts, outcomes, strict=True)
        ]
        found.append((scores, own[-1].judged))
    return found


def _parts(
    examples: Examples, *, synthetic_in_validation: bool
) -> list[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """For each fold the positions of its training and its validation images."""
    return [
        (
            np.flatnonzero(examples.folds != number),
            np.flatnonzero((examples.folds == number) & (synthetic_in_validation | ~examples.synthetic)),
        )
        for number in np.unique(examples.folds)
    ]


def _seeds(seed: int, folds: int) -> list[int]:
    """One a fold."""
    return [
        int(child.generate_state(1, np.uint64)[0] >> 1) for child in np.random.SeedSequence(seed).spawn(folds)
    ]


def _scored(
    examples: Examples,
    training: NDArray[np.int64],
    validation: NDArray[np.int64],
    train_accuracy: float,
    judged: NDArray[np.float32],
) -> FoldScores:
    return FoldScores(
        train_accuracy=train_accuracy,
        val_accuracy=accuracy(examples.labels[validation], judged),
        train_images=len(training),
        val_images=len(validation),
    )
