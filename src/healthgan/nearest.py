"""What a run keeps of its real images, so that its report can show synthetic ones beside them.

Real images are patients' images: a run keeps those that a synthetic image is most like, each once, and in files of
their own. Of held-out images it keeps the likeness alone.
"""

import numpy as np
from numpy.typing import NDArray

from healthgan.ssim import best_match
from healthgan.task import Members

MOST_HELD_OUT = 1000
"""Held-out images of a class whose likeness is kept: enough for a histogram, few enough to take no time."""


def nearest_reals(
    reals: Members, nearest: NDArray[np.int64]
) -> dict[str, NDArray[np.uint8] | NDArray[np.int64]]:
    """The real images that anything is most like, each once.

    Args:
        reals: training images of a class.
        nearest: (N,) positions in ``reals``; −1 for none.

    Returns:
        ``image`` (K,) int64, positions in the source's training split, rising, and ``pixels`` (K, H, W, C) uint8.
    """
    index = np.unique(nearest[nearest >= 0])
    found = reals.take(index[np.argsort(reals.image[index])])
    return {"image": found.image, "pixels": found.pixels}


def heldout_likeness(
    heldout: tuple[Members, ...], reals: Members, threads: int | None = None
) -> NDArray[np.float32]:
    """The best SSIM of real images that no generator saw to the training images of their class.

    Args:
        heldout: of one class; of more than ``MOST_HELD_OUT`` images together, so many, evenly spaced.
        reals: training images of that class.
        threads: to score with; by default one a core.

    Returns:
        (N,) float32; NaN for a constant image.
    """
    total = sum(map(len, heldout))
    chosen = np.linspace(0, total - 1, min(total, MOST_HELD_OUT)).round().astype(np.int64)
    parts, before = [], 0
    for members in heldout:
        here = (chosen >= before) & (chosen < before + len(members))
        parts.append(members.pixels[chosen[here] - before])
        before += len(members)
    likeness, _ = best_match(np.concatenate(parts), reals.pixels, threads=threads)
    return likeness
