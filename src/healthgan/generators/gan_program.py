"""The steps of several DCGANs together, each in streams of its own."""

import copy
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from healthgan.classifiers.feed import Block
from healthgan.classifiers.recording import Recorded
from healthgan.generators.dcgan_state import State, render
from healthgan.generators.gan_feed import GanFeed
from healthgan.keras_semantics import Dropout, KerasAdam, SteadyAdam

CPU = torch.device("cpu")


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
    """Trainings that step together: a CUDA device has each in two streams of its own, in one recording of all.

    A step of one of them is many small kernels, of which several run side by side. What layers that hold all networks, by
    grouped convolutions, took stands in docs/performance.md.

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


def _cross_entropy(logits: Tensor, target: float) -> Tensor:
    return F.binary_cross_entropy_with_logits(logits, torch.full_like(logits, target), reduction="none")


def _tensors(network: nn.Module) -> list[Tensor]:
    return [*network.parameters(), *network.buffers()]


def _going_on(network: nn.Module, single: KerasAdam, beta1: float) -> SteadyAdam:
    """An optimiser that goes on from where another one is."""
    adam = SteadyAdam(list(network.parameters()), beta1)
    if single.steps:
        known = single.state()
        for name, values in (("exp_avg", adam.first), ("exp_avg_sq", adam.second)):
            for number, value in enumerate(values):
                value.copy_(known[f"{number}.{name}"])
    return adam
