"""What many trainings read from chance, prepared on the CPU some hundred steps at a time, beside the device's work."""

import os
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from healthgan.classifiers.augment import DRAWS
from healthgan.classifiers.draws import Drawn, batch_images, chunk_steps, draw, loss_weights
from healthgan.classifiers.recipes import Phase
from healthgan.classifiers.train import blend, rate
from healthgan.dropout_masks import draw_rows
from healthgan.keras_semantics import Dropout

BETA1, BETA2 = 0.9, 0.999
"""Adam's, as PyTorch has them."""
_THREADS = 8
"""That draw; most of a draw happens outside Python's lock."""
_SPAN = 256
"""Steps that are prepared at a time, at most."""
SPAN_BYTES = 1 << 26
"""Of what is prepared at a time, about."""

Block = dict[str, Tensor]
"""What some steps of trainings need, by name: all of it has the steps first."""


class Blocks(ABC):
    """What the steps of some trainings read from chance, in blocks; one is made while another is in use.

    Args:
        rows: how many trainings.
        steps: of each.
        pin: whether blocks go to a CUDA device, which takes them faster from memory that stays where it is.
    """

    span: int
    """Steps of a block, at most."""

    def __init__(self, rows: int, steps: int, *, pin: bool) -> None:
        self.rows, self.steps, self.pin = rows, steps, pin

    def blocks(self) -> Iterator[Block]:
        """All blocks, in order."""
        made = self._made()
        with ThreadPoolExecutor(1) as thread:
            coming = thread.submit(next, made, None)
            while (block := coming.result()) is not None:
                coming = thread.submit(next, made, None)
                yield block

    @property
    def bytes(self) -> int:
        """That blocks take on the device and beside it."""
        return 2 * self.span * self._one()

    def _one(self) -> int:
        """Bytes of a step."""
        return sum(tensor.nbytes for tensor in self._empty(1).values())

    def _made(self) -> Iterator[Block]:
        with ThreadPoolExecutor(min(_THREADS, os.cpu_count() or 1)) as threads:
            start = 0
            for count in self._counts():
                block = self._empty(count)
                self._schedule(block, start)
                for _ in threads.map(partial(self._fill, block), range(self.rows)):
                    pass  # an error in a thread is raised here
                start += count
                yield block

    def _counts(self) -> Iterator[int]:
        """Steps of each block: as many as there can be, and at last what is left."""
        for start in range(0, self.steps, self.span):
            yield min(self.span, self.steps - start)

    @abstractmethod
    def _empty(self, steps: int) -> Block:
        """A block of so many steps, in memory that stays where it is if ``pin`` says so."""

    @abstractmethod
    def _schedule(self, block: Block, start: int) -> None:
        """What no chance decides; the block begins with step ``start``."""

    @abstractmethod
    def _fill(self, block: Block, row: int) -> None:
        """What chance decides for a training, called once for each block in order."""


@dataclass(frozen=True)
class Lane:
    """One training in its phase.

    Attributes:
        phase: the phase.
        number: of the phase, from 0.
        seed: of its recipe.
        positions: (N,) where the images of its pool lie among those of all trainings.
        dropout: that of its network, whose generator gives the masks.
    """

    phase: Phase
    number: int
    seed: int
    positions: NDArray[np.int64]
    dropout: Dropout | None


