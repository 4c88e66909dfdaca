"""Train and apply a classifier, as Keras's ``fit`` and ``predict`` do it."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from healthgan.classifiers.cnn2023 import Cnn2023
from healthgan.keras_semantics import Adam


@dataclass(frozen=True)
class Recipe:
    """How a classifier is trained.

    Attributes:
        scale_pixels: divide the pixels by 255, or take them as they are (0…255).
        learning_rate: of Adam.
        batch: images a step; the last, smaller batch of an epoch is kept.
    """

    scale_pixels: bool
    learning_rate: float
    batch: int


@dataclass
class Classifier:
    """A network in training: with its optimiser's state and its source of randomness."""

    network: Cnn2023
    adam: Adam
    rng: torch.Generator
    recipe: Recipe
    device: torch.device


def new_classifier(
    size: tuple[int, int], channels: int, recipe: Recipe, seed: int, device: torch.device
) -> Classifier:
    """A fresh network; the seed decides its initial values, the dropout masks and the batches."""
    rng = torch.Generator().manual_seed(seed)
    network = Cnn2023(size, channels, rng, device)
    return Classifier(network, Adam(list(network.parameters()), recipe.learning_rate), rng, recipe, device)


def fit(
    classifier: Classifier,
    pixels: NDArray[np.uint8],
    labels: NDArray[np.int64],
    epochs: int,
    after_epoch: Callable[[int], None],
) -> list[float]:
    """Train on, from where the classifier stands.

    Args:
        classifier: changed in place.
        pixels: (N, H, W, C) uint8.
        labels: (N,) 0 or 1.
        epochs: passes, each over a new permutation of the images.
        after_epoch: called with the number of epochs done.

    Returns:
        The training accuracy of each epoch as Keras reports it: over the epoch's batches as they were
        trained on, dropout active.
    """
    pool, targets = (
        torch.from_numpy(pixels).to(classifier.device),
        torch.from_numpy(labels).to(classifier.device),
    )
    classifier.network.train()
    accuracies = []
    for epoch in range(1, epochs + 1):
        order = torch.randperm(len(pool), generator=classifier.rng).to(classifier.device)
        correct = torch.zeros((), dtype=torch.int64, device=classifier.device)
        for start in range(0, len(order), classifier.recipe.batch):
            chosen = order[start : start + classifier.recipe.batch]
            correct += _step(classifier, pool[chosen], targets[chosen])
        accuracies.append(int(correct) / len(pool))
        after_epoch(epoch)
    return accuracies


def predict(classifier: Classifier, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """The probability of the rare class (N,) float32 for images (N, H, W, C) uint8."""
    pool = torch.from_numpy(pixels)
    classifier.network.eval()
    with torch.inference_mode():
        logits = [
            classifier.network(_inputs(classifier, pool[start : start + 512].to(classifier.device)))
            for start in range(0, len(pool), 512)
        ]
        probabilities: NDArray[np.float32] = torch.cat(logits or [torch.zeros(0)]).sigmoid().cpu().numpy()
    classifier.network.train()
    return probabilities


def _inputs(classifier: Classifier, pixels: Tensor) -> Tensor:
    """(B, H, W, C) uint8 → (B, C, H, W) float32, channels last in memory."""
    inputs = pixels.permute(0, 3, 1, 2).float()
    return inputs / 255 if classifier.recipe.scale_pixels else inputs


def _step(classifier: Classifier, pixels: Tensor, targets: Tensor) -> Tensor:
    """One step of Adam on binary cross-entropy; how many images the network judged right before it."""
    logits = classifier.network(_inputs(classifier, pixels))
    loss = F.binary_cross_entropy_with_logits(logits, targets.float())
    classifier.adam.step(torch.autograd.grad(loss, classifier.adam.parameters))
    right: Tensor = ((logits > 0) == (targets == 1)).sum()
    return right
