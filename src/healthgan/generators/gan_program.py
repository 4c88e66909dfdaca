"""Several DCGANs that step together: what their steps read from chance, and the steps."""

import copy
import math
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from healthgan.classifiers.feed import SPAN_BYTES, Block, Blocks
from healthgan.classifiers.recording import Recorded
from healthgan.dropout_masks import draw_rows
from healthgan.generators.dcgan import LAYERS, Discriminator, Preset
from healthgan.generators.dcgan_state import State, render
from healthgan.keras_semantics import Adam, Dropout, SameConv, SteadyAdam, keras_rates

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


class _Given(nn.Module):
    """Dropout by a mask that is given."""

    mask: Tensor

    def __init__(self, keep: float) -> None:
        super().__init__()
        self.keep = keep

    def forward(self, x: Tensor) -> Tensor:
        """As ``Dropout``, in training."""
        return x * self.mask.to(x.dtype).div_(self.keep)


class _Pair:
    """The networks of one training on the device, and their optimisers."""

    def __init__(self, state: State, beta1: float, device: torch.device) -> None:
        self.up = copy.deepcopy(state.generator).to(device)
        self.down = copy.deepcopy(state.discriminator)
        for place, part in enumerate(self.down.blocks):
            if isinstance(part, Dropout):
                self.down.blocks[place] = _Given(part.keep)
        self.down.to(device)
        self.given = [part for part in self.down.blocks if isinstance(part, _Given)]
        self.adams = [
            _going_on(network, single, beta1)
            for network, single in ((self.up, state.generator_adam), (self.down, state.discriminator_adam))
        ]
        self.noise = state.noise.to(device)  # (16, 100)

    def judge(self, images: Tensor, masks: Sequence[Tensor]) -> tuple[Tensor, list[Tensor]]:
        """Logits (B,) of images, with what is dropped out given for each layer as (B, C, H, W).

        Also the discriminator's weights as these logits know them: PyTorch ties a weight to the stream of its first use.
        """
        for layer, mask in zip(self.given, masks, strict=True):
            layer.mask = mask
        own = {name: value.detach().requires_grad_() for name, value in self.down.named_parameters()}
        logits: Tensor = torch.func.functional_call(self.down, own, (images,))
        return logits, list(own.values())

    def state(self) -> list[Tensor]:
        """Weights, moving statistics and averages."""
        networks = [value for network in (self.up, self.down) for value in _tensors(network)]
        return networks + [value for adam in self.adams for value in (*adam.first, *adam.second)]

    def hand_back(self, state: State, steps: int) -> None:
        """Copy networks and optimisers, which have taken so many steps, into a state."""
        with torch.no_grad():
            for ours, theirs in ((self.up, state.generator), (self.down, state.discriminator)):
                for value, copied in zip(_tensors(ours), _tensors(theirs), strict=True):
                    copied.copy_(value)
        for adam, single in zip(self.adams, (state.generator_adam, state.discriminator_adam), strict=True):
            tensors = {"steps": torch.tensor(steps)}
            for name, values in (("exp_avg", adam.first), ("exp_avg_sq", adam.second)):
                tensors |= {
                    f"{number}.{name}": value.to(CPU, copy=True) for number, value in enumerate(values)
                }
            single.restore(tensors)


