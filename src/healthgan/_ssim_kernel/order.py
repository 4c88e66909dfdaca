"""Which references to compare a query with first: a guess, which decides only the time that a search takes.

An image is described by the means of 7×7 cells, less their mean and at unit length, so that an inner product is
a correlation at low resolution. No product here is large enough for BLAS to start threads, which would go on
spinning beside the search: that alone made it a fifth slower for 256 queries.
"""

import numpy as np
from numpy.typing import NDArray

_CELLS = 7  # a side
_STEPS = 3  # of the power method: a rough direction is enough
_PIECE = 512  # images described at a time

Floats = NDArray[np.float32]


def describe(images: NDArray[np.uint8]) -> Floats:
    """(N, 49 C) of (N, H, W, C) images."""
    count, height, width, channels = images.shape
    down, across = _cells(height).T, _cells(width)
    found = np.empty((count, channels * _CELLS * _CELLS), np.float32)
    for start in range(0, count, _PIECE):
        part = images[start : start + _PIECE].transpose(0, 3, 1, 2).astype(np.float32)
        part = (down @ (part @ across)).reshape(len(part), -1)
        part -= part.mean(axis=1, keepdims=True)
        length = np.sqrt(np.einsum("ij,ij->i", part, part))
        found[start : start + _PIECE] = part / np.maximum(length, 1e-3)[:, np.newaxis]
    return found


def _cells(side: int) -> Floats:
    """(side, 7): which of the cells each pixel belongs to, as the weights of a mean."""
    member = np.arange(side) * _CELLS // side
    weights = (member[:, np.newaxis] == np.arange(_CELLS)).astype(np.float32)
    means: Floats = weights / weights.sum(axis=0)
    return means


def nearest(found: Floats, blocks: Floats) -> NDArray[np.int64]:
    """(N,) which of ``blocks`` (B, D) each of ``found`` (N, D) is most alike."""
    alike = found[:, np.newaxis] @ blocks.T  # one small product an image
    best: NDArray[np.int64] = alike[:, 0].argmax(axis=1)
    return best


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
            direction = np.einsum("ij,i->j", part, np.einsum("ij,j->i", part, direction))
            direction /= max(float(np.sqrt(np.square(direction).sum())), 1e-30)
        order[low:high] = order[low:high][np.argsort(np.einsum("ij,j->i", part, direction), kind="stable")]
        middle = low + (blocks + 1) // 2 * size
        ends += [(low, middle), (middle, high)]
    return order
