"""Train one classifier by a recipe: a number of steps, and the last one is the result."""

import hashlib
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor
from torch.nn import functional as F

from healthgan.classifiers.augment import augment
from healthgan.classifiers.networks import Network, build, check_outputs
from healthgan.classifiers.recipes import Phase, Recipe
from healthgan.errors import InputError

WARM_UP = 100
"""Steps in which the learning rate rises, or 5 % of a shorter phase."""
PREDICT = 512
"""Images that are judged at a time."""
_CHUNK = 16
"""Batches that are drawn and altered at a time: many small steps of the same kind cost more than one large one."""
_CHUNK_VALUES = 1 << 22
"""Pixels of a chunk at most (16 MiB), so that large images do not need more memory than their training."""


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
    with _own_global_generator(_seed(recipe.seed, 4), device):
        return _train(recipe, pool, device, progress or (lambda _: None))


def _train(
    recipe: Recipe, pool: NDArray[np.uint8], device: torch.device, progress: Callable[[int], None]
) -> Trained:
    rng = torch.Generator().manual_seed(_seed(recipe.seed, 0))
    (height, width, channels), outputs = pool.shape[1:], recipe.phases[0].targets.shape[1]
    network = build(recipe.network, channels, (height, width), outputs, rng, device)
    taken = take_weights(network, recipe.network, recipe.weights)
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
    return Trained(network, device, _digest(network), taken)


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
    adam = torch.optim.Adam(parameters, lr=phase.learning_rate, fused=True)
    ratio = torch.tensor(phase.class_weights[1] / phase.class_weights[0], device=pool.device)
    done = 0
    for inputs, targets, weights in _chunks(network, phase, number, pool, seed):
        total = torch.zeros((), device=pool.device)
        for x, y, weight in zip(inputs, targets, weights, strict=True):
            adam.param_groups[0]["lr"] = phase.learning_rate * rate(done, phase.steps)
            loss = _loss(network, x, y, weight, ratio, phase.align_weight)
            adam.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call] # PyTorch has no type for it
            adam.step()
            total += loss.detach()
            done += 1
        if not math.isfinite(float(total)):
            raise FloatingPointError(
                f"The training of phase {number + 1} diverged by step {done} of {phase.steps}: its loss is no number. Lower "
                f"the learning rate ({phase.learning_rate:g})."
            )
        progress(done)
    if not all(bool(parameter.isfinite().all()) for parameter in parameters):
        raise FloatingPointError(
            f"The training of phase {number + 1} diverged in its last step: weights are no numbers. Lower the learning "
            f"rate ({phase.learning_rate:g})."
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
    parts = [*phase.parts, *([] if phase.align is None else [phase.align])]
    draws = [np.random.default_rng((seed, 1, number, place)) for place in range(len(parts))]
    mixing = np.random.default_rng((seed, 2, number))
    altering = torch.Generator().manual_seed(_seed(seed, 3, number))
    odds = [None if part.weight is None else np.cumsum(part.weight) for part in parts]
    size = sum(part.images for part in parts)
    labels = torch.from_numpy(phase.targets)
    chunk = max(1, min(_CHUNK, _CHUNK_VALUES // (size * pool[0].numel())))
    for start in range(0, phase.steps, chunk):
        steps = min(chunk, phase.steps - start)
        chosen = []
        for part, draw, summed in zip(parts, draws, odds, strict=True):
            uniform = draw.random((steps, part.images))
            if summed is None:
                place = (uniform * len(part.index)).astype(np.int64)
            else:
                place = np.searchsorted(summed, uniform * summed[-1], side="right")
            chosen.append(part.index[place])
        index = torch.from_numpy(np.concatenate(chosen, axis=1))  # (steps, B)
        x = _inputs(pool[index.flatten().to(pool.device)], network)
        x = augment(x, phase.augmentation, altering)
        x = x.view(*index.shape, *x.shape[1:])
        y = labels[index[:, : phase.labelled]].to(pool.device)
        if phase.mixup:
            x, y = mixed(x, y, phase.mixup, mixing)
        used = ~y.isnan()
        weight = phase.class_weights[0] * used / used.sum(dim=(1, 2), keepdim=True).clamp(min=1)
        yield list(x.unbind()), list(y.nan_to_num(0.0).unbind()), list(weight.unbind())


def mixed(x: Tensor, y: Tensor, alpha: float, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """The labelled images (S, b, …) of S batches, each mixed with another of its batch; one λ ~ Beta(α, α) a pair."""
    steps, labelled = y.shape[:2]
    other = torch.from_numpy(rng.random((steps, labelled)).argsort(axis=1)).to(x.device)
    share = torch.from_numpy(rng.beta(alpha, alpha, (steps, labelled)).astype(np.float32)).to(x.device)
    row = torch.arange(steps, device=x.device)[:, None]
    own = x[:, :labelled]
    mixed = own[row, other].lerp_(own, share[:, :, None, None, None])
    return torch.cat([mixed, x[:, labelled:]], dim=1), y[row, other].lerp_(y, share[:, :, None])


def _inputs(pixels: Tensor, network: Network) -> Tensor:
    """(B, H, W, C) uint8 → (B, C, H, W) float32 in 0…1, laid out as the network wants it."""
    inputs = pixels.permute(0, 3, 1, 2)
    return (inputs if network.channels_last else inputs.contiguous()).float().div_(255)


def take_weights(network: Network, name: str, weights: Path | None) -> int:
    """Copy initial weights into a network, where name and shape fit.

    Args:
        network: takes them.
        name: what the user calls it.
        weights: a .safetensors file, if any.

    Returns:
        how many tensors did.

    Raises:
        InputError: the file cannot be read, or nothing in it fits.
    """
    if weights is None:
        return 0
    try:
        given = load_file(weights)
    except (OSError, SafetensorError) as error:
        raise InputError(
            f"The initial weights '{weights}' can't be read: {error}. Give a .safetensors file."
        ) from error
    ours = network.tensors()
    fitting = [key for key, value in ours.items() if key in given and given[key].shape == value.shape]
    if not fitting:
        raise InputError(
            f"None of the {len(given)} tensors of '{weights}' has name and shape of one of the network '{name}', whose "
            f"first are {', '.join(list(ours)[:3])}. Give weights of that network."
        )
    with torch.no_grad():
        for key in fitting:
            ours[key].copy_(given[key])
    return len(fitting)


def _digest(network: Network) -> str:
    """SHA-256 over names, shapes, types and values."""
    summed = hashlib.sha256()
    for name, value in sorted(network.tensors().items()):
        array = value.cpu().contiguous().numpy()
        summed.update(repr((name, array.shape, array.dtype.str)).encode() + array.tobytes())
    return summed.hexdigest()


def _seed(*key: int) -> int:
    """A seed for PyTorch that follows from numbers."""
    return int(np.random.SeedSequence(key).generate_state(1, np.uint64)[0] >> 1)


@contextmanager
def _own_global_generator(seed: int, device: torch.device) -> Iterator[None]:
    """Seed PyTorch's global generators, of the CPU and of the device, and put them back afterwards."""
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        torch.default_generator.manual_seed(seed)
        if device.type == "cuda":
            with torch.cuda.device(device):
                torch.cuda.manual_seed(seed)
        yield
