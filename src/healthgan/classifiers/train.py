"""Train one classifier by a recipe: a number of steps, and the last one is the result."""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from healthgan.adam import Adam
from healthgan.classifiers.augment import alter
from healthgan.classifiers.draws import chunk_steps, draw, loss_weights, seed_of
from healthgan.classifiers.networks import Network, build, check_outputs
from healthgan.classifiers.recipes import Phase, Recipe
from healthgan.classifiers.weights import take_weights as take_weights
from healthgan.classifiers.weights import weights_digest

WARM_UP = 100
"""Steps in which the learning rate rises, or 5 % of a shorter phase."""
PREDICT = 512
"""Images that are judged at a time."""


@dataclass(frozen=True)
class Trained:
    """A trained classifier.

    Attributes:
        network: in evaluation mode.
        device: where it lives.
        digest: SHA-256 of the final weights.
        weights_taken: tensors that came from the recipe's file of initial weights.
    """

    network: Network
    device: torch.device
    digest: str
    weights_taken: int

    def predict(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """The logits (N,) of output 0, for images (N, H, W, C) uint8."""
        logits = self._applied(pixels, lambda block: self.network(block)[:, 0])
        return torch.cat([torch.zeros(0), *logits]).numpy()

    def features(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """The features (N, D), for images (N, H, W, C) uint8, N > 0.

        Raises:
            InputError: a network of the user's own has none.
        """
        return torch.cat(self._applied(pixels, lambda block: self.network.both(block)[0])).numpy()

    def _applied(self, pixels: NDArray[np.uint8], judge: Callable[[Tensor], Tensor]) -> list[Tensor]:
        """What is made of each block of images, on the CPU."""
        pool = torch.from_numpy(np.ascontiguousarray(pixels))
        with torch.no_grad():
            return [
                judge(_inputs(pool[start : start + PREDICT].to(self.device), self.network)).cpu()
                for start in range(0, len(pool), PREDICT)
            ]


def train(
    recipe: Recipe,
    pool: NDArray[np.uint8],
    device: torch.device,
    progress: Callable[[int], None] | None = None,
) -> Trained:
    """Train a fresh network.

    The recipe's seed decides everything: on one CPU thread the same recipe and pool give the same bits. Each part
    of a batch draws from a stream of its own, so that recipes that differ in one part or in the augmentation share
    the draws of the others. PyTorch's global generator, which only a network of the user's own may need, is seeded
    for the training and put back afterwards.

    Args:
        recipe: what to do.
        pool: (N, H, W, C) uint8, the images that the recipe's positions refer to.
        device: where to train.
        progress: called with the number of steps done, every few steps.

    Raises:
        InputError: the network or the initial weights cannot be used.
        FloatingPointError: the training diverged.
    """
    for number, phase in enumerate(recipe.phases):
        assert len(phase.targets) == len(pool), f"phase {number} has targets for another pool"
    with own_global_generator(recipe.seed, device):
        return _train(recipe, pool, device, progress or (lambda _: None))


def _train(
    recipe: Recipe, pool: NDArray[np.uint8], device: torch.device, progress: Callable[[int], None]
) -> Trained:
    (height, width, channels), outputs = pool.shape[1:], recipe.phases[0].targets.shape[1]
    network, rng, taken = fresh_network(recipe, (height, width, channels), device)
    images = torch.from_numpy(np.ascontiguousarray(pool)).to(device)
    network.train()
    done = 0
    for number, phase in enumerate(recipe.phases):
        if phase.targets.shape[1] != outputs or phase.new_head:
            outputs = phase.targets.shape[1]
            network.renew_head(outputs, rng)
            check_outputs(network, recipe.network, channels, (height, width), outputs, device)
        _run_phase(network, phase, number, images, recipe.seed, partial(_told, progress, done))
        done += phase.steps
    network.eval()
    return Trained(network, device, weights_digest(network), taken)


def fresh_network(
    recipe: Recipe, shape: tuple[int, int, int], device: torch.device
) -> tuple[Network, torch.Generator, int]:
    """The network that a recipe begins with, for images (H, W, C).

    Returns:
        the network, the CPU generator that gave its initial values (later heads come from it, and on a CPU its
        dropout), and how many tensors came from the recipe's weights.

    Raises:
        InputError: the network or the initial weights cannot be used.
    """
    rng = torch.Generator().manual_seed(seed_of(recipe.seed, 0))
    height, width, channels = shape
    outputs = recipe.phases[0].targets.shape[1]
    network = build(recipe.network, channels, (height, width), outputs, rng, device)
    return network, rng, take_weights(network, recipe.network, recipe.weights)


def _told(progress: Callable[[int], None], before: int, steps: int) -> None:
    progress(before + steps)


def _run_phase(
    network: Network,
    phase: Phase,
    number: int,
    pool: Tensor,
    seed: int,
    progress: Callable[[int], None],
) -> None:
    """All steps of a phase."""
    parameters = [parameter for parameter in network.parameters() if parameter.requires_grad]
    adam = Adam(parameters, phase.learning_rate, fused=True)
    ratio = torch.tensor(phase.class_weights[1] / phase.class_weights[0], device=pool.device)
    done = 0
    for inputs, targets, weights in _chunks(network, phase, number, pool, seed):
        total = torch.zeros((), device=pool.device)
        for x, y, weight in zip(inputs, targets, weights, strict=True):
            adam.learning_rate = phase.learning_rate * rate(done, phase.steps)
            loss = _loss(network, x, y, weight, ratio, phase.align_weight)
            adam.descend(loss)
            total += loss.detach()
            done += 1
        if not math.isfinite(float(total)):
            raise diverged(phase, number, done)
        progress(done)
    if not all(bool(parameter.isfinite().all()) for parameter in parameters):
        raise diverged(phase, number, None)


def diverged(phase: Phase, number: int, step: int | None) -> FloatingPointError:
    """What is told of a phase (from 0) that diverged by a step, or in its last one."""
    if step is None:
        return FloatingPointError(
            f"The training of phase {number + 1} diverged in its last step: weights are no numbers. Lower the learning "
            f"rate ({phase.learning_rate:g})."
        )
    return FloatingPointError(
        f"The training of phase {number + 1} diverged by step {step} of {phase.steps}: its loss is no number. Lower "
        f"the learning rate ({phase.learning_rate:g})."
    )


def rate(step: int, steps: int) -> float:
    """The learning rate's share at a step (from 0): up in a line, then down along a half cosine to 0 after the last."""
    warm = min(WARM_UP, steps // 20)
    if step < warm:
        return (step + 1) / (warm + 1)
    return 0.5 * (1 + math.cos(math.pi * (step - warm) / (steps - warm)))


def _loss(
    network: Network, x: Tensor, y: Tensor, weight: Tensor, ratio: Tensor, align_weight: float
) -> Tensor:
    """Binary cross-entropy, and the distance between the domains' covariances."""
    if not align_weight:
        return _cross_entropy(network(x), y, weight, ratio)
    features, logits = network.both(x)
    labelled = len(y)
    distance = coral(features[:labelled], features[labelled:])
    return _cross_entropy(logits[:labelled], y, weight, ratio) + align_weight * distance


def _cross_entropy(logits: Tensor, y: Tensor, weight: Tensor, ratio: Tensor) -> Tensor:
    return F.binary_cross_entropy_with_logits(logits, y, weight, pos_weight=ratio, reduction="sum")


def coral(first: Tensor, second: Tensor) -> Tensor:
    """Deep CORAL's distance between features (B, D) and (B', D): ‖C − C'‖²_F / 4D² (Sun and Saenko 2016, eq. 1)."""
    difference = torch.cov(first.T) - torch.cov(second.T)
    return difference.square().sum() / (4 * first.shape[1] ** 2)


def _chunks(
    network: Network, phase: Phase, number: int, pool: Tensor, seed: int
) -> Iterator[tuple[list[Tensor], list[Tensor], list[Tensor]]]:
    """Inputs (B, C, H, W), targets (b, K) and loss weights (b, K) of the batches, several at a time.

    b of the B images of a batch are labelled; they come first.
    """
    for drawn in draw(phase, number, seed, chunk_steps(phase, pool[0].numel())):
        index = torch.from_numpy(drawn.index)
        x = _inputs(pool[index.flatten().to(pool.device)], network)
        if drawn.alter is not None:
            x = alter(x, drawn.alter.flatten(0, 1), phase.augmentation)
        x = x.view(*index.shape, *x.shape[1:])
        y = drawn.targets.to(x)
        if drawn.pairs is not None:
            x, y = mixed(x, y, *drawn.pairs)
        weight = loss_weights(y, phase.class_weights[0])
        yield list(x.unbind()), list(y.nan_to_num(0.0).unbind()), list(weight.unbind())


def mixed(x: Tensor, y: Tensor, other: Tensor, share: Tensor) -> tuple[Tensor, Tensor]:
    """The labelled images (S, b, …) of S batches, and their targets, each mixed with its partner's; see ``blend``."""
    labelled = y.shape[1]
    own = blend(x[:, :labelled], other, share)
    return torch.cat([own, x[:, labelled:]], dim=1), blend(y, other, share)


def blend(values: Tensor, other: Tensor, share: Tensor) -> Tensor:
    """(S, b, …): each with its own share, and the rest of its partner's; partner and share are (S, b)."""
    row = torch.arange(len(values), device=values.device)[:, None]
    partner = values[row, other.to(values.device)]
    return partner.lerp_(values, share.to(values).view(*share.shape, *[1] * (values.ndim - 2)))


def _inputs(pixels: Tensor, network: Network) -> Tensor:
    """(B, H, W, C) uint8 → (B, C, H, W) float32 in 0…1, laid out as the network wants it."""
    inputs = pixels.permute(0, 3, 1, 2)
    return (inputs if network.channels_last else inputs.contiguous()).to(network.dtype).div_(255)


@contextmanager
def own_global_generator(seed: int, device: torch.device) -> Iterator[None]:
    """Seed PyTorch's global generators, of the CPU and of the device, by a recipe's seed, and put them back afterwards."""
    seed = seed_of(seed, 4)
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        torch.default_generator.manual_seed(seed)
        if device.type == "cuda":
            with torch.cuda.device(device):
                torch.cuda.manual_seed(seed)
        yield
