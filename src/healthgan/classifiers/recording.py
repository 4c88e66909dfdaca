"""Steps whose inputs lie where they are throughout, so that a CUDA device records some once and plays them again."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from healthgan.classifiers.feed import Block

GRAPHS = True
"""Whether a CUDA device records steps; benchmarks turn it off."""
MANY = 8
"""Steps of a recording, beside one of a single step for what is left: a start costs as much as several kernels."""
_ALIGNED = 64
"""Bytes at whose multiples the parts of a row begin."""
_WARM = 3
"""Steps that are taken, and taken back, before any is recorded, as PyTorch's notes on CUDA graphs ask for."""


class Recorded(ABC):
    """Trainings that step together through blocks of what chance decided for them.

    Args:
        device: where they are trained.
        span: steps of a block, at most.
        steps: of all blocks together; a few are not worth a recording.
        steady: whether a step is nothing but its kernels.
    """

    def __init__(self, device: torch.device, span: int, steps: int, *, steady: bool = True) -> None:
        self.device, self.span = device, span
        self.now = torch.zeros(1, dtype=torch.int64, device=device)
        self._block: Block = {}
        self._rows = torch.empty(0, dtype=torch.uint8, device=device)
        self._places: dict[str, tuple[slice, torch.dtype, torch.Size]] = {}
        self._records = device.type == "cuda" and GRAPHS and steady and steps > _WARM

    @abstractmethod
    def step(self, block: Block) -> None:
        """Take the step number ``now`` of a block, whose part is given; nothing in it waits for the device."""

    @abstractmethod
    def state(self) -> Sequence[Tensor]:
        """All that a step changes and the next one reads."""

    def taken(self, blocks: Iterable[Block]) -> Iterator[tuple[int, Block]]:
        """Take the steps of all blocks; after each block how many those were, and the block on the device."""
        take: Callable[[int], None] | None = None
        for block in blocks:
            count = self._load(block)
            take = take or self._made()
            take(count)
            yield count, self._block

    def _load(self, block: Block) -> int:
        """Put a block where the steps read it; the first one makes the places. How many steps it has."""
        counts = {len(value) for value in block.values()}
        if not self._block:
            self._lay_out(block)
        for name, value in block.items():
            self._block[name][: len(value)].copy_(value, non_blocking=True)
        self.now.zero_()
        (count,) = counts
        return count

    def _lay_out(self, block: Block) -> None:
        """All that a step reads lies in one row of bytes, which one kernel takes from the others."""
        end = 0
        for name, value in block.items():
            begin, size = -(-end // _ALIGNED) * _ALIGNED, value[0].nbytes
            end = begin + size
            self._places[name] = slice(begin, end), value.dtype, value.shape[1:]
        self._rows = torch.zeros(
            self.span, -(-end // _ALIGNED) * _ALIGNED, dtype=torch.uint8, device=self.device
        )
        self._block = {
            name: self._rows[:, where].view(dtype).view(self.span, *shape)
            for name, (where, dtype, shape) in self._places.items()
        }

    def _once(self) -> None:
        row = self._rows.index_select(0, self.now)[0]
        self.step(
            {name: row[where].view(dtype).view(shape) for name, (where, dtype, shape) in self._places.items()}
        )
        self.now += 1

    def _loop(self, count: int) -> None:
        for _ in range(count):
            self._once()

    def _made(self) -> Callable[[int], None]:
        """What takes so many steps; on a CUDA device by playing what was recorded."""
        if not self._records:
            return self._loop
        before = [tensor.detach().clone() for tensor in self.state()]
        aside = torch.cuda.Stream(self.device)  # type: ignore[no-untyped-call] # PyTorch has no type for it
        aside.wait_stream(torch.cuda.current_stream(self.device))
        with torch.cuda.stream(aside):
            for _ in range(_WARM):
                self._once()
                self.now.zero_()
        torch.cuda.current_stream(self.device).wait_stream(aside)
        many = self._recording(MANY, None)
        one = self._recording(1, many.pool())
        with torch.no_grad():
            for tensor, value in zip(self.state(), before, strict=True):
                tensor.copy_(value)

        def play(count: int) -> None:
            for _ in range(count // MANY):
                many.replay()
            for _ in range(count % MANY):
                one.replay()

        return play

    def _recording(self, count: int, pool: Any) -> torch.cuda.CUDAGraph:  # noqa: ANN401 # PyTorch names its type privately
        graph = torch.cuda.CUDAGraph()
        # Threads that prepare the next block take pinned memory meanwhile, which only this mode allows.
        with torch.cuda.graph(graph, pool=pool, capture_error_mode="thread_local"):
            self._loop(count)
        return graph
