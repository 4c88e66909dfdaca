"""Correlation of images that may be moved and mirrored against each other."""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.fft import dctn, idctn

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float32]

SHIFT = 2
"""Pixels up to which two images are moved against each other, in every direction."""
BAND = (1.0, 3.0)
"""What a blur of 1 pixel leaves and one of 3 pixels removes."""

_SIDE = 28  # pixels of the longer side that larger images are reduced to
_KEEP = 32  # images up to this side stay as they are
_FLAT = 1e-2  # norm in grey levels below which an image has no structure; one pixel of one level has about 1
_AT_A_TIME = 256  # large images turned to float32 at once
_BLOCK = 1 << 24  # numbers in the table of correlations at a time: 64 MiB


def reduced(images: Pixels, *, down: float = 0, right: float = 0) -> Floats:
    """(N, H, W, C) as float32; images with a side above 32 pixels are averaged by area so that the longer one has 28.

    Args:
        images: (N, H, W, C) uint8.
        down: where the frame begins, in pixels of the result; only where pixels are averaged.
        right: likewise.
    """
    height, width = images.shape[1:3]
    if max(height, width) <= _KEEP:
        return images.astype(np.float32)
    scale = _SIDE / max(height, width)
    rows, columns = (
        _averaging(side, max(round(side * scale), 1), start)
        for side, start in ((height, down), (width, right))
    )
    result = np.empty((len(images), len(rows), len(columns), images.shape[3]), np.float32)
    for start in range(0, len(images), _AT_A_TIME):
        part = images[start : start + _AT_A_TIME].astype(np.float32)
        np.einsum(
            "ah,nhwc,bw->nabc", rows, part, columns, optimize=True, out=result[start : start + _AT_A_TIME]
        )
    return result


def phases(images: Pixels) -> list[tuple[float, float, Floats]]:
    """Images as ``reduced``; where pixels are averaged, also begun half a pixel further down, right, or both.

    Whole steps would miss by up to half a pixel what was moved by whole pixels of the large image.

    Returns:
        Down, right and (N, H, W, C) float32 of each.
    """
    starts = [0.0] if max(images.shape[1:3]) <= _KEEP else [0.0, 0.5]
    return [(down, right, reduced(images, down=down, right=right)) for down in starts for right in starts]


def band_pass(images: Floats, fine: float, coarse: float) -> Floats:
    """What a Gaussian blur of ``fine`` pixels leaves and one of ``coarse`` pixels removes.

    By the cosine transform, which continues an image as its own mirror image, so that edges add nothing.

    Args:
        images: (N, H, W, C) float32.
        fine: standard deviation in pixels; 0 keeps all detail.
        coarse: standard deviation in pixels.
    """
    height, width = images.shape[1:3]
    down, right = np.arange(height) / (2 * height), np.arange(width) / (2 * width)  # cycles a pixel
    squares = down[:, np.newaxis] ** 2 + right**2
    fine_gain, coarse_gain = (np.exp(-2 * np.pi**2 * sigma**2 * squares) for sigma in (fine, coarse))
    gain = (fine_gain - coarse_gain)[:, :, np.newaxis].astype(np.float32)
    spectrum = dctn(images, axes=(1, 2), norm="ortho")
    return np.asarray(idctn(spectrum * gain, axes=(1, 2), norm="ortho"), np.float32)


def best_correlations(queries: Sequence[Floats], references: Floats, shift: int) -> Iterator[Floats]:
    """Yield, some queries at a time, (n, M) the best normalised correlation over shifts and mirroring.

    The middle of the query, without a margin of ``shift``, is compared with every part of that size of the
    reference, so that only pixels that both images have are compared.

    Args:
        queries: (N, H, W, C) float32, the same images in one phase or several.
        references: (M, H, W, C) float32.
        shift: pixels.
    """
    block = max(1, _BLOCK // len(references))
    for start in range(0, len(queries[0]), block):
        sides = [
            unit_vectors(_middle(side, shift))
            for phase in queries
            for part in [phase[start : start + block]]
            for side in (part, part[:, :, ::-1])
        ]
        best = np.full((len(sides[0]), len(references)), -1, np.float32)
        for down, right in _moves(shift):
            windows = unit_vectors(_window(references, shift, down, right)).T
            for side in sides:
                np.maximum(best, side @ windows, out=best)
        yield best


def best_pose(image: Pixels, reference: Pixels, *, shift: int = SHIFT) -> tuple[int, int, bool]:
    """How the reference has to be moved to match the image: pixels down, pixels right, mirrored first.

    Args:
        image: (H, W, C) uint8.
        reference: (H, W, C) uint8.
        shift: as in ``gather_evidence``.
    """
    queries = [
        (down, right, unit_vectors(_middle(band_pass(query, *BAND), shift)))
        for down, right, query in phases(image[np.newaxis])
    ]
    sides = [band_pass(reduced(side[np.newaxis]), *BAND) for side in (reference, reference[:, ::-1])]
    best, pose = -np.inf, (0.0, 0.0, False)
    for mirrored, side in enumerate(sides):
        for down, right in _moves(shift):
            window = unit_vectors(_window(side, shift, down, right))
            for start_down, start_right, query in queries:
                value = float((query @ window.T)[0, 0])
                if value > best:
                    best, pose = value, (start_down - down, start_right - right, bool(mirrored))
    scale = image.shape[0] / sides[0].shape[1]
    return round(pose[0] * scale), round(pose[1] * scale), pose[2]


def _moves(shift: int) -> list[tuple[int, int]]:
    steps = range(-shift, shift + 1)
    return [(down, right) for down in steps for right in steps]


def _middle(images: Floats, shift: int) -> Floats:
    return _window(images, shift, 0, 0)


def _window(images: Floats, shift: int, down: int, right: int) -> Floats:
    """The images without a margin of ``shift``, the frame moved."""
    height, width = images.shape[1:3]
    rows, columns = slice(shift + down, height - shift + down), slice(shift + right, width - shift + right)
    return images[:, rows, columns]  # (N, H − 2·shift, W − 2·shift, C)


def unit_vectors(windows: Floats) -> Floats:
    """(N, D) zero mean and unit length; zero where there is no structure."""
    flat = windows.reshape(len(windows), -1)
    flat = flat - flat.mean(axis=1, keepdims=True)
    norm = np.linalg.norm(flat, axis=1, keepdims=True)
    return np.where(norm > _FLAT, flat / np.maximum(norm, _FLAT), 0).astype(np.float32)


def _averaging(old: int, new: int, start: float) -> Floats:
    """(new, old) weights by which the area of each new pixel covers the old ones.

    The frame begins ``start`` new pixels late; what it reaches beyond the image is left out.
    """
    edges = np.minimum((np.arange(new + 1) + start) * (old / new), old)
    cover = np.minimum(edges[1:, np.newaxis], np.arange(1, old + 1)) - np.maximum(
        edges[:-1, np.newaxis], np.arange(old)
    )
    weights: Floats = np.maximum(cover, 0).astype(np.float32)
    weights /= weights.sum(axis=1, keepdims=True)
    return weights
