"""Train and apply a classifier: as Keras's ``fit`` and ``predict`` do it, or in class-balanced steps."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from healthgan.classifiers.cnn2023 import Cnn2023
from healthgan.keras_semantics import KerasAdam


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
    adam: KerasAdam
    rng: torch.Generator
    recipe: Recipe
    device: torch.device


def new_classifier(
    size: tuple[int, int], channels: int, recipe: Recipe, seed: int, device: torch.device
) -> Classifier:
    """A fresh network; the seed decides its initial values, the dropout masks and the batches."""
    rng = torch.Generator().manual_seed(seed)
    network = Cnn2023(size, channels, rng, device)
    return Classifier(
        network, KerasAdam(list(network.parameters()), recipe.learning_rate), rng, recipe, device
    )


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


def fit_balanced(
    classifier: Classifier, pools: tuple[NDArray[np.uint8], NDArray[np.uint8]], steps: int
) -> None:
    """Train on for a number of steps whose batches hold as many images of the one label as of the other.

    Args:
        classifier: changed in place.
        pools: (N, H, W, C) uint8 images of label 0, and (M, H, W, C) of label 1; none is empty. Half of
            each batch is drawn from either, with replacement.
        steps: how many; the recipe's batch, which must be even, says of how many images.
    """
    half = classifier.recipe.batch // 2
    assert classifier.recipe.batch == 2 * half, "a balanced batch is even"
    images = [torch.from_numpy(np.ascontiguousarray(pool)).to(classifier.device) for pool in pools]
    targets = torch.arange(2, device=classifier.device).repeat_interleave(half)
    classifier.network.train()
    for _ in range(steps):
        drawn = [
            pool[torch.randint(len(pool), (half,), generator=classifier.rng).to(classifier.device)]
            for pool in images
        ]
        _step(classifier, torch.cat(drawn), targets)


def predict(classifier: Classifier, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """The probability of the rare class (N,) float32 for images (N, H, W, C) uint8."""
    probabilities: NDArray[np.float32] = _logits(classifier, pixels).sigmoid().float().cpu().numpy()
    return probabilities


def embed(classifier: Classifier, pixels: NDArray[np.uint8]) -> NDArray[np.float64]:
    """What the network's dense layer gives before its ReLU (N, 64) float64, for images (N, H, W, C) uint8."""
    seen = [torch.zeros(0, classifier.network.dense.out_features)]
    hook = classifier.network.dense.register_forward_hook(lambda _, inputs, output: seen.append(output.cpu()))  # noqa: ARG005 # PyTorch passes it
    try:
        _logits(classifier, pixels)
    finally:
        hook.remove()
    activations: NDArray[np.float64] = torch.cat(seen).double().numpy()
    return activations


def _logits(classifier: Classifier, pixels: NDArray[np.uint8]) -> Tensor:
    """(N,) logits without dropout, 512 images at a time."""
    pool = torch.from_numpy(np.ascontiguousarray(pixels))
    classifier.network.eval()
    with torch.inference_mode():
        logits = [
            classifier.network(_inputs(classifier, pool[start : start + 512].to(classifier.device)))
            for start in range(0, len(pool), 512)
        ]
    classifier.network.train()
    return torch.cat(logits or [torch.zeros(0)])


def _inputs(classifier: Classifier, pixels: Tensor) -> Tensor:
    """(B, H, W, C) uint8 → (B, C, H, W) in the network's type, channels last in memory."""
    inputs = pixels.permute(0, 3, 1, 2).to(classifier.network.logit.weight.dtype)
    return inputs / 255 if classifier.recipe.scale_pixels else inputs


def _step(classifier: Classifier, pixels: Tensor, targets: Tensor) -> Tensor:
    """One step of Adam on binary cross-entropy; how many images the network judged right before it."""
    logits = classifier.network(_inputs(classifier, pixels))
    loss = F.binary_cross_entropy_with_logits(logits, targets.to(logits.dtype))
    classifier.adam.step(torch.autograd.grad(loss, classifier.adam.parameters))
    right: Tensor = ((logits > 0) == (targets == 1)).sum()
    return right
