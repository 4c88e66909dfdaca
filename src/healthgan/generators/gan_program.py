"""Several DCGANs that step together: what their steps read from chance, and the steps."""

import math
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from healthgan.classifiers.feed import SPAN_BYTES, Block, Blocks
from healthgan.classifiers.recording import Recorded
from healthgan.generators.dcgan import LAYERS, Preset
from healthgan.generators.dcgan_state import State
from healthgan.generators.wide_dcgan import give_back, mask_shapes, parts_of, set_masks, side_by_side
from healthgan.keras_semantics import Adam, Dropout, SteadyAdam, keras_rates

CPU = torch.device("cpu")


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

    In a block of S steps of E trainings are index (S, B, E) int32 and weights (S, B, E) of the real images, noise
    (S, B', E · 100), mask (S, B + B', E, D) uint8 of the discriminators, and rate (S,) of Adam. B and B' are the batch:
    the last one of an epoch is filled up with images that count nothing.

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
        self.width = sum(math.prod(shape) for shape in self.shapes)
        self.dtype, self.noise = first.noise.dtype, first.generator.noise
        self.span = max(1, min(self.epoch_steps, SPAN_BYTES // self._one()))
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
        place = steps, self.batch, self.rows
        return {
            "index": torch.zeros(place, dtype=torch.int32),
            "weights": torch.zeros(place, dtype=self.dtype),
            "noise": torch.empty(steps, self.batch, self.rows * self.noise, dtype=self.dtype),
            "mask": torch.zeros(steps, 2 * self.batch, self.rows, self.width, dtype=torch.uint8),
            "rate": torch.empty(steps, dtype=torch.float32 if self.pin else torch.float64),
        }

    def _schedule(self, block: Block, start: int) -> None:
        beta1 = LAYERS[self.settings.preset].beta1
        rates = keras_rates(self.done + start, len(block["rate"]), self.settings.learning_rate, beta1)
        block["rate"].copy_(rates)

    def _fill(self, block: Block, row: int) -> None:
        state, pool = self.states[row], torch.from_numpy(self.pools[row])
        dropout = next(part for part in state.discriminator.blocks if isinstance(part, Dropout))
        here = slice(row * self.noise, (row + 1) * self.noise)
        for step in range(len(block["rate"])):
            if state.position >= len(state.order):
                state.order, state.position = torch.randperm(len(pool), generator=state.rng), 0
            chosen = pool[state.order[state.position : state.position + self.batch]]
            count = len(chosen)
            block["index"][step, :count, row] = chosen.int()
            block["weights"][step, :count, row] = 1 / count
            block["noise"][step, :, here] = torch.randn(self.batch, self.noise, generator=state.rng)
            self._masks(block["mask"][step, :, row], count, dropout)
            state.position += count

    def _masks(self, mask: Tensor, count: int, dropout: Dropout) -> None:
        """Those of a step, as the discriminator draws them for its real and generated images (count + B', C, H, W)."""
        place = 0
        for shape in self.shapes:
            drawn = torch.empty(count + self.batch, *shape, dtype=torch.uint8)
            drawn = dropout.draw(drawn.contiguous(memory_format=torch.channels_last)).flatten(1)
            end = place + drawn.shape[1]
            mask[:count, place:end], mask[self.batch :, place:end] = drawn[:count], drawn[count:]
            place = end


class GanProgram(Recorded):
    """Trainings that step together; the networks of all stand side by side.

    Args:
        states: the trainings.
        feed: what their steps read.
        pool: (N, H, W, C) uint8 on the device, all images.
        beta1: of Adam.
    """

    def __init__(self, states: Sequence[State], feed: GanFeed, pool: Tensor, beta1: float) -> None:
        super().__init__(pool.device, feed.span, feed.steps)
        self.states, self.feed, self.pool = states, feed, pool
        self.up = side_by_side([state.generator for state in states]).to(pool.device)
        self.down = side_by_side([state.discriminator for state in states]).to(pool.device)
        self.up_adam = SteadyAdam(list(self.up.parameters()), beta1)
        self.down_adam = SteadyAdam(list(self.down.parameters()), beta1)
        for adam, singles in self._adams():
            _take_averages(adam, singles)
        noise = [state.noise.to(pool.device) for state in states]
        self.shown = torch.cat(noise, dim=1)  # (16, E·100)
        self.losses = torch.zeros(feed.span, len(states), 2, dtype=noise[0].dtype, device=pool.device)

    def _adams(self) -> list[tuple[SteadyAdam, list[Adam]]]:
        return [
            (self.up_adam, [state.generator_adam for state in self.states]),
            (self.down_adam, [state.discriminator_adam for state in self.states]),
        ]

    def state(self) -> list[Tensor]:
        """Weights, moving statistics and averages."""
        averages = [*self.up_adam.first, *self.up_adam.second, *self.down_adam.first, *self.down_adam.second]
        return [*self.up.parameters(), *self.up.buffers(), *self.down.parameters(), *averages]

    def step(self, block: Block) -> None:
        """A step of both networks of every training, from gradients at the same point."""
        index, count = block["index"], len(block["index"])
        scaled = self.pool.index_select(0, index.flatten()).float().sub_(127.5).div_(127.5)
        pixels = scaled.to(self.losses.dtype)
        real = pixels.view(*index.shape, *pixels.shape[1:]).permute(0, 1, 4, 2, 3).flatten(1, 2)
        fake = self.up(block["noise"])
        set_masks(self.down, block["mask"], self.feed.shapes)
        logits = self.down(torch.cat([real, fake])).view(2 * count, -1)
        on_real, on_fake = logits[:count], logits[count:]
        up_loss = _cross_entropy(on_fake, 1.0).mean(dim=0)
        real_loss = (_cross_entropy(on_real, 1.0) * block["weights"]).sum(dim=0)
        down_loss = real_loss + _cross_entropy(on_fake, 0.0).mean(dim=0)
        down = torch.autograd.grad(down_loss.sum(), list(self.down.parameters()), retain_graph=True)
        up = torch.autograd.grad(up_loss.sum(), list(self.up.parameters()))
        self.down_adam.step(down, block["rate"])
        self.up_adam.step(up, block["rate"])
        losses = torch.stack([up_loss.detach(), down_loss.detach()], dim=1)
        self.losses.index_copy_(0, self.now, losses[None])

    def rendered(self) -> NDArray[np.uint8]:
        """(E, 16, H, W, C), as ``render`` makes them."""
        self.up.eval()
        with torch.no_grad():
            images = self.up(self.shown).unflatten(1, (len(self.states), -1))
        self.up.train()
        pixels = images.mul(127.5).add(127.5).round().clamp(0, 255).to(torch.uint8)
        found: NDArray[np.uint8] = pixels.permute(1, 0, 3, 4, 2).contiguous().cpu().numpy()
        return found

    def hand_back(self, steps: int) -> None:
        """Copy networks and optimisers, which have taken so many steps, into the states."""
        give_back(self.up, [state.generator for state in self.states])
        give_back(self.down, [state.discriminator for state in self.states])
        for adam, singles in self._adams():
            _give_averages(adam, singles, steps)


def _cross_entropy(logits: Tensor, target: float) -> Tensor:
    return F.binary_cross_entropy_with_logits(logits, torch.full_like(logits, target), reduction="none")


def _take_averages(adam: SteadyAdam, singles: Sequence[Adam]) -> None:
    """Go on from where each optimiser is."""
    for row, single in enumerate(singles):
        if single.steps:
            known = single.state()
            for name, values in (("exp_avg", adam.first), ("exp_avg_sq", adam.second)):
                for number, (value, alone) in enumerate(zip(values, single.parameters, strict=True)):
                    parts_of(value, alone)[row].copy_(known[f"{number}.{name}"])


def _give_averages(adam: SteadyAdam, singles: Sequence[Adam], steps: int) -> None:
    """Let each optimiser be where all are together."""
    for row, single in enumerate(singles):
        tensors = {"steps": torch.tensor(steps)}
        for name, values in (("exp_avg", adam.first), ("exp_avg_sq", adam.second)):
            for number, (value, alone) in enumerate(zip(values, single.parameters, strict=True)):
                tensors[f"{number}.{name}"] = parts_of(value, alone)[row].to(CPU, copy=True)
        single.restore(tensors)
