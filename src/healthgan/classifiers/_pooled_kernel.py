"""The compiled loops of :mod:`healthgan.classifiers.pooled`, which says what they compute.

Images and what a layer gives are (B, H, W, channels) with the channels last. Sixteen output channels are one LLVM
vector, which LLVM turns into whatever the processor has. The four places of a pooling window are computed together,
so that each weight is loaded once for all four and only the largest of them is ever written. On the way back only
that place has a gradient, and none where the ReLU cut it off: of the products that a convolution's two gradients
cost, at most a quarter is left.

Whatever the vectors' width, every number is summed in the same order, so the bits do not depend on it.
"""

from collections.abc import Callable
from typing import TypeVar, cast

import numba
import numpy as np
from numpy.typing import NDArray

from healthgan.classifiers._pooled_vectors import (
    CUT_OFF,
    LANES,
    SIDE,
    add_share,
    add_sum,
    largest_of_window,
)

Floats = NDArray[np.float32]
Bytes = NDArray[np.uint8]
_Function = TypeVar("_Function", bound=Callable[..., object])


def _compiled(function: _Function) -> _Function:
    compiled = numba.njit(nogil=True, cache=True, error_model="numpy")(function)
    return cast(_Function, compiled)


@_compiled
def forward(x: Floats, weights: Floats, bias: Floats, out: Floats, largest: Bytes) -> None:
    """Convolution, pooling and ReLU.

    Args:
        x: (B, H, W, I).
        weights: (3, 3, I, O).
        bias: (O,).
        out: (B, P, Q, O), written; O is a multiple of ``LANES``.
        largest: (B, P, Q, O), written: which of its window's four values each is, 0 to 3, or ``CUT_OFF``.
    """
    height, width, channels = x.shape[1:]
    count, rows, columns, outputs = out.shape
    line = width * channels
    for image in range(count):
        for p in range(rows):
            for q in range(columns):
                corner = (image * height + 2 * p) * line + 2 * q * channels
                to = ((image * rows + p) * columns + q) * outputs
                for lane in range(0, outputs, LANES):
                    largest_of_window(
                        x, weights, bias, out, largest, corner, lane, to + lane, line, channels, outputs
                    )


@_compiled
def backward_first(x: Floats, slope: Floats, largest: Bytes, to_weights: Floats, to_bias: Floats) -> None:
    """Gradients of ``forward`` for few channels in and nobody who asks for those of the images.

    Args:
        x: (B, H, W, I).
        slope: (B, P, Q, O), the gradient of what ``forward`` gave.
        largest: (B, P, Q, O), as ``forward`` wrote it.
        to_weights: (3, 3, I, O), added to.
        to_bias: (O,), added to.
    """
    height, width, channels = x.shape[1:]
    count, rows, columns, outputs = slope.shape
    line = width * channels
    for image in range(count):
        for p in range(rows):
            for q in range(columns):
                corner = (image * height + 2 * p) * line + 2 * q * channels
                at = ((image * rows + p) * columns + q) * outputs
                for lane in range(0, outputs, LANES):
                    add_share(
                        x,
                        slope,
                        largest,
                        to_weights,
                        to_bias,
                        corner,
                        at + lane,
                        lane,
                        line,
                        channels,
                        outputs,
                    )


@_compiled
def backward(
    x: Floats,
    weights: Floats,
    slope: Floats,
    largest: Bytes,
    to_weights: Floats,
    to_bias: Floats,
    to_x: Floats,
) -> None:
    """Gradients of ``forward`` for I a multiple of ``LANES``.

    Args:
        x: (B, H, W, I).
        weights: (O, 3, 3, I).
        slope: (B, P, Q, O), the gradient of what ``forward`` gave.
        largest: (B, P, Q, O), as ``forward`` wrote it.
        to_weights: (O, 3, 3, I), added to.
        to_bias: (O,), added to.
        to_x: (B, H, W, I), added to.
    """
    height, width, channels = x.shape[1:]
    count, rows, columns, outputs = slope.shape
    line, span, places = width * channels, SIDE * channels, rows * columns
    slopes, numbers = slope.reshape(-1), largest.reshape(-1)
    corners, moves = np.empty(places, np.int64), np.empty(CUT_OFF + 1, np.int64)
    for place in range(places):
        corners[place] = 2 * (place // columns) * line + 2 * (place % columns) * channels
    for number in range(CUT_OFF + 1):
        moves[number] = number // 2 * line + number % 2 * channels
    starts, factors = np.empty(places, np.int64), np.empty(places, np.float32)
    kernels, shares = np.empty((CUT_OFF + 1, outputs), np.int64), np.empty((CUT_OFF + 1, outputs), np.float32)
    found = np.empty(CUT_OFF + 1, np.int64)
    for image in range(count):
        first, own = image * height * line, image * places * outputs
        for output in range(outputs):  # each weight's sum over the places
            alive = 0
            for place in range(places):
                entry = own + place * outputs + output
                number = int(numbers[entry])
                starts[alive] = first + corners[place] + moves[number]
                factors[alive] = slopes[entry]
                alive += number != CUT_OFF
            for entry in range(alive):
                to_bias[output] += factors[entry]
            for row in range(SIDE):
                at = (output * SIDE + row) * span
                add_sum(to_weights, at, x, row * line, starts, factors, alive, span)
        for place in range(
            places
        ):  # each pixel's sum over the outputs, one list of them for each of the four
            found[:] = 0
            for output in range(outputs):
                entry = own + place * outputs + output
                number = int(numbers[entry])
                kernels[number, found[number]] = output * SIDE * span
                shares[number, found[number]] = slopes[entry]
                found[number] += 1
            for number in range(CUT_OFF):
                start = first + corners[place] + moves[number]
                for row in range(SIDE):
                    add_sum(
                        to_x,
                        start + row * line,
                        weights,
                        row * span,
                        kernels[number],
                        shares[number],
                        found[number],
                        span,
                    )
