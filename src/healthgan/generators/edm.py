"""Diffusion: training loss and sampler.

As Karras, Aittala, Aila and Laine describe them in "Elucidating the Design Space of Diffusion-Based Generative
Models", NeurIPS 2022 (EDM below). Images are float32, around zero, with the standard deviation ``data``.
"""

from collections.abc import Callable
from itertools import pairwise

import torch
from torch import Tensor

Network = Callable[[Tensor, Tensor, Tensor], Tensor]
Denoiser = Callable[[Tensor, Tensor], Tensor]
"""Noisy images (B, C, H, W) and noise levels σ (B,) → what they would be without noise."""

NOISE_MEAN, NOISE_SPREAD = -1.0, 1.2
"""Of ln σ in training (EDM, table 1, has −1.2 and 1.2 for 8-bit images of 32 and 64 pixels)."""

NOISE_LEAST, NOISE_MOST = 0.01, 20.0
"""Where sampling ends and starts. 0.01 is 1.3 of 255 grey levels (EDM: 0.002 to 80)."""

_RHO = 7.0  # EDM, table 1


def denoised(network: Network, noisy: Tensor, sigma: Tensor, label: Tensor, data: float | Tensor) -> Tensor:
    """The network's guess at the images without noise (EDM, equation 7 and table 1).

    Args:
        network: the raw network.
        noisy: (B, C, H, W).
        sigma: (B,) standard deviation of the noise.
        label: (B,) class numbers.
        data: standard deviation of the images.
    """
    s = sigma.view(-1, 1, 1, 1)
    total = s**2 + data**2
    guess = network(noisy / total.sqrt(), sigma.log() / 4, label)
    clean: Tensor = noisy * (data**2 / total) + guess * (s * data / total.sqrt())
    return clean


def noise_levels(count: int, rng: torch.Generator, device: torch.device) -> Tensor:
    """(count,) noise levels as training draws them: ln σ is normal."""
    drawn = torch.randn(count, generator=rng).mul(NOISE_SPREAD).add(NOISE_MEAN).exp()
    return drawn.to(device)


def loss(
    network: Network, clean: Tensor, noise: Tensor, sigma: Tensor, label: Tensor, data: float | Tensor
) -> Tensor:
    """(B,) weighted squared error of the denoised images (EDM, equation 8): about 1 for an untrained network.

    Args:
        network: the raw network.
        clean: (B, C, H, W).
        noise: (B, C, H, W) standard normal.
        sigma: (B,) noise levels.
        label: (B,) class numbers.
        data: standard deviation of the images.
    """
    noisy = clean + noise * sigma.view(-1, 1, 1, 1)
    error = (denoised(network, noisy, sigma, label, data) - clean).square().mean(dim=(1, 2, 3))
    return error * (sigma**2 + data**2) / (sigma * data) ** 2


def heun(denoiser: Denoiser, noise: Tensor, steps: int) -> Tensor:
    """From noise to images: Heun's second-order steps, without fresh noise (EDM, algorithm 1 and equation 5).

    Args:
        denoiser: the trained network with its classes.
        noise: (B, C, H, W) standard normal.
        steps: noise levels; the denoiser is called 2 × steps − 1 times.
    """
    most, least = NOISE_MOST ** (1 / _RHO), NOISE_LEAST ** (1 / _RHO)
    sigmas: list[float] = [
        (most + number / (steps - 1) * (least - most)) ** _RHO for number in range(steps)
    ] + [0.0]
    x = noise * sigmas[0]

    def slope(x: Tensor, sigma: float) -> Tensor:
        return (x - denoiser(x, torch.full((len(x),), sigma, device=x.device))) / sigma

    for sigma, following in pairwise(sigmas):
        first = slope(x, sigma)
        ahead = x + (following - sigma) * first
        if following > 0:
            ahead = x + (following - sigma) * (first + slope(ahead, following)) / 2
        x = ahead
    return x
