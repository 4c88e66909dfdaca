"""The compiled loops of :mod:`healthgan.ssim`, which says what they compute.

For 7×7 windows of a query x and a reference y let A = Σx, B = Σy, V = 49 Σx² − A² (the query's) and
49 Σy² − B² (the reference's), K = 49 Σxy − AB. Then, with c1 = 49² (0.01 R)² and c2 = 49·48 (0.03 R)² for
a data range R, one window's structural similarity is

    S = (2AB + c1) (2K + c2) / ((A² + B² + c1) (Vx + Vy + c2))        (Wang et al. 2004, equation 13)

Per pair only Σxy is new. Thirty-two references lie side by side ("lanes"), so that every inner loop runs
over lanes and becomes SIMD code. The windows go by row, and after each row a query is given up against either
half of the lanes where it can't find its best there any more: S ≤ 1 in the windows to come.

**Error.** Let u = 2⁻²⁴. Whole numbers to 2²⁴ are exact in float32: Σxy ≤ 49·255² < 2²² is, and so is every
sliding sum of products. K ≤ 2²⁸ is not, so B is split as 49 b + r with |r| ≤ 25, and
K = 49 (Σxy − Ab) − Ar, where Σxy − Ab and Ar < 2¹⁹ are exact. 49 (…) is rounded only beyond 2²⁴, where Ar
is less than 2 % of it; hence K is off by 2.1 u of itself at most, with or without fused multiply-add. In
units of u the four factors are off by 2 (2AB + c1), 3.1 (2K + c2, relative to Vx + Vy + c2 ≥ |2K| + c2),
2 and 2, their two products by 1 each. Two windows share a division, which adds 4, and two such quotients
are added in float32, which adds 1; all further sums are float64. Together 16.1 u, and 0.5 u for the
result's own rounding: 16.6 u = 9.9e-7 at worst, at any image size. All lanes do the same arithmetic, so
equal references get equal scores.

**Giving up.** No computed S exceeds 1 by more than 16.1 u < ``ABOVE_ONE``. A mean over n windows, summed in
float64, is off by n 2⁻⁵³ at most, less than ``ROUNDING`` up to n = 9e8. A half is given up only where the sum so
far, and 1 + ``ABOVE_ONE`` for each window to come, stay below (best − ``ROUNDING``) n in all its lanes: what the
whole sum would have given is then below the best too. Equal scores are never given up, so that the lowest
index is found whatever the order.

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

from healthgan._ssim_kernel.row import AREA, BOTH, HALF, LANES, WINDOW, add_row

ABOVE_ONE = 1e-6
"""How far above 1 the computed S of one window can lie."""
ROUNDING = 1e-7
"""How far off a mean of up to 9e8 windows can be through its float64 sum."""

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
def _block_scores(
    y: Bytes, queries: Queries, best: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Mean S of each query against each reference of one block (C, H, W, LANES), unless it can't be the best.

    Args:
        y: the block.
        queries: from :func:`query_terms`.
        best: (G,) what each query has found so far.

    Returns:
        (G, LANES) the means, and (G,) which halves of the lanes hold them (bits 0 and 1); the others hold less than ``best``
        and were given up on the way.
    """
    pixels, windows, constants = queries
    channels, height, width = y.shape[:3]
    rows, columns = windows.shape[1], windows.shape[4]
    count, total = len(constants), channels * rows * columns
    scores = np.zeros((count, LANES))
    sums = np.empty((count, width, LANES), np.float32)
    state = np.empty((4, width, LANES), np.float32)
    terms = np.empty((4, columns, LANES), np.float32)
    rest = np.empty(LANES)
    nothing = np.zeros((width, LANES), np.uint8)
    needed = (best - ROUNDING) * total
    alive = np.empty((count, 2), np.int64)  # query, halves of its lanes
    for g in range(count):
        alive[g] = g, BOTH
    left = count
    for k in range(channels):
        sums[:] = 0
        state[:] = 0
        for i in range(height):
            _reference_row(y[k, i], y[k, i - WINDOW] if i >= WINDOW else nothing, state)
            # While no row leaves, the state's leaving row is zeros, whatever row of x stands beside it.
            old = max(i - WINDOW, 0)
            if i < WINDOW - 1:
                _products(sums, pixels[k, i], pixels[k, old], state)
                continue
            _reference_terms(state, terms)
            row = i - WINDOW + 1
            rest[:] = ((channels - k) * rows - row - 1) * columns * (1 + ABOVE_ONE)
            kept = 0
            for n in range(left):
                g, halves = alive[n]
                halves = add_row(
                    sums[g], pixels[k, i, g], pixels[k, old, g], state, windows[k, row, g], terms, scores[g], rest,
                    halves, constants[g, 0], constants[g, 1], needed[g],
                )  # fmt: skip
                if halves:
                    alive[kept] = g, halves
                    kept += 1
            left = kept
            if left == 0:
                break
        if left == 0:
            break
    whole = np.zeros(count, np.int64)
    for n in range(left):
        whole[alive[n, 0]] = alive[n, 1]
    scores /= total
    return scores, whole


@_compiled
def best_of_blocks(
    blocks: Bytes,
    order: NDArray[np.int64],
    places: NDArray[np.int64],
    names: NDArray[np.int64],
    queries: Queries,
    groups: NDArray[np.int64],
    best: NDArray[np.float64],
    index: NDArray[np.int64],
) -> None:
    """Find the best reference for each query, the lowest of equals, skipping those of the query's own group.

    Args:
        blocks: (blocks, C, H, W, LANES), references beside each other; unused lanes hold anything.
        order: (blocks,) in which to visit them; the sooner the best is met, the more of the rest is given up early.
        places: (M,) position of each reference, M ≤ blocks · LANES.
        names: (M,) group of each reference.
        queries: from :func:`query_terms`.
        groups: (G,) group of each query.
        best: (G,) the best mean S so far, −inf where there is none, changed in place.
        index: (G,) its position, −1 where there is none, changed in place.
    """
    for block in order:
        scores, whole = _block_scores(blocks[block], queries, best)
        first = block * LANES
        for g in range(len(groups)):
            for lane in range(min(LANES, len(places) - first)):
                score, place = scores[g, lane], places[first + lane]
                if not whole[g] >> (lane // HALF) & 1 or names[first + lane] == groups[g]:
                    continue
                if score > best[g] or (score == best[g] and place < index[g]):
                    best[g], index[g] = score, place
