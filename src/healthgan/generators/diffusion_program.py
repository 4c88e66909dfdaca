"""Several diffusion generators that step together: what their steps read from chance, and the steps."""

import copy
from collections import deque
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.optim.adam import adam

from healthgan.classifiers.feed import SPAN_BYTES, Block, Blocks
from healthgan.classifiers.recording import Recorded
from healthgan.generators import edm
from healthgan.generators.diffusion import scale, trains_in
from healthgan.generators.diffusion_state import State
from healthgan.generators.fit_diffusion import check_ends, draw_step, rate, share_kept

_SPAN = 50
"""Steps of a block, at most: after each, divergence is looked for and progress told."""
_BETAS = 0.9, 0.99


class DiffusionFeed(Blocks):
    """The blocks of trainings that are as far as one another, from there to the end; a block ends where a check is due.

    In a block of S steps of E trainings are index (S, E, B) int32, label (S, E, B) int64, sigma (S, E, B), noise
    (S, E, B, C, H, W), flip (S, E, B) where images are mirrored, and rate and fresh (S,): that of Adam, and of the
    averaged weights the share that is not kept.

    Args:
        states: the trainings; their generators go on here.
        pools: (N,) for each, where its images lie among all.
        pin: as ``Blocks`` takes it.
    """

    def __init__(self, states: Sequence[State], pools: Sequence[NDArray[np.int64]], *, pin: bool) -> None:
        first = states[0]
        self.settings, self.done = first.settings, first.step
        super().__init__(len(states), self.settings.steps - self.done, pin=pin)
        self.states, self.pools = states, [torch.from_numpy(pool) for pool in pools]
        height, width, channels = first.pool.shape[1:]
        self.shape = channels, height, width
        self.ends = check_ends(self.settings)
        self.span = max(1, min(_SPAN, SPAN_BYTES // self._one()))
        self.marks: deque[list[Tensor]] = deque()

    def _made(self) -> Iterator[Block]:
        for block in super()._made():
            self.marks.append([state.rng.get_state() for state in self.states])
            yield block

    def _counts(self) -> Iterator[int]:
        done = self.done
        while done < self.settings.steps:
            count = min(self.span, min(end for end in self.ends if end > done) - done)
            yield count
            done += count

    def _empty(self, steps: int) -> Block:
        place = steps, self.rows, self.settings.batch
        block = {
            "index": torch.empty(place, dtype=torch.int32, pin_memory=self.pin),
            "label": torch.empty(place, dtype=torch.int64, pin_memory=self.pin),
            "sigma": torch.empty(place, pin_memory=self.pin),
            "noise": torch.empty(*place, *self.shape, pin_memory=self.pin),
            "rate": torch.empty(steps, pin_memory=self.pin),
            "fresh": torch.empty(steps, pin_memory=self.pin),
        }
        return block | (
            {"flip": torch.empty(place, dtype=torch.bool, pin_memory=self.pin)}
            if self.settings.mirror
            else {}
        )

    def _schedule(self, block: Block, start: int) -> None:
        for place in range(len(block["rate"])):
            before = self.done + start + place
            block["rate"][place] = rate(self.settings, before)
            block["fresh"][place] = 1 - share_kept(self.settings, before + 1)

    def _fill(self, block: Block, row: int) -> None:
        for step in range(len(block["rate"])):
            drawn = draw_step(self.states[row])
            block["index"][step, row] = self.pools[row][drawn.chosen].int()
            for name in ("label", "sigma", "noise", "flip"):
                if name in block:
                    block[name][step, row] = getattr(drawn, name)


class DiffusionProgram(Recorded):
    """Trainings that step together, through ``torch.func.vmap``.

    Args:
        states: the trainings.
        feed: what their steps read.
        pool: (N, H, W, C) uint8 on the device, all images.
    """

    def __init__(self, states: Sequence[State], feed: DiffusionFeed, pool: Tensor) -> None:
        super().__init__(pool.device, feed.span, feed.steps)
        self.states, self.feed, self.pool = states, feed, pool
        self.pattern = copy.deepcopy(states[0].network)
        self.pattern.channels_last = False
        self.shapes = {name: value.shape for name, value in self.pattern.named_parameters()}
        self.flat = torch.stack([_packed(state.network) for state in states]).requires_grad_()
        self.averaged = torch.stack([_packed(state.averaged) for state in states])
        self.first, self.second = torch.zeros_like(self.averaged), torch.zeros_like(self.averaged)
        self._take_averages()
        self.steps = torch.tensor(float(feed.done), device=pool.device)
        self.mean = torch.tensor([state.mean for state in states], device=pool.device)
        self.spread = torch.tensor([state.spread for state in states], device=pool.device)
        self.sum = torch.stack([state.sum for state in states])
        self.finite = torch.stack([state.finite for state in states])
        self.kind = trains_in(feed.settings, pool.device)

    def state(self) -> list[Tensor]:
        """Weights, their averages, Adam's averages and count, losses."""
        return [self.flat, self.averaged, self.first, self.second, self.steps, self.sum, self.finite]

    def step(self, block: Block) -> None:
        """A step of every training."""
        clean = self._clean(block)
        named = {
            name: torch.unflatten(value, 1, self.shapes[name])
            for name, value in zip(self.shapes, self._split(self.flat), strict=True)
        }
        given = clean, block["noise"], block["sigma"], block["label"], self.spread
        with torch.autocast(
            self.device.type, self.kind, enabled=self.kind != torch.float32, cache_enabled=False
        ):
            losses = torch.vmap(self._loss)(named, *given)
        (slope,) = torch.autograd.grad(losses.sum(), self.flat)
        with torch.no_grad():
            adam(
                [self.flat],
                [slope],
                [self.first],
                [self.second],
                [],
                [self.steps],
                fused=True,
                capturable=self.device.type == "cuda",
                amsgrad=False,
                beta1=_BETAS[0],
                beta2=_BETAS[1],
                lr=block["rate"],
                weight_decay=0.0,
                eps=1e-8,
                maximize=False,
            )
            self.averaged.lerp_(self.flat, block["fresh"])
            self.sum += losses.detach()
            self.finite += torch.isfinite(self.sum)  # once it is no number, a sum stays none

    def hand_back(self, done: int) -> None:
        """Copy all that has changed in so many steps into the states that have not ended."""
        for row, state in enumerate(self.states):
            if state.stopped:
                continue
            _unpack(state.network, self._split(self.flat.detach()[row : row + 1]))
            _unpack(state.averaged, self._split(self.averaged[row : row + 1]))
            state.sum, state.finite = self.sum[row].clone(), self.finite[row].clone()
            state.step = done
            moments = zip(
                state.adam.parameters,
                self._split(self.first[row : row + 1]),
                self._split(self.second[row : row + 1]),
                strict=True,
            )
            state.adam.restore(
                [
                    {
                        "step": torch.tensor(float(done)),
                        "exp_avg": first.view(value.shape),
                        "exp_avg_sq": second.view(value.shape),
                    }
                    for value, first, second in moments
                ]
            )

    def begin_again(self, row: int) -> None:
        """Add up the losses of a training anew, as a check has read them."""
        self.sum[row].zero_()

    def _loss(
        self,
        named: dict[str, Tensor],
        clean: Tensor,
        noise: Tensor,
        sigma: Tensor,
        label: Tensor,
        spread: Tensor,
    ) -> Tensor:
        def network(x: Tensor, level: Tensor, of: Tensor) -> Tensor:
            found: Tensor = torch.func.functional_call(self.pattern, named, (x, level, of))
            return found

        return edm.loss(network, clean, noise, sigma, label, spread).mean()

    def _clean(self, block: Block) -> Tensor:
        """(E, B, C, H, W) images around zero."""
        index = block["index"]
        scaled = scale(self.pool.index_select(0, index.flatten()), 0.0)
        clean = (
            torch.unflatten(scaled, 0, index.shape) - self.mean.to(scaled.dtype)[:, None, None, None, None]
        )
        if "flip" not in block:
            return clean
        return torch.where(block["flip"][:, :, None, None, None], clean.flip(4), clean)

    def _split(self, flat: Tensor) -> list[Tensor]:
        """(E, n) each."""
        return list(torch.split(flat, [shape.numel() for shape in self.shapes.values()], dim=1))

    def _take_averages(self) -> None:
        """Go on from where each optimiser is."""
        for row, state in enumerate(self.states):
            known = state.adam.state
            if not all(known):
                continue
            for name, flat in (("exp_avg", self.first), ("exp_avg_sq", self.second)):
                flat[row] = torch.cat([moments[name].to(flat.device).flatten() for moments in known])


def _packed(network: nn.Module) -> Tensor:
    """(P,) all parameters."""
    return torch.cat([value.detach().flatten() for value in network.parameters()])


def _unpack(network: nn.Module, parts: Sequence[Tensor]) -> None:
    with torch.no_grad():
        for value, part in zip(network.parameters(), parts, strict=True):
            value.copy_(part.view(value.shape))
