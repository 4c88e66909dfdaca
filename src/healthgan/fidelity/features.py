"""Feature spaces in which sets of images are compared. None needs a download."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from healthgan.classifiers.fit import Recipe, embed, fit_balanced, new_classifier
from healthgan.errors import InputError

Images = NDArray[np.uint8]
"""(N, H, W, C) uint8."""

Features = NDArray[np.float64]
"""(N, D): one image a row."""

SCALED = Recipe(scale_pixels=True, learning_rate=1e-3, batch=32)
"""How every classifier of this package is trained: the study's network on pixels from 0 to 1."""

IN_DOMAIN_STEPS = 300
"""With more, the network knows its training images by heart and real images of other patients seem unlike them."""

COMPONENTS = 64
"""Principal components that are kept of the responses to random filters."""

SCALE_IMAGES = 5000
"""A space takes its scale from no more than so many training images."""

_FILTERS = 2018  # the seed of the random filters: part of the definition, not a setting


@dataclass(frozen=True)
class FeatureSpace:
    """A way to describe an image by numbers.

    Attributes:
        name: its name in :data:`SPACES`.
        features: images (N, H, W, C) uint8 → (N, D) float64.
    """

    name: str
    features: Callable[[Images], Features]


def in_domain(rare: Images, reference: Images, seed: int, device: torch.device) -> FeatureSpace:
    """What the study's network looks at once it has learnt to tell the two classes.

    The 64 sums before its last ReLU, each scaled to mean 0 and standard deviation 1 over the training images.
    They are taken before the ReLU because behind it a third of the units answer to hardly any image: scaled,
    a single picture would then decide the kernel distance.

    Args:
        rare: (N, H, W, C) uint8, real training images of the rare class.
        reference: (M, H, W, C) uint8, real training images of the reference class.
        seed: decides the training.
        device: where to train and compute.
    """
    classifier = new_classifier((rare.shape[1], rare.shape[2]), rare.shape[3], SCALED, seed, device)
    fit_balanced(classifier, (reference, rare), IN_DOMAIN_STEPS)
    found = embed(classifier, _spread(np.concatenate([rare, reference])))
    varies = np.flatnonzero(found.std(axis=0) > 0)
    mean, spread = found[:, varies].mean(axis=0), found[:, varies].std(axis=0)
    return FeatureSpace("in-domain", lambda pixels: (embed(classifier, pixels)[:, varies] - mean) / spread)


def random_convolutions(real: Images, device: torch.device) -> FeatureSpace:
    """Responses to random filters, which are always the same; nothing is trained.

    A random convolution already separates textures and layouts (Saxe et al., On random weights and
    unsupervised feature learning, ICML 2011), and unlike a trained network it can't have learnt to overlook
    what a generator gets wrong, nor know the training images by heart. It was chosen over radiomic features
    because it takes grey and RGB images of any size without binning grey levels, in one pass.

    Texture: at each halving of the image down to 7 pixels, mean and standard deviation over all places of the
    rectified responses to 16 filters of 3×3 with mean 0. Layout: the image at 16×16 through two random layers
    (16 and 24 filters), averaged over the four quarters. Most of these numbers go up and down together, so
    their principal components over the training images are taken, at most 64 and one for every eight images,
    each scaled to standard deviation 1: what varies little among real images counts as much as brightness.

    Args:
        real: (N, H, W, C) uint8, the real training images of all classes.
        device: where to compute.

    Raises:
        InputError: the images are all alike.
    """
    channels, levels = real.shape[3], _levels(real.shape[1], real.shape[2])
    rng = np.random.default_rng(_FILTERS)
    layout = [_filters(rng, 16, channels, device), _filters(rng, 24, 16, device)]
    texture = [_filters(rng, 16, channels, device) for _ in range(levels)]
    texture = [level - level.mean(dim=(2, 3), keepdim=True) for level in texture]

    def responses(pixels: Images) -> Features:
        chunk = max(1, 2**18 // (pixels.shape[1] * pixels.shape[2]))
        rows = [np.empty((0, 32 * levels + 96))]
        with torch.inference_mode():
            for start in range(0, len(pixels), chunk):
                images = torch.from_numpy(np.ascontiguousarray(pixels[start : start + chunk])).to(device)
                images = images.permute(0, 3, 1, 2).float() / 255
                found = torch.cat([_texture(images, texture), _layout(images, layout)], dim=1)
                rows.append(found.double().cpu().numpy())
        return np.concatenate(rows)

    mean, components = _whitening(responses(_spread(real)))
    return FeatureSpace("random-convolutions", lambda pixels: (responses(pixels) - mean) @ components)


SPACES: Mapping[str, Callable[[Images, Images, int, torch.device], FeatureSpace]] = MappingProxyType(
    {
        "in-domain": in_domain,
        "random-convolutions": lambda rare, reference, _seed, device: random_convolutions(
            np.concatenate([rare, reference]), device
        ),
    }
)
"""Every space by its name, made from the rare and the reference training images, a seed and a device."""


def _spread(pixels: Images) -> Images:
    """Up to ``SCALE_IMAGES`` of the images, evenly spaced."""
    if len(pixels) <= SCALE_IMAGES:
        return pixels
    return pixels[np.linspace(0, len(pixels) - 1, SCALE_IMAGES).round().astype(np.int64)]


def _whitening(found: Features) -> tuple[Features, Features]:
    """The mean (D,) and the map (D, K) to principal components of standard deviation 1."""
    mean, spread = found.mean(axis=0), found.std(axis=0)
    varies = spread > 1e-5 * np.abs(found).max()  # the rest is rounding of float32
    if not varies.any():
        raise InputError(
            f"The {len(found)} training images are all alike; a feature space needs images that differ."
        )
    scale = np.where(varies, spread, np.inf)
    variances, axes = np.linalg.eigh(np.cov((found - mean) / scale, rowvar=False, bias=True))
    variances, axes = variances[::-1], axes[:, ::-1]
    count = max(1, min(COMPONENTS, len(found) // 8, int(np.sum(variances > 1e-6 * variances[0]))))
    return mean, axes[:, :count] / scale[:, np.newaxis] / np.sqrt(variances[:count])


def _levels(height: int, width: int) -> int:
    """How many times the image can be looked at, halved each time, before its shorter side is under 7 pixels."""
    return (min(height, width) // 7).bit_length()


def _filters(rng: np.random.Generator, count: int, channels: int, device: torch.device) -> Tensor:
    """(count, channels, 3, 3) normal values of variance 2 / fan-in (He et al., ICCV 2015)."""
    values = rng.standard_normal((count, channels, 3, 3)) * np.sqrt(2 / (9 * channels))
    return torch.from_numpy(values.astype(np.float32)).to(device)


def _texture(images: Tensor, filters: list[Tensor]) -> Tensor:
    """Mean and standard deviation over all places of each response at each scale, (N, 32 · scales)."""
    parts = []
    for level in filters:
        found = F.relu(F.conv2d(images, level)).flatten(2)
        parts += [found.mean(dim=2), found.std(dim=2, correction=0)]
        images = F.avg_pool2d(images, 2)
    return torch.cat(parts, dim=1)


def _layout(images: Tensor, filters: list[Tensor]) -> Tensor:
    """Mean response of a second layer over each quarter of the image, (N, 96)."""
    found = F.relu(F.conv2d(F.adaptive_avg_pool2d(images, 16) - 0.5, filters[0]))
    found = F.relu(F.conv2d(F.avg_pool2d(found, 2), filters[1]))
    return F.adaptive_avg_pool2d(found, 2).flatten(1)
