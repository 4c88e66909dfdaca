"""The compiled inner loops of :mod:`healthgan.ssim`, which says what they compute.

Kept apart so that importing ``healthgan.ssim`` does not import Numba.

For 7×7 windows of a query x and a reference y let A = Σx, B = Σy, V = 49 Σx² − A² (the query's) and
49 Σy² − B² (the reference's), K = 49 Σxy − AB. Then, with c1 = 49² (0.01 R)² and c2 = 49·48 (0.03 R)² for
a data range R, one window's structural similarity is

    S = (2AB + c1) (2K + c2) / ((A² + B² + c1) (Vx + Vy + c2))        (Wang et al. 2004, equation 13)

Per pair only Σxy is new. Thirty-two references lie side by side ("lanes"), so that every inner loop runs
over lanes and becomes SIMD code.

**Error.** Let u = 2⁻²⁴. Whole numbers to 2²⁴ are exact in float32: Σxy ≤ 49·255² < 2²² is, and so is every
sliding sum of products. K ≤ 2²⁸ is not, so B is split as 49 b + r with |r| ≤ 25, and
K = 49 (Σxy − Ab) − Ar, where Σxy − Ab and Ar < 2¹⁹ are exact. 49 (…) is rounded only beyond 2²⁴, where Ar
is less than 2 % of it; hence K is off by 2.1 u of itself at most, with or without fused multiply-add. In
units of u the four factors are off by 2 (2AB + c1), 3.1 (2K + c2, relative to Vx + Vy + c2 ≥ |2K| + c2),
2 and 2, their two products by 1 each. Two windows share a division, which adds 4, and two such quotients
are added in float32, which adds 1; all further sums are float64. Together 16.1 u, and 0.5 u for the
result's own rounding: 16.6 u = 9.9e-7 at worst, at any image size. All lanes do the same arithmetic, so
equal references get equal scores.

**Range.** The largest number formed is 2 ((A² + B² + c1) (Vx + Vy + c2))² ≤ 3.04e38 < 3.4e38 for
R ≤ 65535, the smallest (c1 c2)² ≥ 2.5e-25 for R ≥ 0.001; :mod:`healthgan.ssim` allows no others.
"""

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba
import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]  # it has no types
from numba.core import types
from numba.core.typing.templates import Signature, signature
from numba.extending import intrinsic
from numba.np.numpy_support import carray
from numpy.typing import NDArray

LANES = 32
WINDOW = 7
AREA = WINDOW * WINDOW

Floats = NDArray[np.float32]
Bytes = NDArray[np.uint8]
_Function = TypeVar("_Function", bound=Callable[..., object])


def _compiled(function: _Function) -> _Function:
    compiled = numba.njit(nogil=True, cache=True, error_model="numpy", fastmath={"contract"})(function)
    return cast(_Function, compiled)


def _lanes_on_stack(_context: object) -> tuple[Signature, Callable[..., ir.Value]]:
    """A pointer to ``LANES`` uninitialised float32 on the stack.

    LLVM knows that nothing else points there, as it does not of an array; without that it neither keeps
    running sums in registers nor vectorises the loops that update them.
    """

    def generate(_target: object, builder: ir.IRBuilder, _signature: object, _values: object) -> ir.Value:
        array = ir.ArrayType(ir.FloatType(), LANES)
        with builder.goto_entry_block():
            place = builder.alloca(array)
        place.align = 64
        return builder.bitcast(place, ir.FloatType().as_pointer())

    return signature(types.CPointer(types.float32)), generate  # type: ignore[no-untyped-call]  # Numba's


stack_lanes: Any = intrinsic(_lanes_on_stack)


