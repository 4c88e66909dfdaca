"""Images of many trainings in one place, equal ones once."""

import numpy as np
from numpy.typing import NDArray

_EMPTY = np.empty(0, np.int64)


class Pictures:
    """All images (N, H, W, C) uint8 that were added, by content.

    An image is found again by a 64-bit sum of its bytes and then compared byte for byte, so that a sum that two
    images share costs a second copy and nothing else.
    """

    def __init__(self, shape: tuple[int, ...]) -> None:
        words = -(-int(np.prod(shape)) // 8)
        odd = np.random.default_rng(0).integers(2**63, size=words, dtype=np.uint64) * np.uint64(
            2
        ) + np.uint64(1)
        self.shape, self._factors = shape, odd
        self._parts: list[NDArray[np.uint8]] = [np.empty((0, *shape), np.uint8)]
        self._count = 0
        self._sums, self._places = np.empty(0, np.uint64), _EMPTY

    def add(self, pixels: NDArray[np.uint8]) -> NDArray[np.int64]:
        """Where the images (n, H, W, C) lie: (n,) positions; those that are new go behind the others."""
        assert pixels.shape[1:] == self.shape, "images of another shape"
        sums = self._summed(pixels)
        places = self._found(sums, pixels)
        fresh = np.flatnonzero(places < 0)
        _, first, which = np.unique(sums[fresh], return_index=True, return_inverse=True)
        chosen = fresh[first]
        equal = _equal(pixels[fresh], pixels[chosen[which]])
        chosen = np.concatenate([chosen, fresh[~equal]])  # two that share a sum and differ
        positions = self._count + np.arange(len(chosen))
        places[fresh] = self._count + which
        places[chosen] = positions
        if not len(chosen):
            return places
        self._parts.append(pixels[chosen])
        self._count += len(chosen)
        order = np.argsort(np.concatenate([self._sums, sums[chosen]]), kind="stable")
        self._sums = np.concatenate([self._sums, sums[chosen]])[order]
        self._places = np.concatenate([self._places, positions])[order]
        return places

    @property
    def pixels(self) -> NDArray[np.uint8]:
        """(N, H, W, C), in the order in which they came."""
        if len(self._parts) > 1:
            self._parts = [np.concatenate(self._parts)]
        return self._parts[0]

    def _found(self, sums: NDArray[np.uint64], pixels: NDArray[np.uint8]) -> NDArray[np.int64]:
        """Positions of images that are there already, −1 for the others."""
        places = np.full(len(pixels), -1)
        if not self._count:
            return places
        row = np.searchsorted(self._sums, sums).clip(max=len(self._sums) - 1)
        alike = np.flatnonzero(self._sums[row] == sums)
        known = self._places[row[alike]]
        same = _equal(self.pixels[known], pixels[alike])
        places[alike[same]] = known[same]
        return places

    def _summed(self, pixels: NDArray[np.uint8]) -> NDArray[np.uint64]:
        """(n,) a number an image; unlike bytes at like places are mixed before they are added (Steele et al., 2014)."""
        flat = pixels.reshape(len(pixels), int(np.prod(self.shape)))
        missing = 8 * len(self._factors) - flat.shape[1]
        words = np.pad(flat, ((0, 0), (0, missing))).view(np.uint64)
        words = (words ^ (words >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        mixed = (words ^ (words >> np.uint64(27))) * self._factors
        sums: NDArray[np.uint64] = (mixed ^ (mixed >> np.uint64(31))).sum(axis=1, dtype=np.uint64)
        return sums


def _equal(some: NDArray[np.uint8], others: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """(n,) whether images are equal byte for byte."""
    found: NDArray[np.bool_] = (some == others).all(axis=(1, 2, 3))
    return found
