"""Alter images at random, a whole batch at once: turned, moved, scaled and mirrored in one resampling, then brightness."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from healthgan.classifiers.recipes import Augmentation

DRAWS = 7
"""Random numbers an image: turn, two shifts, scale, mirror, brightness, contrast. Always all of them, so that one more
strength leaves the others' draws as they are."""


@dataclass(frozen=True)
class Strengths:
    """An ``Augmentation`` for all images alike, or one for each: tensors (B,).

    Attributes:
        turn: radians.
        shift: in halves of the side.
        scale: share.
        mirror: whether images may be mirrored.
        brightness: share of the range.
        contrast: share.
    """

    turn: float | Tensor
    shift: float | Tensor
    scale: float | Tensor
    mirror: bool | Tensor
    brightness: float | Tensor
    contrast: float | Tensor


def strengths_of(augmentation: Augmentation) -> Strengths:
    """The same for all images."""
    return Strengths(
        turn=math.radians(augmentation.rotate),
        shift=2 * augmentation.shift,
        scale=augmentation.scale,
        mirror=augmentation.mirror,
        brightness=augmentation.brightness,
        contrast=augmentation.contrast,
    )


def augment(images: Tensor, augmentation: Augmentation, rng: torch.Generator) -> Tensor:
    """Altered images; with no strengths, the images themselves and nothing drawn.

    What comes in from beyond an edge is the image reflected at it. Zeros would leave black wedges, whose size tells
    the angle, and a repeated edge leaves streaks; both are signs that no test image has.

    Args:
        images: (B, C, H, W) float32 in 0…1, in any memory layout, which is kept.
        augmentation: each strength a uniform draw for every image.
        rng: a CPU generator, on whatever device the images are.

    Returns:
        (B, C, H, W) float32 in 0…1.
    """
    if augmentation.none:
        return images
    return alter(images, torch.rand(len(images), DRAWS, generator=rng), augmentation)


def alter(images: Tensor, drawn: Tensor, augmentation: Augmentation) -> Tensor:
    """``augment`` by numbers (B, 7) in 0…1 that were drawn before."""
    drawn, strengths = drawn.to(images), strengths_of(augmentation)
    if moves(augmentation):
        images = resampled(images, drawn, strengths)
    elif augmentation.mirror:
        images = mirrored(images, drawn, strengths)
    if relights(augmentation):
        images = relit(images, drawn, strengths)
    return images


def moves(augmentation: Augmentation) -> bool:
    """Whether images have to be resampled."""
    return bool(augmentation.rotate or augmentation.shift or augmentation.scale)


def relights(augmentation: Augmentation) -> bool:
    """Whether brightness or contrast change."""
    return bool(augmentation.brightness or augmentation.contrast)


def mirrored(images: Tensor, drawn: Tensor, strengths: Strengths) -> Tensor:
    """Half of the images, left and right swapped."""
    return torch.where(_swaps(drawn, strengths)[:, None, None, None], images.flip(3), images)


def _swaps(drawn: Tensor, strengths: Strengths) -> Tensor:
    """(B,) whether an image is mirrored."""
    return (drawn[:, 4] < 0.5) & strengths.mirror


def _affine(drawn: Tensor, strengths: Strengths, aspect: float) -> Tensor:
    """(B, 2, 3) from places in the new image to places in the old one, both from −1 to 1 along either axis.

    Args:
        drawn: (B, 7) in 0…1.
        strengths: of the changes.
        aspect: height over width, so that a turn stays a turn where they differ.
    """
    between = 2 * drawn - 1
    angle = between[:, 0] * strengths.turn
    zoom = 1 / (1 + between[:, 3] * strengths.scale)
    side = 1 - 2 * _swaps(drawn, strengths).to(zoom.dtype)
    cosine, sine = zoom * angle.cos(), zoom * angle.sin()
    right, down = strengths.shift * between[:, 1], strengths.shift * between[:, 2]
    rows = [side * cosine, -side * sine * aspect, right, sine / aspect, cosine, down]
    return torch.stack(rows, dim=1).view(-1, 2, 3)


def resampled(images: Tensor, drawn: Tensor, strengths: Strengths) -> Tensor:
    """Turned, moved, scaled and mirrored: bilinear, at the places that the maps point to."""
    affine = _affine(drawn, strengths, images.shape[2] / images.shape[3])
    grid = F.affine_grid(affine, list(images.shape), align_corners=False)
    found = F.grid_sample(images, grid, mode="bilinear", padding_mode="reflection", align_corners=False)
    if images.is_contiguous(memory_format=torch.channels_last):
        return found.contiguous(memory_format=torch.channels_last)
    return found


def relit(images: Tensor, drawn: Tensor, strengths: Strengths) -> Tensor:
    """Contrast about each image's mean, then brightness, then back into the range."""
    between = 2 * drawn - 1
    mean = images.mean(dim=(1, 2, 3), keepdim=True)
    factor = 1 + (strengths.contrast * between[:, 6])[:, None, None, None]
    added = mean * (1 - factor) + (strengths.brightness * between[:, 5])[:, None, None, None]
    return torch.addcmul(added, images, factor).clamp_(0, 1)
