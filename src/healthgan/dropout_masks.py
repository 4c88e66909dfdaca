"""Dropout masks as PyTorch draws them on a CPU, the same bits several times as fast.

PyTorch takes two numbers from a Mersenne Twister for each value of a mask, one after the other. What is drawn here comes from
the same generator, in the same order, and leaves it where PyTorch does. Whether that holds for the PyTorch that is installed is
tried once, at the first use; where it does not, PyTorch draws row by row: as good masks, but not those of a training alone.

Matsumoto and Nishimura, ACM Transactions on Modeling and Computer Simulation 8 (1998), MT19937.
"""

import math
from collections.abc import Callable
from functools import cache
from typing import TypeVar, cast

import numba
import numpy as np
import torch
from numpy.typing import NDArray

_WORDS, _OFFSET = 624, 397
_UPPER, _LOWER, _TWIST = np.uint32(0x80000000), np.uint32(0x7FFFFFFF), np.uint32(0x9908B0DF)
_BITS = 53
"""Of a uniform number in double precision, from two words: 21 of the first, 32 of the second."""
_HIGH = np.uint32((1 << (_BITS - 32)) - 1)
_Function = TypeVar("_Function", bound=Callable[..., object])


def _compiled(function: _Function) -> _Function:
    return cast(_Function, numba.njit(nogil=True, cache=True)(function))


def draw_rows(
    generator: torch.Generator, keep: float, rows: NDArray[np.uint8], counts: NDArray[np.int64]
) -> None:
    """Fill the first values of each row with 1 for what stays and 0 for what is zeroed, and the others of it with 0.

    Values are drawn row after row, as ``Dropout.draw`` does it for a tensor that has them in this order in memory.

    Args:
        generator: a CPU generator; it goes on.
        keep: share of ones, in 0…1.
        rows: (R, K), of any strides.
        counts: (R,) values to draw in each row.
    """
    if not like_pytorch():
        _pytorch_rows(generator, keep, rows, counts)
        return
    _our_rows(generator, keep, rows, counts)


@cache
def like_pytorch() -> bool:
    """Whether the installed PyTorch draws masks as this module does."""
    ways = []
    counts = np.array([701, 0, 1999, 1300, 0, 40])
    for way in (_our_rows, _pytorch_rows):
        generator = torch.Generator().manual_seed(5)
        torch.rand(3, generator=generator)  # an odd number of words
        rows = np.full((len(counts), 2000), 7, np.uint8)
        for keep in (0.7, 0.5):
            way(generator, keep, rows, counts)
        left = torch.randn(5, generator=generator).numpy()
        ways.append((rows.tobytes(), left.tobytes(), generator.get_state().numpy().tobytes()))
    return ways[0] == ways[1]


def _pytorch_rows(
    generator: torch.Generator, keep: float, rows: NDArray[np.uint8], counts: NDArray[np.int64]
) -> None:
    for row, count in zip(rows, counts.tolist(), strict=True):
        drawn = torch.empty(count, dtype=torch.uint8).bernoulli_(keep, generator=generator)
        row[:count], row[count:] = drawn.numpy(), 0


def _our_rows(
    generator: torch.Generator, keep: float, rows: NDArray[np.uint8], counts: NDArray[np.int64]
) -> None:
    state = generator.get_state()
    words = state[: 8 * (3 + _WORDS)].numpy().view(np.uint64)  # seed; left, seeded; next; the twister's words
    numbers = words[3:].astype(np.uint32)
    left = words[1:2].view(np.int32)
    threshold = math.ceil(keep * (1 << _BITS))  # a whole number below it is a uniform number below ``keep``
    place = _fill(
        numbers,
        int(words[2]) if left[0] > 1 else _WORDS,
        rows,
        counts,
        np.uint32(min(threshold >> 32, 1 << (_BITS - 32))),
        np.uint32(threshold & 0xFFFFFFFF),
    )
    words[3:] = numbers
    words[2], left[0] = place, _WORDS - place + 1
    generator.set_state(state)


@_compiled
def _fill(
    words: NDArray[np.uint32],
    place: int,
    rows: NDArray[np.uint8],
    counts: NDArray[np.int64],
    high: np.uint32,
    low: np.uint32,
) -> int:
    """Draw all rows from words of which ``place`` have been taken; how many have been taken then."""
    tempered, drawn, ready = np.empty(_WORDS, np.uint32), np.empty(_WORDS // 2, np.uint8), False
    for number in range(len(rows)):
        row, count = rows[number], counts[number]
        row[count:] = 0
        done = 0
        while done < count:
            if not ready:
                _temper(words, tempered)
                ready = True
            if place >= _WORDS - 1:  # a pair that the twist divides, or nothing left
                first, halved = tempered[_WORDS - 1], place == _WORDS - 1
                _twist(words)
                _temper(words, tempered)
                place = 0
                if halved:
                    row[done] = _below(first & _HIGH, tempered[0], high, low)
                    place, done = 1, done + 1
                continue
            pairs = min((_WORDS - place) // 2, count - done)
            close = np.uint32(0)
            for pair in range(pairs):
                value = tempered[place + 2 * pair] & _HIGH
                drawn[pair] = value < high
                close |= np.uint32(value == high)
            if close:  # once in two million values the second word decides
                for pair in range(pairs):
                    both = tempered[place + 2 * pair] & _HIGH, tempered[place + 2 * pair + 1]
                    drawn[pair] = _below(both[0], both[1], high, low)
            row[done : done + pairs] = drawn[:pairs]
            place, done = place + 2 * pairs, done + pairs
    return place


@_compiled
def _temper(words: NDArray[np.uint32], tempered: NDArray[np.uint32]) -> None:
    for place in range(_WORDS):
        word = words[place]
        word ^= word >> np.uint32(11)
        word ^= (word << np.uint32(7)) & np.uint32(0x9D2C5680)
        word ^= (word << np.uint32(15)) & np.uint32(0xEFC60000)
        tempered[place] = word ^ (word >> np.uint32(18))


@_compiled
def _below(value: np.uint32, second: np.uint32, high: np.uint32, low: np.uint32) -> bool:
    return bool(value < high or (value == high and second < low))


@_compiled
def _twist(words: NDArray[np.uint32]) -> None:
    """The next 624 words."""
    for place in range(_WORDS - _OFFSET):
        words[place] = words[place + _OFFSET] ^ _mixed(words[place], words[place + 1])
    for place in range(_WORDS - _OFFSET, _WORDS - 1):
        words[place] = words[place + _OFFSET - _WORDS] ^ _mixed(words[place], words[place + 1])
    words[_WORDS - 1] = words[_OFFSET - 1] ^ _mixed(words[_WORDS - 1], words[0])


@_compiled
def _mixed(first: np.uint32, second: np.uint32) -> np.uint32:
    both = (first & _UPPER) | (second & _LOWER)
    return np.uint32((both >> np.uint32(1)) ^ (np.uint32(0) - (second & np.uint32(1)) & _TWIST))
