"""Folds that networks go through one after the other, and what their steps read from chance."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray

from healthgan.classifiers.feed import SPAN_BYTES, Block, Blocks
from healthgan.dropout_masks import draw_rows
from healthgan.keras_semantics import Dropout, keras_rates

_SPAN = 1024
"""Steps that are prepared at a time, at most: a second's work or less on a GPU."""


@dataclass(frozen=True)
class Fold:
    """A fold: what a network is trained on in it, and validated on afterwards.

    Attributes:
        training: (N,) positions in the pool of all images.
        labels: (N,) 0 or 1.
        validation: (M,) positions.
    """

    training: NDArray[np.int64]
    labels: NDArray[np.int64]
    validation: NDArray[np.int64]


@dataclass(frozen=True)
class Chain:
    """Folds that one network goes through, with its optimiser's state.

    Attributes:
        folds: in order.
        epochs: of each.
        batch: images a step; the last one of an epoch may have fewer.
        seed: decides its initial values, the batches and the dropout.
    """

    folds: tuple[Fold, ...]
    epochs: int
    batch: int
    seed: int

    @cached_property
    def ends(self) -> NDArray[np.int64]:
        """The number of steps after which each fold ends."""
        return np.cumsum([self.epochs * -(-len(fold.training) // self.batch) for fold in self.folds])

    @property
    def steps(self) -> int:
        """Of all folds together."""
        return int(self.ends[-1])


class Stream:
    """What chance decides for a chain, step after step, as ``fit`` draws it: nothing depends on other chains.

    Args:
        chain: the chain.
        dropout: of its network, which is on the CPU; its generator has given the initial values and gives all else.
    """

    def __init__(self, chain: Chain, dropout: Dropout) -> None:
        self.chain, self.dropout = chain, dropout
        self._epochs = (self._epoch(fold) for fold in chain.folds for _ in range(chain.epochs))
        self._here: Block = {}
        self._sizes: list[int] = []  # images of each batch of the epoch under way
        self._at = 0

    def fill(self, block: Block, row: int) -> None:
        """The chain's row in a block of steps."""
        steps = len(block["index"])
        done = 0
        while done < steps:
            if self._at == len(self._sizes):
                self._here, self._sizes = next(self._epochs)
                self._at = 0
            count = min(steps - done, len(self._sizes) - self._at)
            for name, values in self._here.items():
                block[name][done : done + count, row] = values[self._at : self._at + count]
            masks = block["mask"][done : done + count, row].flatten(1).numpy()
            drawn = np.array(self._sizes[self._at : self._at + count]) * block["mask"].shape[3]
            draw_rows(self.dropout.generator, self.dropout.keep, masks, drawn)
            done, self._at = done + count, self._at + count

    def _epoch(self, fold: Fold) -> tuple[Block, list[int]]:
        """All batches of an epoch, the last one filled up with images that count nothing, and how many count in each."""
        count, batch = len(fold.training), self.chain.batch
        order = torch.randperm(count, generator=self.dropout.generator).numpy()
        steps = -(-count // batch)
        index, targets = np.zeros((2, steps * batch), np.int64)
        index[:count], targets[:count] = fold.training[order], fold.labels[order]
        weights = np.zeros((steps, batch))
        sizes = np.full(steps, batch)
        sizes[-1] = count - (steps - 1) * batch
        weights[np.arange(batch) < sizes[:, np.newaxis]] = np.repeat(1 / sizes, sizes)
        arrays = {"index": index, "targets": targets, "weights": weights}
        return {
            name: torch.from_numpy(values.reshape(steps, batch)) for name, values in arrays.items()
        }, sizes.tolist()


class ChainFeed(Blocks):
    """The blocks of chains that step together, until the first of them is done; a block ends where a fold does.

    In a block of S steps of E chains are index (S, E, B) int32, targets and weights (S, E, B), mask (S, E, B, D)
    uint8 and rate (S,) of Adam.

    Args:
        streams: of the chains, all of which have taken as many steps.
        done: how many.
        learning_rate: of Adam.
        width: of the dropout masks.
        dtype: in which the chains compute.
        pin: as ``Blocks`` takes it.
    """

    def __init__(
        self,
        streams: Sequence[Stream],
        done: int,
        learning_rate: float,
        width: int,
        dtype: torch.dtype,
        *,
        pin: bool,
    ) -> None:
        chains = [stream.chain for stream in streams]
        super().__init__(len(chains), min(chain.steps for chain in chains) - done, pin=pin)
        self.streams, self.done, self.learning_rate = streams, done, learning_rate
        self.batch, self.width, self.dtype = chains[0].batch, width, dtype
        ends = np.unique(np.concatenate([chain.ends for chain in chains])) - done
        self.ends: list[int] = ends[(ends > 0) & (ends <= self.steps)].tolist()
        self.span = max(1, min(_SPAN, self.steps, SPAN_BYTES // self._one()))

    def _counts(self) -> Iterator[int]:
        start = 0
        for end in self.ends:
            while start < end:
                count = min(self.span, end - start)
                yield count
                start += count

    def _empty(self, steps: int) -> Block:
        place = steps, len(self.streams), self.batch
        return {
            "index": torch.empty(place, dtype=torch.int32, pin_memory=self.pin),
            "targets": torch.empty(place, dtype=self.dtype, pin_memory=self.pin),
            "weights": torch.empty(place, dtype=self.dtype, pin_memory=self.pin),
            "mask": torch.empty(*place, self.width, dtype=torch.uint8, pin_memory=self.pin),
            "rate": torch.empty(
                steps, dtype=torch.float32 if self.pin else torch.float64, pin_memory=self.pin
            ),
        }

    def _schedule(self, block: Block, start: int) -> None:
        block["rate"].copy_(keras_rates(self.done + start, len(block["rate"]), self.learning_rate))

    def _fill(self, block: Block, row: int) -> None:
        self.streams[row].fill(block, row)
