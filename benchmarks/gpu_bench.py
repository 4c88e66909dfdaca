"""What the parts of benchmarks/gpu.py share: how much time is left, phantom images made beside them, and clocks."""

import multiprocessing
import os
import time
from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from healthgan.sources.phantom import Counts, phantom_images

Pixels = NDArray[np.uint8]
PIECE = 100
"""Images of each label that one process makes at a time."""


class EnoughError(Exception):
    """The time is up."""


@dataclass
class Bench:
    """Where and for how long.

    Attributes:
        device: where to compute.
        small: whether this only tries the program itself.
        limit: seconds after the start at which the last part says how far it came.
    """

    device: torch.device
    small: bool
    limit: float
    started: float = field(default_factory=time.perf_counter)

    @property
    def left(self) -> float:
        """Seconds."""
        return self.started + self.limit - time.perf_counter()

    def stop_if_late(self) -> None:
        """Raise ``EnoughError`` where no time is left."""
        if self.left <= 0:
            raise EnoughError

    def seconds(self, work: Callable[[], object]) -> float:
        """That work takes by the clock, until the device is done."""
        self._wait()
        begun = time.perf_counter()
        work()
        self._wait()
        return time.perf_counter() - begun

    def repeated(self, work: Callable[[], object], rounds: int) -> dict[str, Any]:
        """Seconds of so many rounds."""
        return spread([self.seconds(work) for _ in range(rounds)])

    def _wait(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)


def spread(seconds: list[float]) -> dict[str, Any]:
    """Median, range and n."""
    return {
        "seconds": seconds,
        "median": float(np.median(seconds)),
        "range": [min(seconds), max(seconds)],
        "n": len(seconds),
    }


class Phantoms:
    """Phantom images that other processes make meanwhile, as they take long; forked before CUDA is in use.

    Args:
        rare: how many of them.
        normal: likewise.
    """

    def __init__(self, rare: int, normal: int) -> None:
        self.counts = {1: rare, 0: normal}
        pieces = -(-max(self.counts.values()) // PIECE)
        context = multiprocessing.get_context("fork")
        self._pool = ProcessPoolExecutor(min(os.cpu_count() or 1, pieces), context)
        self._made: list[Future[dict[int, Pixels]]] = [
            self._pool.submit(
                _piece,
                seed,
                {label: min(PIECE, count - seed * PIECE) for label, count in self.counts.items()},
            )
            for seed in range(pieces)
        ]

    def taken(self) -> tuple[Pixels, Pixels]:
        """All rare and all normal images; waits for them."""
        pieces = [made.result() for made in self._made]
        self._pool.shutdown()
        rare, normal = (np.concatenate([piece[label] for piece in pieces]) for label in (1, 0))
        return rare, normal


def _piece(seed: int, counts: dict[int, int]) -> dict[int, Pixels]:
    """Images (N, 28, 28, 1) by label, of patients of their own."""
    wanted = {label: max(count, 0) for label, count in counts.items()}
    made = phantom_images(Counts(max(wanted[0], 1), max(wanted[1], 1)), size=28, seed=seed)
    labels = np.asarray(made.labels).ravel() == 1
    return {1: made.pixels[labels][: wanted[1]], 0: made.pixels[~labels][: wanted[0]]}
