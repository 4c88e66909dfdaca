"""What chance decides in a phase of a training: which images, their pairs, how each is altered.

Both ways to train, one classifier or many at once, read the same draws, so that a recipe means the same in both.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from healthgan.classifiers.augment import DRAWS
from healthgan.classifiers.recipes import Phase

_CHUNK = 16
"""Batches that are drawn and altered at a time: many small steps of the same kind cost more than one large one."""
_CHUNK_VALUES = 1 << 22
"""Pixels of a chunk at most (16 MiB), so that large images do not need more memory than their training."""


@dataclass(frozen=True)
class Drawn:
    """Some batches of B images, b of which are labelled and come first.

    Attributes:
        index: (steps, B) int64, positions in the pool.
        targets: (steps, b, K) float32, NaN where an output is not used.
        alter: (steps, B, 7) float32 in 0…1, where images are altered.
        pairs: where images are mixed: the partner (steps, b) int64 of each within its batch, and its own share
            (steps, b) float32.
    """

    index: NDArray[np.int64]
    targets: Tensor
    alter: Tensor | None
    pairs: tuple[Tensor, Tensor] | None


def batch_images(phase: Phase) -> int:
    """B, labelled or not."""
    return phase.labelled + (0 if phase.align is None else phase.align.images)


def chunk_steps(phase: Phase, values: int) -> int:
    """Steps that are drawn at a time, for images of so many values."""
    return max(1, min(_CHUNK, _CHUNK_VALUES // (batch_images(phase) * values)))


def draw(phase: Phase, number: int, seed: int, chunk: int) -> Iterator[Drawn]:
    """All batches of a phase, ``chunk`` steps at a time and at last what is left.

    Each part of a batch draws from a stream of its own, as do pairs and alterations.

    Args:
        phase: what to draw.
        number: of the phase, from 0.
        seed: of the recipe.
        chunk: from ``chunk_steps``; the pairs depend on it.
    """
    parts = [*phase.parts, *([] if phase.align is None else [phase.align])]
    streams = [np.random.default_rng((seed, 1, number, place)) for place in range(len(parts))]
    mixing = np.random.default_rng((seed, 2, number))
    altering = torch.Generator().manual_seed(seed_of(seed, 3, number))
    odds = [None if part.weight is None else np.cumsum(part.weight) for part in parts]
    labels, none = torch.from_numpy(phase.targets), phase.augmentation.none
    for start in range(0, phase.steps, chunk):
        steps = min(chunk, phase.steps - start)
        chosen = []
        for part, stream, summed in zip(parts, streams, odds, strict=True):
            uniform = stream.random((steps, part.images))
            if summed is None:
                place = (uniform * len(part.index)).astype(np.int64)
            else:
                place = np.searchsorted(summed, uniform * summed[-1], side="right")
            chosen.append(part.index[place])
        index = np.concatenate(chosen, axis=1)
        yield Drawn(
            index,
            labels[torch.from_numpy(index[:, : phase.labelled])],
            None if none else torch.rand(*index.shape, DRAWS, generator=altering),
            draw_pairs(steps, phase.labelled, phase.mixup, mixing) if phase.mixup else None,
        )


def draw_pairs(steps: int, labelled: int, alpha: float, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """The partner of each image, another or itself, and its own share ~ Beta(α, α): (steps, labelled) each."""
    other = torch.from_numpy(rng.random((steps, labelled)).argsort(axis=1))
    return other, torch.from_numpy(rng.beta(alpha, alpha, (steps, labelled)).astype(np.float32))


def loss_weights(targets: Tensor, weight: float) -> Tensor:
    """What each target counts in the loss, (steps, b, K): nothing where it is NaN, and alike elsewhere, in sum ``weight``."""
    used = ~targets.isnan()
    return weight * used / used.sum(dim=(1, 2), keepdim=True).clamp(min=1)


def seed_of(*key: int) -> int:
    """A seed for PyTorch that follows from numbers."""
    return int(np.random.SeedSequence(key).generate_state(1, np.uint64)[0] >> 1)
