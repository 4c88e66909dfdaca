"""Which references to compare a query with first: a guess, which decides only the time that a search takes.

An image is described by the means of 7×7 cells, less their mean and at unit length, so that an inner product is
a correlation at low resolution.
"""

import numpy as np
from numpy.typing import NDArray

_CELLS = 7  # a side
_STEPS = 3  # of the power method: a rough direction is enough
_PIECE = 1024  # images described at a time

Floats = NDArray[np.float32]


def describe(images: NDArray[np.uint8]) -> Floats:
    """(N, 49 C) of (N, H, W, C) images."""
    count, height, width, channels = images.shape
    rows, columns = (np.arange(_CELLS) * side // _CELLS for side in (height, width))
    found = np.empty((count, _CELLS * _CELLS * channels), np.float32)
    for start in range(0, count, _PIECE):
        part = np.add.reduceat(images[start : start + _PIECE], rows, axis=1, dtype=np.float32)
        part = np.add.reduceat(part, columns, axis=2).reshape(len(part), -1)
        part -= part.mean(axis=1, keepdims=True)
        length = np.sqrt(np.einsum("ij,ij->i", part, part))
        found[start : start + _PIECE] = part / np.maximum(length, 1)[:, np.newaxis]
    return found


def arrange(found: Floats, size: int) -> NDArray[np.int64]:
    """An order in which each ``size`` consecutive images are alike.

    The set is halved where it is widest, and so are the halves, down to ``size``.
    """
    order = np.arange(len(found))
    ends = [(0, len(found))]
    while ends:
        low, high = ends.pop()
        blocks = -(-(high - low) // size)
        if blocks < 2:
            continue
        part = found[order[low:high]]
        part = part - part.mean(axis=0)
        direction = part[np.einsum("ij,ij->i", part, part).argmax()]
        for _ in range(_STEPS):
            direction = part.T @ (part @ direction)
            direction /= max(float(np.sqrt(direction @ direction)), 1e-30)
        order[low:high] = order[low:high][np.argsort(part @ direction, kind="stable")]
        middle = low + (blocks + 1) // 2 * size
        ends += [(low, middle), (middle, high)]
    return order
