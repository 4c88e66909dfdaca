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
Queries = tuple[Floats, Floats, Floats]
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
def query_terms(queries: Bytes, ranges: NDArray[np.float64]) -> Queries:
    """What :func:`best_of_blocks` needs of a group of queries.

    Args:
        queries: (G, H, W, C).
        ranges: (G,) data ranges R.

    Returns:
        (C, H, G, W) the pixels; (C, h, G, 3, w) A, A² + c1 and V + c2 of each window; (G, 2) c1 and c2.
    """
    count, height, width, channels = queries.shape
    pixels = np.empty((channels, height, count, width), np.float32)
    windows = np.empty((channels, height - WINDOW + 1, count, 3, width - WINDOW + 1), np.float32)
    constants = np.empty((count, 2), np.float32)
    column = np.empty((2, width), np.int64)
    for g in range(count):
        c1 = AREA * AREA * (0.01 * ranges[g]) ** 2
        c2 = AREA * (AREA - 1) * (0.03 * ranges[g]) ** 2
        constants[g, 0] = c1
        constants[g, 1] = c2
        for k in range(channels):
            column[:] = 0
            for i in range(height):
                for j in range(width):
                    new = np.int64(queries[g, i, j, k])
                    old = np.int64(queries[g, i - WINDOW, j, k]) if i >= WINDOW else 0
                    pixels[k, i, g, j] = new
                    column[0, j] += new - old
                    column[1, j] += new * new - old * old
                if i < WINDOW - 1:
                    continue
                row = windows[k, i - WINDOW + 1, g]
                for j in range(row.shape[1]):
                    total = column[0, j : j + WINDOW].sum()
                    row[0, j] = total
                    row[1, j] = total * total + c1
                    row[2, j] = AREA * column[1, j : j + WINDOW].sum() - total * total + c2
    return pixels, windows, constants


@_compiled
def _reference_row(new: Bytes, old: Bytes, state: Floats) -> None:
    """Move the column sums of a block of references down a row.

    Args:
        new: (W, LANES), the row of pixels that enters.
        old: (W, LANES), the row that leaves.
        state: (4, W, LANES): the entering row, the leaving row, Σy and Σy² of each column.
    """
    for j in range(new.shape[0]):
        for lane in range(LANES):
            entering = np.float32(new[j, lane])
            leaving = np.float32(old[j, lane])
            state[0, j, lane] = entering
            state[1, j, lane] = leaving
            state[2, j, lane] += entering - leaving
            state[3, j, lane] += entering * entering - leaving * leaving


@_compiled
def _reference_terms(state: Floats, terms: Floats) -> None:
    """From column sums to B, b, r and V of each window: ``terms`` (4, w, LANES)."""
    total = carray(stack_lanes(), (LANES,))
    total2 = carray(stack_lanes(), (LANES,))
    for lane in range(LANES):
        total[lane] = np.float32(0)
        total2[lane] = np.float32(0)
        for j in range(WINDOW - 1):
            total[lane] += state[2, j, lane]
            total2[lane] += state[3, j, lane]
    for j in range(terms.shape[1]):
        for lane in range(LANES):
            b = total[lane] + state[2, j + 6, lane]
            b2 = total2[lane] + state[3, j + 6, lane]
            total[lane] = b - state[2, j, lane]
            total2[lane] = b2 - state[3, j, lane]
            share = np.floor(b * np.float32(1 / AREA) + np.float32(0.5))
            whole = np.int32(b)
            terms[0, j, lane] = b
            terms[1, j, lane] = share
            terms[2, j, lane] = b - np.float32(AREA) * share
            terms[3, j, lane] = np.int32(AREA * np.int32(b2) - whole * whole)


@_compiled
def _products(sums: Floats, x_new: Floats, x_old: Floats, state: Floats) -> None:
    """Move the column sums of xy (G, W, LANES) down a row; the rows of the queries are (G, W)."""
    for g in range(sums.shape[0]):
        for j in range(sums.shape[1]):
            entering = x_new[g, j]
            leaving = x_old[g, j]
            for lane in range(LANES):
                sums[g, j, lane] += entering * state[0, j, lane] - leaving * state[1, j, lane]


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
    b = terms[0, j, lane]
    k = np.float32(AREA) * (xy - a * terms[1, j, lane]) - a * terms[2, j, lane]
    return (two * a * b + c1) * (two * k + c2), (b * b + mean) * (terms[3, j, lane] + spread)


