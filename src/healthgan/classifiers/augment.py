"""Alter images at random, a whole batch at once: turned, moved, scaled and mirrored in one resampling, then brightness."""

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from healthgan.classifiers.recipes import Augmentation

_DRAWS = 7
"""Random numbers an image: turn, two shifts, scale, mirror, brightness, contrast. Always all of them, so that one more
strength leaves the others' draws as they are."""


def augment(images: Tensor, strengths: Augmentation, rng: torch.Generator) -> Tensor:
    """Altered images; with no strengths, the images themselves and nothing drawn.

    What comes in from beyond an edge is the image reflected at it. Zeros would leave black wedges, whose size tells
    the angle, and a repeated edge leaves streaks; both are signs that no test image has.

    Args:
        images: (B, C, H, W) float32 in 0…1, in any memory layout, which is kept.
        strengths: each a uniform draw for every image.
        rng: a CPU generator, on whatever device the images are.

    Returns:
        (B, C, H, W) float32 in 0…1.
    """
    if strengths.none:
        return images
    drawn = torch.rand(len(images), _DRAWS, generator=rng).to(images.device)
    if strengths.rotate or strengths.shift or strengths.scale:
        images = _resampled(images, _affine(drawn, strengths, images.shape[2] / images.shape[3]))
    elif strengths.mirror:
        images = torch.where((drawn[:, 4] < 0.5)[:, None, None, None], images.flip(3), images)
    if strengths.brightness or strengths.contrast:
        images = _relit(images, drawn, strengths)
    return images


def _affine(drawn: Tensor, strengths: Augmentation, aspect: float) -> Tensor:
    """(B, 2, 3) from places in the new image to places in the old one, both from −1 to 1 along either axis.

    Args:
        drawn: (B, 7) in 0…1.
        strengths: of the changes.
        aspect: height over width, so that a turn stays a turn where they differ.
    """
    between = 2 * drawn - 1
    angle = between[:, 0] * math.radians(strengths.rotate)
    zoom = 1 / (1 + between[:, 3] * strengths.scale)
    mirrored = 1 - 2 * (drawn[:, 4] < 0.5).float() if strengths.mirror else torch.ones_like(zoom)
    cosine, sine = zoom * angle.cos(), zoom * angle.sin()
    shift = 2 * strengths.shift * between[:, 1:3]
    rows = [mirrored * cosine, -mirrored * sine * aspect, shift[:, 0], sine / aspect, cosine, shift[:, 1]]
    return torch.stack(rows, dim=1).view(-1, 2, 3)


def _resampled(images: Tensor, affine: Tensor) -> Tensor:
    """Bilinear, at the places that the maps point to."""
    grid = F.affine_grid(affine, list(images.shape), align_corners=False)
    found = F.grid_sample(images, grid, mode="bilinear", padding_mode="reflection", align_corners=False)
    if images.is_contiguous(memory_format=torch.channels_last):
        return found.contiguous(memory_format=torch.channels_last)
    return found


def _relit(images: Tensor, drawn: Tensor, strengths: Augmentation) -> Tensor:
    """Contrast about each image's mean, then brightness, then back into the range."""
    between = (2 * drawn - 1)[:, :, None, None, None]
    mean = images.mean(dim=(1, 2, 3), keepdim=True)
    factor = 1 + strengths.contrast * between[:, 6]
    added = mean * (1 - factor) + strengths.brightness * between[:, 5]
    return torch.addcmul(added, images, factor).clamp_(0, 1)
