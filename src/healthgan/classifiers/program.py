"""The steps of many trainings of one phase as one program."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from healthgan.classifiers.augment import Strengths, mirrored, moves, relights, relit, resampled, strengths_of
from healthgan.classifiers.feed import BETA1, BETA2, Block, Feed, Lane
from healthgan.classifiers.recipes import Augmentation
from healthgan.classifiers.recording import Recorded
from healthgan.classifiers.stacks import Stack

_EPSILON = 1e-8
"""PyTorch's default for Adam."""

_Change = Callable[[Tensor, Tensor, Strengths], Tensor]


class Program(Recorded):
    """E trainings in one phase; ``run`` takes all steps.

    Args:
        stack: the networks; its ``flat`` is moved.
        feed: what the steps read.
        pool: (N, H, W, C) uint8 on the stack's device, all images.
    """

    def __init__(self, stack: Stack, feed: Feed, pool: Tensor) -> None:
        device, dtype = stack.flat.device, stack.flat.dtype
        super().__init__(device, feed.span, feed.steps, steady=stack.steady)
        lanes = feed.lanes
        self.stack, self.feed, self.pool = stack, feed, pool
        self.flat = stack.flat.detach().requires_grad_()
        self.first, self.second = torch.zeros_like(stack.flat), torch.zeros_like(stack.flat)
        self.epsilon = torch.tensor(_EPSILON, dtype=dtype, device=device)
        self.losses = torch.zeros(feed.span, len(lanes), dtype=dtype, device=device)
        ratio = [lane.phase.class_weights[1] / lane.phase.class_weights[0] for lane in lanes]
        self.ratio = torch.tensor(ratio, device=device).to(dtype)[:, None, None]
        align = [lane.phase.align_weight for lane in lanes]
        self.align = torch.tensor(align, device=device) if any(align) else None
        self.changes = _changes(lanes, feed.batch, device, dtype)

    def run(self, told: Callable[[int], None]) -> NDArray[np.int64]:
        """Take all steps.

        Args:
            told: called with the number of steps done after every block.

        Returns:
            (E,) the step by which a training diverged: its loss was no number, as the single form looks for it. 0: it
            did not. −1: weights are no numbers after the last step.
        """
        found = np.zeros(len(self.feed.lanes), np.int64)
        done = 0
        for count, _ in self.taken(self.feed.blocks()):
            losses = self.losses[:count].cpu().numpy()
            for start in range(0, count, self.feed.chunk):
                some = losses[start : start + self.feed.chunk]
                end = done + start + len(some)
                found = np.where((found == 0) & ~np.isfinite(some.sum(axis=0)), end, found)
            done += count
            told(done)
        finite = self.flat.detach().isfinite().all(dim=1).cpu().numpy()
        return np.where((found == 0) & ~finite, -1, found)

    def state(self) -> list[Tensor]:
        """Weights and both averages of Adam."""
        return [self.flat, self.first, self.second]

    def step(self, block: Block) -> None:
        """One step of every training."""
        loss = self._loss(block)
        (slope,) = torch.autograd.grad(loss.sum(), self.flat)
        with torch.no_grad():
            self._adam(slope, block["rates"], block["root"])
            self.losses.index_copy_(0, self.now, loss.detach()[None])

    def _loss(self, block: Block) -> Tensor:
        """(E,) each training's own."""
        labelled = self.feed.labelled
        features, logits = self.stack.both(self.flat, self._images(block), block.get("mask"))
        loss = F.binary_cross_entropy_with_logits(
            logits[:, :labelled],
            block["targets"],
            block["weights"],
            reduction="none",
            pos_weight=self.ratio,
        ).sum(dim=(1, 2))
        if self.align is None:
            return loss
        distance = _covariance(features[:, :labelled]) - _covariance(features[:, labelled:])
        return loss + self.align * distance.square().sum(dim=(1, 2)) / (4 * features.shape[2] ** 2)

    def _images(self, block: Block) -> Tensor:
        """(E, B, H, W, C) in 0…1, altered and mixed."""
        index = block["index"]
        x = self.pool.index_select(0, index.flatten()).to(self.flat.dtype).div_(255)
        x = x.view(*index.shape, *self.pool.shape[1:])
        for models, strengths, change in self.changes:
            some, drawn = x.index_select(0, models), block["alter"].index_select(0, models).to(x.dtype)
            images = change(some.flatten(0, 1).permute(0, 3, 1, 2), drawn.flatten(0, 1), strengths)
            x.index_copy_(0, models, images.permute(0, 2, 3, 1).reshape(some.shape))
        if "other" in block:
            own = x[:, : self.feed.labelled]
            partner = x.flatten(0, 1).index_select(0, block["other"].flatten()).view(own.shape)
            mixed = partner.lerp_(own, block["share"].to(x.dtype)[:, :, None, None, None])
            x = torch.cat([mixed, x[:, self.feed.labelled :]], dim=1)
        return x

    def _adam(self, slope: Tensor, rates: Tensor, root: Tensor) -> None:
        """Adam (Kingma and Ba, ICLR 2015, algorithm 1), in PyTorch's order, a rate a training."""
        self.first.lerp_(slope, 1 - BETA1)
        self.second.mul_(BETA2).addcmul_(slope, slope, value=1 - BETA2)
        below = torch.addcmul(self.epsilon, self.second.sqrt(), root)
        self.flat.addcdiv_(self.first * rates[:, None], below)


def _covariance(features: Tensor) -> Tensor:
    """(E, B, D) → (E, D, D), as ``torch.cov``."""
    centred = features - features.mean(dim=1, keepdim=True)
    return torch.bmm(centred.mT, centred) / (features.shape[1] - 1)


def _changes(
    lanes: Sequence[Lane], batch: int, device: torch.device, dtype: torch.dtype
) -> list[tuple[Tensor, Strengths, _Change]]:
    """What is done to which trainings' images, in order; a training that is not altered stands nowhere."""
    kinds: list[tuple[Callable[[Augmentation], bool], _Change]] = [
        (moves, resampled),
        (lambda strengths: strengths.mirror and not moves(strengths), mirrored),
        (relights, relit),
    ]
    found = []
    for wanted, change in kinds:
        models = [row for row, lane in enumerate(lanes) if wanted(lane.phase.augmentation)]
        if models:
            each = [strengths_of(lanes[row].phase.augmentation) for row in models]
            found.append(
                (torch.tensor(models, device=device), _side_by_side(each, batch, device, dtype), change)
            )
    return found


def _side_by_side(
    each: Sequence[Strengths], batch: int, device: torch.device, dtype: torch.dtype
) -> Strengths:
    """The strengths of every image, where each of some trainings has ``batch`` of them."""

    def column(name: str, kind: torch.dtype) -> Tensor:
        values = torch.tensor([getattr(strengths, name) for strengths in each], dtype=kind, device=device)
        return values.repeat_interleave(batch)

    floats = ("turn", "shift", "scale", "brightness", "contrast")
    return Strengths(mirror=column("mirror", torch.bool), **{name: column(name, dtype) for name in floats})