@_compiled
def query_terms(
    queries: Bytes, ranges: NDArray[np.float64], x: Floats, sums: Floats, means: Floats, spreads: Floats
) -> None:
    """Fill in what a window needs of each query, for :func:`best_of_blocks`.

    Args:
        queries: (G, H, W, C).
        ranges: (G,) data ranges R.
        x: (G, C, H, W), the pixels.
        sums: (G, C, h, w), A of each window.
        means: (G, C, h, w), A² + c1.
        spreads: (G, C, h, w), V + c2.
    """
    count, height, width, channels = queries.shape
    for g in range(count):
        c1 = AREA * AREA * (0.01 * ranges[g]) ** 2
        c2 = AREA * (AREA - 1) * (0.03 * ranges[g]) ** 2
        for k in range(channels):
            column = np.zeros(width, np.int64)
            column2 = np.zeros(width, np.int64)
            for i in range(height):
                for j in range(width):
                    new = np.int64(queries[g, i, j, k])
                    old = np.int64(queries[g, i - WINDOW, j, k]) if i >= WINDOW else 0
                    x[g, k, i, j] = new
                    column[j] += new - old
                    column2[j] += new * new - old * old
                if i < WINDOW - 1:
                    continue
                total = np.int64(0)
                total2 = np.int64(0)
                for j in range(width):
                    total += column[j]
                    total2 += column2[j]
                    if j >= WINDOW:
                        total -= column[j - WINDOW]
                        total2 -= column2[j - WINDOW]
                    if j >= WINDOW - 1:
                        at = (g, k, i - WINDOW + 1, j - WINDOW + 1)
                        sums[at] = total
                        means[at] = total * total + c1
                        spreads[at] = AREA * total2 - total * total + c2


@_compiled
def _reference_row(
    y: Bytes, i: int, new: Floats, old: Floats, column: NDArray[np.int32], column2: NDArray[np.int32]
) -> None:
    """Take row ``i`` of a plane of references (H, W, LANES) into the column sums, row ``i − 7`` out."""
    for j in range(y.shape[1]):
        for lane in range(LANES):
            value = np.int32(y[i, j, lane])
            new[j, lane] = value
            column[j, lane] += value
            column2[j, lane] += value * value
        if i >= WINDOW:
            for lane in range(LANES):
                value = np.int32(y[i - WINDOW, j, lane])
                old[j, lane] = value
                column[j, lane] -= value
                column2[j, lane] -= value * value