@_compiled
def _add_row(
    sums: Floats, windows: Floats, constants: Floats, terms: Floats, scores: NDArray[np.float64]
) -> None:
    """Add the S of a row of windows to ``scores`` (G, LANES), four windows at a time.

    Args:
        sums: (G, W, LANES), from :func:`_products`.
        windows: (G, 3, w), the queries' terms.
        constants: (G, 2).
        terms: (4, w, LANES), the references' terms.
        scores: (G, LANES), changed in place.
    """
    xy = carray(stack_lanes(), (LANES,))
    part = carray(stack_lanes(), (LANES,))
    count = terms.shape[1]
    for g in range(len(sums)):
        c1, c2 = constants[g, 0], constants[g, 1]
        for lane in range(LANES):
            xy[lane] = sums[g, 0, lane] + sums[g, 1, lane] + sums[g, 2, lane]
            xy[lane] += sums[g, 3, lane] + sums[g, 4, lane] + sums[g, 5, lane]
        for quarter in range(count // 4):
            j = 4 * quarter
            a0, m0, v0 = windows[g, 0, j], windows[g, 1, j], windows[g, 2, j]
            a1, m1, v1 = windows[g, 0, j + 1], windows[g, 1, j + 1], windows[g, 2, j + 1]
            a2, m2, v2 = windows[g, 0, j + 2], windows[g, 1, j + 2], windows[g, 2, j + 2]
            a3, m3, v3 = windows[g, 0, j + 3], windows[g, 1, j + 3], windows[g, 2, j + 3]
            for lane in range(LANES):
                s0 = xy[lane] + sums[g, j + 6, lane]
                s1 = s0 - sums[g, j, lane] + sums[g, j + 7, lane]
                s2 = s1 - sums[g, j + 1, lane] + sums[g, j + 8, lane]
                s3 = s2 - sums[g, j + 2, lane] + sums[g, j + 9, lane]
                xy[lane] = s3 - sums[g, j + 3, lane]
                n0, d0 = _fraction(s0, a0, m0, v0, terms, j, lane, c1, c2)
                n1, d1 = _fraction(s1, a1, m1, v1, terms, j + 1, lane, c1, c2)
                n2, d2 = _fraction(s2, a2, m2, v2, terms, j + 2, lane, c1, c2)
                n3, d3 = _fraction(s3, a3, m3, v3, terms, j + 3, lane, c1, c2)
                part[lane] = (n0 * d1 + n1 * d0) / (d0 * d1) + (n2 * d3 + n3 * d2) / (d2 * d3)
            for lane in range(scores.shape[1]):  # not LANES: LLVM unrolls that instead of vectorising
                scores[g, lane] += part[lane]
        for j in range(count // 4 * 4, count):
            a0, m0, v0 = windows[g, 0, j], windows[g, 1, j], windows[g, 2, j]
            for lane in range(LANES):
                s0 = xy[lane] + sums[g, j + 6, lane]
                xy[lane] = s0 - sums[g, j, lane]
                n0, d0 = _fraction(s0, a0, m0, v0, terms, j, lane, c1, c2)
                part[lane] = n0 / d0
            for lane in range(scores.shape[1]):
                scores[g, lane] += part[lane]


@_compiled
def _block_scores(y: Bytes, queries: Queries) -> NDArray[np.float64]:
    """Mean S of each query against each reference of one block (C, H, W, LANES): (G, LANES)."""
    pixels, windows, constants = queries
    channels, height, width = y.shape[:3]
    rows, columns = windows.shape[1], windows.shape[4]
    scores = np.zeros((len(constants), LANES))
    sums = np.empty((len(constants), width, LANES), np.float32)
    state = np.empty((4, width, LANES), np.float32)
    terms = np.empty((4, columns, LANES), np.float32)
    nothing = np.zeros((width, LANES), np.uint8)
    for k in range(channels):
        sums[:] = 0
        state[:] = 0
        for i in range(height):
            _reference_row(y[k, i], y[k, i - WINDOW] if i >= WINDOW else nothing, state)
            # While no row leaves, the state's leaving row is zeros, whatever row of x stands beside it.
            _products(sums, pixels[k, i], pixels[k, max(i - WINDOW, 0)], state)
            if i >= WINDOW - 1:
                _reference_terms(state, terms)
                _add_row(sums, windows[k, i - WINDOW + 1], constants, terms, scores)
    scores /= channels * rows * columns
    return scores


@_compiled
def best_of_blocks(
    blocks: Bytes, names: NDArray[np.int64], queries: Queries, groups: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """The best reference for each query, the first of equals, skipping those of the query's own group.

    Args:
        blocks: (blocks, C, H, W, LANES), references beside each other; unused lanes hold anything.
        names: (M,) group of each reference, M ≤ blocks · LANES.
        queries: from :func:`query_terms`.
        groups: (G,) group of each query.

    Returns:
        (G,) the best mean S, −inf where no reference is left, and (G,) its position, −1 there.
    """
    best = np.full(len(groups), -np.inf)
    index = np.full(len(groups), -1, np.int64)
    for block in range(len(blocks)):
        scores = _block_scores(blocks[block], queries)
        first = block * LANES
        for g in range(len(groups)):
            for lane in range(min(LANES, len(names) - first)):
                if scores[g, lane] > best[g] and names[first + lane] != groups[g]:
                    best[g] = scores[g, lane]
                    index[g] = first + lane
    return best, index
