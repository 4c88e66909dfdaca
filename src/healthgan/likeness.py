"""How alike generated images are to the real ones they were made from."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from healthgan.ssim import best_match


@dataclass(frozen=True)
class Candidates:
    """Generated images, each once, with their likeness.

    Attributes:
        images: (N, H, W, C) uint8, no two equal.
        likeness: (N,) float32, the best SSIM to any real training image; NaN for a constant image.
        nearest: (N,) int64, the real training image it is to; −1 for a constant image.
        round: (N,) int64, the training of the GAN that made it.
        epoch: (N,) int64, the epoch after which it was rendered.
        vector: (N,) int64, the noise vector it was rendered from.
        harvested: how many there were before duplicates were dropped.
    """

    images: NDArray[np.uint8]
    likeness: NDArray[np.float32]
    nearest: NDArray[np.int64]
    round: NDArray[np.int64]
    epoch: NDArray[np.int64]
    vector: NDArray[np.int64]
    harvested: int

    def accepted(self, floor: float) -> NDArray[np.bool_]:
        """(N,) True where the likeness reaches the floor."""
        reached: NDArray[np.bool_] = self.likeness >= floor
        return reached

    def spread(self, floor: float, count: int) -> NDArray[np.int64]:
        """Positions of up to ``count`` images that reach the floor, evenly spaced from least to most alike.

        Where none reaches it, of the ones with the highest likeness.
        """
        order = np.argsort(self.likeness, kind="stable")
        order = order[~np.isnan(self.likeness[order])]
        above = order[self.likeness[order] >= floor]
        pool = above if len(above) else order[-count:]
        if len(pool) <= count:
            return pool
        return pool[np.linspace(0, len(pool) - 1, count).round().astype(np.int64)]


def score_candidates(
    rounds: Sequence[NDArray[np.uint8]], reals: NDArray[np.uint8], *, first_epoch: int
) -> Candidates:
    """Gather the harvest of several trainings, drop exact duplicates and score the rest as the study did.

    Likeness is the best structural similarity (Wang et al., IEEE TIP 2004; scikit-image's defaults) to any
    real training image, with the data range of the generated image.

    Args:
        rounds: one array a training, (epochs, vectors, H, W, C) uint8.
        reals: (M, H, W, C) uint8, the real training images of the class.
        first_epoch: the epoch of the first row.
    """
    flat = [images.reshape(-1, *images.shape[2:]) for images in rounds]
    places = [np.indices(images.shape[:2]).reshape(2, -1) for images in rounds]
    images = np.concatenate(flat)
    number = np.repeat(np.arange(len(rounds)), [len(part) for part in flat])
    epoch, vector = np.concatenate(places, axis=1)
    _, kept = np.unique(images.reshape(len(images), -1), axis=0, return_index=True)
    kept.sort()
    likeness, nearest = best_match(images[kept], reals)
    return Candidates(
        images=images[kept],
        likeness=likeness,
        nearest=nearest,
        round=number[kept],
        epoch=epoch[kept] + first_epoch,
        vector=vector[kept],
        harvested=len(images),
    )
