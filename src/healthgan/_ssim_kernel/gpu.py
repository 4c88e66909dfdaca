"""The search of :mod:`healthgan.ssim` on a GPU, in plain PyTorch.

Terms and notation are those of :mod:`healthgan._ssim_kernel.blocks`. With the windows' rounded means a and b
taken from their pixels, q = A − 49 a and r = B − 49 b, |q|, |r| ≤ 24,

    K = 49 Σ (x − a)(y − b) − q r,

and Σ (x − a)(y − b) of all pairs of one window is a matrix product with 49 terms. Whole rows of windows, blocks of
queries and blocks of references are taken at a time, so that never more than ``ELEMENTS`` windows of pairs are
held, however many images there are.

**Error.** The factors of the matrix product are whole numbers to 255, exact in float32, TF32 and bfloat16 alike,
and its sums are below 2²², exact in float32 in any order: PyTorch's setting for the precision of matrix products
does not matter. In units of u = 2⁻²⁴ the four factors of S are off by 3 (2AB + c1), 4.1 (98 Σ… − 2qr + c2), 2 and
2, their products and quotient by 1 each, four windows added in float32 by 2; all further sums are float64. With
0.5 u for the result's own rounding: 16.6 u = 9.9e-7 at worst. What is done to an element does not depend on its
place, so equal references get equal scores, and the lowest index is looked for.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

ELEMENTS = 1 << 26  # windows of pairs held at a time: about 1 GiB in all
_WINDOW = 7
_AREA = _WINDOW * _WINDOW

Whole = NDArray[np.int64]


@dataclass(frozen=True)
class _Strip:
    """Some rows of windows of a block of images, P windows of n images: all (P, n), pixels (P, n, 49)."""

    pixels: Tensor  # less their window's rounded mean
    total: Tensor  # A
    excess: Tensor  # q
    square: Tensor  # A², float64
    variance: Tensor  # V, float64


def search(
    x: NDArray[np.uint8],
    y: NDArray[np.uint8],
    usable: Whole,
    ranges: NDArray[np.float64],
    x_codes: Whole,
    y_codes: Whole,
    device: str,
) -> Iterator[tuple[Whole, tuple[NDArray[np.float64], Whole]]]:
    """Yield the ``usable`` query positions block by block, with the best value and reference of each.

    Arguments as :func:`healthgan._ssim_kernel.search.search`; ``device`` is one of PyTorch's.
    """
    _, height, width, channels = x.shape
    rows, row = height - _WINDOW + 1, (width - _WINDOW + 1) * channels
    queries_a_block, references_a_block = _sides(len(usable), len(y), ELEMENTS // row)
    rows_a_strip = max(1, min(rows, ELEMENTS // (row * queries_a_block * references_a_block)))
    for start in range(0, len(usable), queries_a_block):
        members = usable[start : start + queries_a_block]
        queries = torch.from_numpy(np.ascontiguousarray(x[members])).to(device)
        spans = torch.from_numpy(ranges[members]).to(device)
        groups = torch.from_numpy(x_codes[members]).to(device)
        best = torch.full((len(members),), -torch.inf, dtype=torch.float64, device=device)
        index = torch.full((len(members),), -1, dtype=torch.int64, device=device)
        for first in range(0, len(y), references_a_block):
            references = torch.from_numpy(np.ascontiguousarray(y[first : first + references_a_block])).to(
                device
            )
            scores = _scores(queries, references, spans, rows_a_strip)
            names = torch.from_numpy(y_codes[first : first + references_a_block]).to(device)
            scores.masked_fill_(groups[:, None] == names, -torch.inf)
            value, place = _first_best(scores)
            better = value > best  # a later reference must be strictly better
            best, index = torch.where(better, value, best), torch.where(better, place + first, index)
        yield members, (best.cpu().numpy(), index.cpu().numpy())


def _sides(queries: int, references: int, pairs: int) -> tuple[int, int]:
    """How many of each a block has: about so many pairs, in nearly equal blocks of references."""
    blocks = max(1, round(references / max(1.0, pairs**0.5)))
    side = max(1, -(-references // blocks))
    return max(1, min(queries, pairs // side)), side


@contextmanager
def _tensor_cores() -> Iterator[None]:
    """TF32 in matrix products, whose factors are exact in it here; as it was, where it was set in a way of its own."""
    matmul = torch.backends.cuda.matmul
    try:
        before = matmul.allow_tf32
    except RuntimeError:  # PyTorch does not let its two ways of setting this be mixed
        yield
        return
    matmul.allow_tf32 = True
    try:
        yield
    finally:
        matmul.allow_tf32 = before


def _first_best(scores: Tensor) -> tuple[Tensor, Tensor]:
    """The highest of each row, and the first place that holds it."""
    value = scores.amax(dim=1)
    places = torch.arange(scores.shape[1], device=scores.device)
    return value, torch.where(scores == value[:, None], places, scores.shape[1]).amin(dim=1)


def _scores(queries: Tensor, references: Tensor, spans: Tensor, rows_a_strip: int) -> Tensor:
    """(n, m) float64 mean S of n queries (n, H, W, C) with m references; ``spans`` (n,) are the data ranges."""
    _, height, width, channels = queries.shape
    rows, columns = height - _WINDOW + 1, width - _WINDOW + 1
    total = torch.zeros((len(queries), len(references)), dtype=torch.float64, device=queries.device)
    c1, c2 = _AREA**2 * (0.01 * spans) ** 2, _AREA * (_AREA - 1) * (0.03 * spans) ** 2
    for low in range(0, rows, rows_a_strip):
        high = min(low + rows_a_strip, rows)
        _add(total, _windows(_strip(queries, low, high), _strip(references, low, high), c1, c2))
    return total / (rows * columns * channels)


def _strip(images: Tensor, low: int, high: int) -> _Strip:
    """The windows of rows ``low`` to ``high``."""
    seen = images[:, low : high + _WINDOW - 1].unfold(1, _WINDOW, 1).unfold(2, _WINDOW, 1)
    count = len(images)
    pixels = (
        seen.permute(1, 2, 3, 0, 4, 5).reshape(-1, count, _AREA).float()
    )  # (n, h, w, C, 7, 7) → (P, n, 49)
    total = pixels.sum(dim=2)
    mean = torch.floor(total / _AREA + 0.5)
    pixels -= mean[..., None]
    excess = total - _AREA * mean
    variance = _AREA * pixels.square().sum(dim=2).double() - excess.double().square()
    return _Strip(pixels, total, excess, total.double().square(), variance)


def _windows(x: _Strip, y: _Strip, c1: Tensor, c2: Tensor) -> Tensor:
    """(P, n, m) float32 S of each window."""
    product = torch.addcmul(c2.float()[:, None], x.excess[:, :, None], y.excess[:, None], value=-2)
    with _tensor_cores():
        product.baddbmm_(x.pixels, y.pixels.transpose(1, 2), alpha=2 * _AREA)
    product *= torch.addcmul(c1.float()[:, None], 2 * x.total[:, :, None], y.total[:, None])
    below = (x.square + c1).float()[:, :, None] + y.square.float()[:, None]
    below *= (x.variance + c2).float()[:, :, None] + y.variance.float()[:, None]
    return product.div_(below)


def _add(total: Tensor, scores: Tensor) -> None:
    """Add all of ``scores`` (P, n, m), which is overwritten, to ``total`` (n, m), in the same order everywhere."""
    for _ in range(2):
        half = len(scores) // 2
        if len(scores) % 2:
            total += scores[-1]
        scores = scores[:half].add_(scores[half : 2 * half])
    for score in scores:
        total += score