class Feed(Blocks):
    """The blocks of a phase, for lanes whose phases have equal steps and shapes.

    In a block of S steps of E trainings are index (S, E, B) int32, targets and weights (S, E, b, K), rates (S, E) and
    root (S,) of Adam; if any training wants it, alter (S, E, B, 7), other (S, E, b) int32, share (S, E, b) and
    mask (S, E, B, D) uint8.

    Args:
        lanes: the trainings.
        values: of an image.
        width: of the dropout masks; 0 for none.
        dtype: in which the trainings compute.
        pin: as ``Blocks`` takes it.
    """

    def __init__(
        self, lanes: Sequence[Lane], values: int, width: int, dtype: torch.dtype, *, pin: bool
    ) -> None:
        phase = lanes[0].phase
        super().__init__(len(lanes), phase.steps, pin=pin)
        self.lanes, self.width, self.dtype = lanes, width, dtype
        self.batch, self.labelled = batch_images(phase), phase.labelled
        self.outputs, self.chunk = phase.targets.shape[1], chunk_steps(phase, values)
        self.alters = any(not lane.phase.augmentation.none for lane in lanes)
        self.mixes = any(lane.phase.mixup > 0 for lane in lanes)
        most = min(_SPAN, self.steps, SPAN_BYTES // self._one())
        self.span = self.chunk * max(1, most // self.chunk)
        self._streams: list[Iterator[Drawn]] = []

    def blocks(self) -> Iterator[Block]:
        """All blocks of ``span`` steps, the last one with as many as are left."""
        self._streams = [draw(lane.phase, lane.number, lane.seed, self.chunk) for lane in self.lanes]
        return super().blocks()

    def _empty(self, steps: int) -> Block:
        place = steps, len(self.lanes)
        shape = *place, self.labelled, self.outputs
        block = {
            "index": torch.empty(*place, self.batch, dtype=torch.int32, pin_memory=self.pin),
            "targets": torch.empty(*shape, dtype=self.dtype, pin_memory=self.pin),
            "weights": torch.empty(*shape, dtype=self.dtype, pin_memory=self.pin),
            "rates": torch.empty(place, dtype=self.dtype, pin_memory=self.pin),
            "root": torch.empty(steps, dtype=self.dtype, pin_memory=self.pin),
        }
        if self.alters:
            block["alter"] = torch.zeros(*place, self.batch, DRAWS, pin_memory=self.pin)
        if self.mixes:
            rows = torch.arange(len(self.lanes), dtype=torch.int32)[:, None] * self.batch
            itself = rows + torch.arange(self.labelled, dtype=torch.int32)
            other = torch.empty(*place, self.labelled, dtype=torch.int32, pin_memory=self.pin)
            block["other"] = other.copy_(itself)
            block["share"] = torch.ones(*place, self.labelled, pin_memory=self.pin)
        if self.width:
            block["mask"] = torch.empty(
                *place, self.batch, self.width, dtype=torch.uint8, pin_memory=self.pin
            )
        return block

    def _schedule(self, block: Block, start: int) -> None:
        """Adam's factors, with its corrections for averages that begin at zero (Kingma and Ba, 2015, algorithm 1)."""
        steps = range(start, start + len(block["root"]))
        rates = [rate(step, self.steps) / (1 - BETA1 ** (step + 1)) for step in steps]
        highest = torch.tensor([lane.phase.learning_rate for lane in self.lanes], dtype=torch.float64)
        block["rates"].copy_(-torch.tensor(rates, dtype=torch.float64)[:, None] * highest)
        block["root"].copy_(
            torch.tensor([(1 - BETA2 ** (step + 1)) ** -0.5 for step in steps], dtype=torch.float64)
        )

    def _fill(self, block: Block, row: int) -> None:
        """The row of one training in a block."""
        lane = self.lanes[row]
        for place in range(0, len(block["root"]), self.chunk):
            self._put(block, place, row, lane, next(self._streams[row]))
        if self.width and lane.dropout is not None:
            masks = block["mask"][:, row].flatten(1).numpy()
            whole = np.full(len(masks), masks.shape[1])
            draw_rows(lane.dropout.generator, lane.dropout.keep, masks, whole)

    def _put(self, block: Block, place: int, row: int, lane: Lane, drawn: Drawn) -> None:
        here = slice(place, place + len(drawn.index)), row
        block["index"][here] = torch.from_numpy(lane.positions[drawn.index])
        targets = drawn.targets.to(self.dtype)
        if drawn.pairs is not None:
            other, share = drawn.pairs
            targets = blend(targets, other, share)
            block["other"][here] = (other + row * self.batch).int()
            block["share"][here] = share
        if drawn.alter is not None:
            block["alter"][here] = drawn.alter
        block["weights"][here] = loss_weights(targets, lane.phase.class_weights[0])
        block["targets"][here] = targets.nan_to_num(0.0)