@_compiled
def _reference_terms(column: NDArray[np.int32], column2: NDArray[np.int32], terms: Floats) -> None:
    """From column sums (W, LANES) to B, b, r and V of each window: ``terms`` (w, 4, LANES)."""
    for j in range(terms.shape[0]):
        for lane in range(LANES):
            total = np.int32(0)
            total2 = np.int32(0)
            for step in range(WINDOW):
                total += column[j + step, lane]
                total2 += column2[j + step, lane]
            share = (total + AREA // 2) // AREA
            terms[j, 0, lane] = total
            terms[j, 1, lane] = share
            terms[j, 2, lane] = total - AREA * share
            terms[j, 3, lane] = AREA * total2 - total * total


@_compiled
def _products(sums: Floats, x_new: Floats, x_old: Floats, y_new: Floats, y_old: Floats) -> None:
    """Move one query's column sums of xy (W, LANES) down a row."""
    for j in range(sums.shape[0]):
        entering = x_new[j]
        leaving = x_old[j]
        for lane in range(LANES):
            sums[j, lane] += entering * y_new[j, lane] - leaving * y_old[j, lane]


@_compiled
def _fraction(
    xy: np.float32,
    a: np.float32,
    mean: np.float32,
    spread: np.float32,
    terms: Floats,
    j: int,
    lane: int,
    c1: np.float32,
    c2: np.float32,
) -> tuple[np.float32, np.float32]:
    """Numerator and denominator of S in one window."""
    two = np.float32(2)
    b = terms[j, 0, lane]
    k = np.float32(AREA) * (xy - a * terms[j, 1, lane]) - a * terms[j, 2, lane]
    return (two * a * b + c1) * (two * k + c2), (b * b + mean) * (terms[j, 3, lane] + spread)


@_compiled
def _window_row(
    column: Floats,
    sums: Floats,
    means: Floats,
    spreads: Floats,
    terms: Floats,
    c1: np.float32,
    c2: np.float32,
    score: NDArray[np.float64],
) -> None:
    """Add the S of a row of windows to each lane's ``score`` (LANES,), four windows at a time."""
    xy = carray(stack_lanes(), (LANES,))
    part = carray(stack_lanes(), (LANES,))
    for lane in range(LANES):
        xy[lane] = column[0, lane] + column[1, lane] + column[2, lane]
        xy[lane] += column[3, lane] + column[4, lane] + column[5, lane]
    windows = terms.shape[0]
    for quarter in range(windows // 4):
        j = 4 * quarter
        a0, a1, a2, a3 = sums[j], sums[j + 1], sums[j + 2], sums[j + 3]
        m0, m1, m2, m3 = means[j], means[j + 1], means[j + 2], means[j + 3]
        v0, v1, v2, v3 = spreads[j], spreads[j + 1], spreads[j + 2], spreads[j + 3]
        for lane in range(LANES):
            s0 = xy[lane] + column[j + 6, lane]
            s1 = s0 - column[j, lane] + column[j + 7, lane]
            s2 = s1 - column[j + 1, lane] + column[j + 8, lane]
            s3 = s2 - column[j + 2, lane] + column[j + 9, lane]
            xy[lane] = s3 - column[j + 3, lane]
            n0, d0 = _fraction(s0, a0, m0, v0, terms, j, lane, c1, c2)
            n1, d1 = _fraction(s1, a1, m1, v1, terms, j + 1, lane, c1, c2)
            n2, d2 = _fraction(s2, a2, m2, v2, terms, j + 2, lane, c1, c2)
            n3, d3 = _fraction(s3, a3, m3, v3, terms, j + 3, lane, c1, c2)
            part[lane] = (n0 * d1 + n1 * d0) / (d0 * d1) + (n2 * d3 + n3 * d2) / (d2 * d3)
        for lane in range(LANES):
            score[lane] += part[lane]
    for j in range(windows // 4 * 4, windows):
        a0, m0, v0 = sums[j], means[j], spreads[j]
        for lane in range(LANES):
            s0 = xy[lane] + column[j + 6, lane]
            xy[lane] = s0 - column[j, lane]
            n0, d0 = _fraction(s0, a0, m0, v0, terms, j, lane, c1, c2)
            part[lane] = n0 / d0
        for lane in range(LANES):
            score[lane] += part[lane]


@_compiled
def _block_scores(
    y: Bytes, ranges: NDArray[np.float64], x: Floats, sums: Floats, means: Floats, spreads: Floats
) -> NDArray[np.float64]:
    """Mean S of each query against each reference of one block (C, H, W, LANES): (G, LANES)."""
    channels, height, width = y.shape[:3]
    rows, windows = sums.shape[2:]
    scores = np.zeros((len(x), LANES))
    terms = np.empty((windows, 4, LANES), np.float32)
    for k in range(channels):
        products = np.zeros((len(x), width, LANES), np.float32)
        column = np.zeros((width, LANES), np.int32)
        column2 = np.zeros((width, LANES), np.int32)
        new = np.empty((width, LANES), np.float32)
        old = np.zeros((width, LANES), np.float32)
        for i in range(height):
            _reference_row(y[k], i, new, old, column, column2)
            top = i - WINDOW + 1
            if top >= 0:
                _reference_terms(column, column2, terms)
            for g in range(len(x)):
                # Before the first full window "old" is all zeros, whatever row of x stands beside it.
                _products(products[g], x[g, k, i], x[g, k, max(i - WINDOW, 0)], new, old)
                if top >= 0:
                    c1 = np.float32(AREA * AREA * (0.01 * ranges[g]) ** 2)
                    c2 = np.float32(AREA * (AREA - 1) * (0.03 * ranges[g]) ** 2)
                    at = (g, k, top)
                    _window_row(products[g], sums[at], means[at], spreads[at], terms, c1, c2, scores[g])
    scores /= channels * rows * windows
    return scores


@_compiled
def best_of_blocks(
    blocks: Bytes,
    names: NDArray[np.int64],
    ranges: NDArray[np.float64],
    x: Floats,
    sums: Floats,
    means: Floats,
    spreads: Floats,
    groups: NDArray[np.int64],
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """The best reference for each query, the first of equals, skipping those of the query's own group.

    Args:
        blocks: (blocks, C, H, W, LANES), references beside each other; unused lanes hold anything.
        names: (M,) group of each reference, M ≤ blocks · LANES.
        ranges: (G,) data ranges.
        x: as filled in by :func:`query_terms`, like ``sums``, ``means`` and ``spreads``.
        sums: see there.
        means: see there.
        spreads: see there.
        groups: (G,) group of each query.

    Returns:
        (G,) the best mean S, −inf where no reference is left, and (G,) its position, −1 there.
    """
    best = np.full(len(x), -np.inf)
    index = np.full(len(x), -1, np.int64)
    for block in range(len(blocks)):
        scores = _block_scores(blocks[block], ranges, x, sums, means, spreads)
        first = block * LANES
        for g in range(len(x)):
            for lane in range(min(LANES, len(names) - first)):
                if scores[g, lane] > best[g] and names[first + lane] != groups[g]:
                    best[g] = scores[g, lane]
                    index[g] = first + lane
    return best, index
