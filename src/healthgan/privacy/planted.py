"""Copies made on purpose, to measure which copies the search finds."""

from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Pixels = NDArray[np.uint8]
Change = Callable[[Pixels, np.random.Generator], Pixels]


def blurred(sigma: float) -> Change:
    """Gaussian blur, ``sigma`` in pixels."""

    def change(images: Pixels, _: np.random.Generator) -> Pixels:
        return _pixels(ndimage.gaussian_filter(images.astype(np.float64), (0, sigma, sigma, 0)))

    return change


def noisy(deviation: float) -> Change:
    """White Gaussian noise, ``deviation`` in grey levels of 255."""

    def change(images: Pixels, rng: np.random.Generator) -> Pixels:
        return _pixels(images + rng.normal(0, deviation, images.shape))

    return change


def shifted(pixels: int) -> Change:
    """Moved by ``pixels`` both ways along both axes; the edge is repeated."""

    def change(images: Pixels, rng: np.random.Generator) -> Pixels:
        moves = rng.choice([-pixels, pixels], (len(images), 2))
        return np.stack(
            [
                ndimage.shift(image, (*move, 0), order=0, mode="nearest")
                for image, move in zip(images, moves, strict=True)
            ]
        )

    return change


def mirrored(images: Pixels, _: np.random.Generator) -> Pixels:
    """Left and right exchanged."""
    return images[:, :, ::-1].copy()


def contrasted(factor: float) -> Change:
    """Differences from the image's mean times ``factor``, clipped to 0…255."""

    def change(images: Pixels, _: np.random.Generator) -> Pixels:
        mean = images.mean(axis=(1, 2, 3), keepdims=True)
        return _pixels(mean + factor * (images - mean))

    return change


def rotated(degrees: float) -> Change:
    """Turned one way or the other, interpolated linearly; the edge is repeated."""

    def change(images: Pixels, rng: np.random.Generator) -> Pixels:
        angles = np.deg2rad(degrees * rng.choice([-1, 1], len(images)))
        return np.stack(
            [
                _transformed(image, np.array([[np.cos(a), -np.sin(a)], [np.sin(a), np.cos(a)]]))
                for image, a in zip(images, angles, strict=True)
            ]
        )

    return change


def zoomed(factor: float) -> Change:
    """Enlarged about the middle (factor above 1) or reduced, interpolated linearly; the edge is repeated."""

    def change(images: Pixels, _: np.random.Generator) -> Pixels:
        return np.stack([_transformed(image, np.eye(2) / factor) for image in images])

    return change


def averaged(images: Pixels, rng: np.random.Generator) -> Pixels:
    """The mean of each image and another one of them."""
    others = np.empty(len(images), np.int64)
    circle = rng.permutation(len(images))
    others[circle] = np.roll(circle, 1)
    return _pixels((images.astype(np.float64) + images[others]) / 2)


def exact(images: Pixels, _: np.random.Generator) -> Pixels:
    """The images themselves."""
    return images.copy()


WITHIN: Mapping[str, Change] = MappingProxyType(
    {
        "exact": exact,
        "blur 0.5": blurred(0.5),
        "blur 1": blurred(1),
        "noise 5": noisy(5),
        "noise 10": noisy(10),
        "shift 1": shifted(1),
        "shift 2": shifted(2),
        "mirrored": mirrored,
        "contrast 0.6": contrasted(0.6),
        "contrast 1.4": contrasted(1.4),
    }
)
"""Copies that the search is meant to find, 99 % of each kind."""

BEYOND: Mapping[str, Change] = MappingProxyType(
    {
        "blur 1.5": blurred(1.5),
        "blur 2": blurred(2),
        "blur 3": blurred(3),
        "noise 15": noisy(15),
        "noise 20": noisy(20),
        "noise 30": noisy(30),
        "noise 40": noisy(40),
        "shift 3": shifted(3),
        "shift 4": shifted(4),
        "rotation 3": rotated(3),
        "rotation 5": rotated(5),
        "rotation 10": rotated(10),
        "zoom 0.9": zoomed(0.9),
        "zoom 0.95": zoomed(0.95),
        "zoom 1.05": zoomed(1.05),
        "zoom 1.1": zoomed(1.1),
        "average of two": averaged,
    }
)
"""Copies farther away, for the curve of detection."""


def _transformed(image: Pixels, matrix: NDArray[np.float64]) -> Pixels:
    """The (H, W, C) image about its middle; ``matrix`` takes places of the result to places of the image."""
    middle = (np.array(image.shape[:2]) - 1) / 2
    planes = [
        ndimage.affine_transform(
            plane.astype(np.float64), matrix, middle - matrix @ middle, order=1, mode="nearest"
        )
        for plane in image.transpose(2, 0, 1)
    ]
    return _pixels(np.stack(planes, axis=2))


def _pixels(values: NDArray[np.float64]) -> Pixels:
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)
