"""A trained diffusion generator: what it is, its images, and its file."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from healthgan.generators import edm
from healthgan.generators.unet import UNet

BLOCK = 32
"""Images are always made so many at a time, so that none depends on how many are asked for."""


@dataclass(frozen=True)
class Settings:
    """How the diffusion generator is built and trained.

    Attributes:
        steps: optimiser steps.
        batch: images a step.
        width: channels of the network on its finest grid.
        learning_rate: of Adam, the highest; it rises over 100 steps and falls to zero over the last 40 %.
        mirror: train on left-right mirrored images too; for chests that would swap the heart's side.
        average: of the weights, the share that stays from step to step (exponential moving average).
        unlabelled: share of the images that are shown as of no class, which steadies small classes.
        heldout: one in so many patients of every class is not trained on and picks the checkpoint.
        checks: how often a checkpoint is measured.
        bfloat16: train in it where the processor has it: a third less time, and a held-out loss that differs by
            less than 0.002 of itself, where seeds differ by 0.06 (docs/performance.md).
    """

    steps: int = 2400
    batch: int = 64
    width: int = 48
    learning_rate: float = 2e-3
    mirror: bool = False
    average: float = 0.999
    unlabelled: float = 0.1
    heldout: int = 8
    checks: int = 8
    bfloat16: bool = True


@dataclass(frozen=True)
class Check:
    """A checkpoint under training, measured.

    Attributes:
        step: after which.
        training: mean loss since the check before, of the weights as they were in training.
        heldout: loss of the averaged weights on the held-out patients; NaN where none could be held out.
        diversity: spread of rendered images over that of real ones, 1 is best; near 0 they are all alike.
    """

    step: int
    training: float
    heldout: float
    diversity: float


@dataclass(frozen=True)
class Diffusion:
    """A trained generator.

    Attributes:
        network: with averaged weights, on the device it was trained on.
        settings: how it was trained.
        size: height and width of its images in pixels.
        channels: 1 or 3.
        classes: number of classes it knows.
        mean: of the training images' pixels, from −1 to 1.
        spread: their standard deviation.
        checks: what was measured as training went on.
        chosen: the step of the checkpoint that was kept.
        stopped: why training ended early; empty if it did not.
    """

    network: UNet
    settings: Settings
    size: tuple[int, int]
    channels: int
    classes: int
    mean: float
    spread: float
    checks: tuple[Check, ...]
    chosen: int
    stopped: str


def trains_in(settings: Settings, device: torch.device) -> torch.dtype:
    """The type in which products are formed in training: bfloat16 where it is asked for and built in, else float32."""
    if device.type == "cuda":
        built_in = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        asked = [getattr(torch.cpu, f"_is_{name}_supported", None) for name in ("avx512_bf16", "amx_tile")]
        built_in = any(has is not None and has() for has in asked)
    return torch.bfloat16 if settings.bfloat16 and built_in else torch.float32


def scale(pixels: Tensor, mean: float) -> Tensor:
    """(B, H, W, C) uint8 → (B, C, H, W) float32 around zero, channels last in memory."""
    return pixels.permute(0, 3, 1, 2).float().div(127.5).sub(1 + mean)


def sample(generator: Diffusion, n: int, label: int, seed: int, levels: int = 12) -> NDArray[np.uint8]:
    """Images of one class: (n, H, W, C) uint8.

    Image i depends on the seed, i and the class only, not on n: noise is drawn an image at a time and images
    are always made in blocks of the same size. Images of two classes with the same seed start from the same noise.

    Args:
        generator: trained.
        n: how many.
        label: the class number.
        seed: another one gives other images.
        levels: noise levels of the sampler.
    """
    device = next(generator.network.parameters()).device
    blocks = [
        _render(generator, np.arange(start, start + BLOCK), label, seed, levels, device)
        for start in range(0, n, BLOCK)
    ]
    empty = np.empty((0, *generator.size, generator.channels), np.uint8)
    return np.concatenate([empty, *blocks])[:n]


def _render(
    generator: Diffusion, numbers: NDArray[np.int64], label: int, seed: int, levels: int, device: torch.device
) -> NDArray[np.uint8]:
    """The images of these numbers: (B, H, W, C) uint8."""
    shape = (generator.channels, *generator.size)
    noise = np.stack(
        [np.random.default_rng((seed, int(i))).standard_normal(shape, np.float32) for i in numbers]
    )
    named = torch.full((len(numbers),), label, device=device)
    with torch.inference_mode():
        x = edm.heun(
            lambda x, sigma: edm.denoised(generator.network, x, sigma, named, generator.spread),
            torch.from_numpy(noise).to(device),
            levels,
        )
        scaled = x.add(1 + generator.mean).mul(127.5).round().clamp(0, 255)
    return np.ascontiguousarray(scaled.to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy())
