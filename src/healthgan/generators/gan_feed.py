"""What the steps of several DCGANs read from chance, drawn for each as it draws alone."""

import math
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from healthgan.classifiers.feed import SPAN_BYTES, Block, Blocks
from healthgan.dropout_masks import draw_rows
from healthgan.generators.dcgan import LAYERS, Discriminator, Preset
from healthgan.generators.dcgan_state import State
from healthgan.keras_semantics import Dropout, SameConv, keras_rates


@dataclass(frozen=True)
class Settings:
    """What is equal in trainings that step together; see ``fit_dcgans``."""

    preset: Preset
    epochs: int
    batch: int
    learning_rate: float


@dataclass(frozen=True)
class Mark:
    """Where a training's draws stand after a block."""

    order: Tensor
    position: int
    rng: Tensor


class GanFeed(Blocks):
    """The blocks of trainings that are as far as one another, from there to the end; each ends with an epoch or before.

    In a block of S steps of E trainings are index (S, E, B) int32 and weights (S, E, B) of the real images, noise
    (S, E, B', 100), mask (S, E, M) uint8 of the discriminators, and rate (S,) of Adam. B and B' are the batch: the last
    one of an epoch is filled up with images that count nothing. The M values are (B + B', H, W, C) of each layer, one
    layer after the other.

    Args:
        states: the trainings; their order, position and generators go on here.
        pools: (N,) for each, where its images lie among all.
        settings: of all.
        size: pixels a side.
        pin: as ``Blocks`` takes it.
    """

    def __init__(
        self,
        states: Sequence[State],
        pools: Sequence[NDArray[np.int64]],
        settings: Settings,
        size: int,
        *,
        pin: bool,
    ) -> None:
        first, self.batch = states[0], settings.batch
        self.epoch_steps = math.ceil(len(pools[0]) / self.batch)
        self.done = len(first.losses) * self.epoch_steps + math.ceil(first.position / self.batch)
        super().__init__(len(states), settings.epochs * self.epoch_steps - self.done, pin=pin)
        self.states, self.pools, self.settings = states, pools, settings
        self.shapes = mask_shapes(first.discriminator, size)
        self.sizes = [self.batch * math.prod(shape) for shape in self.shapes]
        self.dtype, self.noise = first.noise.dtype, first.generator.noise
        blocks = -(-self.epoch_steps // max(1, SPAN_BYTES // self._one()))
        self.span = -(-self.epoch_steps // blocks)  # of equal length: one is drawn while another is in use
        self.marks: deque[list[Mark]] = deque()

    def _made(self) -> Iterator[Block]:
        for block in super()._made():
            self.marks.append(
                [Mark(state.order, state.position, state.rng.get_state()) for state in self.states]
            )
            yield block

    def _counts(self) -> Iterator[int]:
        done, end = self.done, self.done + self.steps
        while done < end:
            count = min(self.span, self.epoch_steps - done % self.epoch_steps)
            yield count
            done += count

    def _empty(self, steps: int) -> Block:
        place = steps, self.rows, self.batch
        return {
            "index": torch.zeros(place, dtype=torch.int32, pin_memory=self.pin),
            "weights": torch.zeros(place, dtype=self.dtype, pin_memory=self.pin),
            "noise": torch.empty(*place, self.noise, dtype=self.dtype, pin_memory=self.pin),
            "mask": torch.empty(
                steps, self.rows, 2 * sum(self.sizes), dtype=torch.uint8, pin_memory=self.pin
            ),
            "rate": torch.empty(
                steps, dtype=torch.float32 if self.pin else torch.float64, pin_memory=self.pin
            ),
        }

    def _schedule(self, block: Block, start: int) -> None:
        beta1 = LAYERS[self.settings.preset].beta1
        rates = keras_rates(self.done + start, len(block["rate"]), self.settings.learning_rate, beta1)
        block["rate"].copy_(rates)

    def _fill(self, block: Block, row: int) -> None:
        state, pool = self.states[row], torch.from_numpy(self.pools[row])
        dropout = next(part for part in state.discriminator.blocks if isinstance(part, Dropout))
        for step in range(len(block["rate"])):
            if state.position >= len(state.order):
                state.order, state.position = torch.randperm(len(pool), generator=state.rng), 0
            chosen = pool[state.order[state.position : state.position + self.batch]]
            count = len(chosen)
            block["index"][step, row, :count] = chosen.int()
            block["weights"][step, row, :count] = 1 / count
            block["noise"][step, row] = torch.randn(self.batch, self.noise, generator=state.rng)
            self._masks(block["mask"][step, row], count, dropout)
            state.position += count

    def _masks(self, mask: Tensor, count: int, dropout: Dropout) -> None:
        """Those of a step, as the discriminator draws them for its real and generated images, channels last."""
        for size, part in zip(self.sizes, torch.split(mask, [2 * size for size in self.sizes]), strict=True):
            drawn = np.array([size // self.batch * count, size])
            draw_rows(dropout.generator, dropout.keep, part.view(2, size).numpy(), drawn)


def mask_shapes(network: Discriminator, size: int) -> list[tuple[int, int, int]]:
    """(C, H, W) of what is dropped out, layer by layer."""
    shapes, side = [], size
    for part in network.blocks:
        if isinstance(part, SameConv):
            side = -(-side // part.stride[0])
            shapes.append((part.out_channels, side, side))
    return shapes