class GanProgram(Recorded):
    """Trainings that step together: a CUDA device has each in a stream of its own, in one recording of all.

    A step of one of them is many small kernels, of which several run side by side. (Layers that hold all networks, by
    grouped convolutions, took twice the time of this: docs/performance.md.)

    Args:
        states: the trainings.
        feed: what their steps read.
        pool: (N, H, W, C) uint8 on the device, all images.
        beta1: of Adam.
    """

    def __init__(self, states: Sequence[State], feed: GanFeed, pool: Tensor, beta1: float) -> None:
        super().__init__(pool.device, feed.span, feed.steps)
        self.states, self.feed, self.pool = states, feed, pool
        self.pairs = [_Pair(state, beta1, pool.device) for state in states]
        self.losses = torch.zeros(len(states), feed.span, 2, dtype=feed.dtype, device=pool.device)
        self.streams = [_Streams(pool.device) for _ in states]

    def state(self) -> list[Tensor]:
        """All that changes of all trainings."""
        return [value for pair in self.pairs for value in pair.state()]

    def step(self, block: Block) -> None:
        """A step of both networks of every training, from gradients at the same point."""
        for row, streams in enumerate(self.streams):
            own = {name: value if name == "rate" else value[row] for name, value in block.items()}
            self._step(self.pairs[row], own, self.losses[row], streams)
        for streams in self.streams:
            streams.join()

    def _step(self, pair: _Pair, block: Block, losses: Tensor, streams: "_Streams") -> None:
        """That of one training; what it does with real images does not wait for the generated ones."""
        count = len(block["index"])
        masks = [
            mask.view(-1, height, width, channels).permute(0, 3, 1, 2)
            for mask, (channels, height, width) in zip(
                torch.split(block["mask"], [2 * size for size in self.feed.sizes]),
                self.feed.shapes,
                strict=True,
            )
        ]
        with streams.second():
            scaled = self.pool.index_select(0, block["index"]).float().sub_(127.5).div_(127.5)
            real = scaled.to(losses.dtype).permute(0, 3, 1, 2)  # channels last in memory
            on_real, down = pair.judge(real, [mask[:count] for mask in masks])
            real_loss = (_cross_entropy(on_real, 1.0) * block["weights"]).sum()
            by_real = torch.autograd.grad(real_loss, down)
        with streams.first():
            on_fake, down = pair.judge(pair.up(block["noise"]), [mask[count:] for mask in masks])
            up_loss, fake_loss = (_cross_entropy(on_fake, target).mean() for target in (1.0, 0.0))
            by_fake = torch.autograd.grad(fake_loss, down, retain_graph=True)
            slopes = torch.autograd.grad(up_loss, list(pair.up.parameters()))
            streams.meet()
            pair.adams[1].step(tuple(torch._foreach_add(by_real, by_fake)), block["rate"])
            pair.adams[0].step(slopes, block["rate"])
            both = torch.stack([up_loss.detach(), real_loss.detach() + fake_loss.detach()])
            losses.index_copy_(0, self.now, both[None])

    def rendered(self) -> list[NDArray[np.uint8]]:
        """(16, H, W, C) of each training."""
        return [render(pair.up, pair.noise) for pair in self.pairs]

    def hand_back(self, steps: int) -> None:
        """Copy networks and optimisers, which have taken so many steps, into the states."""
        for pair, state in zip(self.pairs, self.states, strict=True):
            pair.hand_back(state, steps)


class _Streams:
    """Two streams of a CUDA device beside the one in use; elsewhere all is done in turn."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.both: list[torch.cuda.Stream] = []
        if device.type == "cuda":
            self.both = [torch.cuda.Stream(device) for _ in range(2)]  # type: ignore[no-untyped-call] # PyTorch has no type for it

    def first(self) -> AbstractContextManager[object]:
        """What follows goes into the first, behind all that was in use before."""
        return self._begun(0)

    def second(self) -> AbstractContextManager[object]:
        """Likewise, into the second."""
        return self._begun(1)

    def meet(self) -> None:
        """The first goes on when the second is done."""
        if self.both:
            self.both[0].wait_stream(self.both[1])

    def join(self) -> None:
        """The one in use goes on when both are done; what they made may then be given up."""
        for stream in self.both:
            torch.cuda.current_stream(self.device).wait_stream(stream)

    def _begun(self, number: int) -> AbstractContextManager[object]:
        if not self.both:
            return nullcontext()
        self.both[number].wait_stream(torch.cuda.current_stream(self.device))
        return torch.cuda.stream(self.both[number])


def mask_shapes(network: Discriminator, size: int) -> list[tuple[int, int, int]]:
    """(C, H, W) of what is dropped out, layer by layer."""
    shapes, side = [], size
    for part in network.blocks:
        if isinstance(part, SameConv):
            side = -(-side // part.stride[0])
            shapes.append((part.out_channels, side, side))
    return shapes


def _cross_entropy(logits: Tensor, target: float) -> Tensor:
    return F.binary_cross_entropy_with_logits(logits, torch.full_like(logits, target), reduction="none")


def _tensors(network: nn.Module) -> list[Tensor]:
    return [*network.parameters(), *network.buffers()]


def _going_on(network: nn.Module, single: Adam, beta1: float) -> SteadyAdam:
    """An optimiser that goes on from where another one is."""
    adam = SteadyAdam(list(network.parameters()), beta1)
    if single.steps:
        known = single.state()
        for name, values in (("exp_avg", adam.first), ("exp_avg_sq", adam.second)):
            for number, value in enumerate(values):
                value.copy_(known[f"{number}.{name}"])
    return adam
