"""The diffusion's loss and sampler against closed forms: Gaussian data have a known best denoiser."""

import math
from itertools import pairwise

import pytest
import torch

from healthgan.generators import edm

DATA = 0.5


def gaussian(x: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
    """The best denoiser where every pixel is normal with mean 0 and standard deviation DATA."""
    s = sigma.view(-1, 1, 1, 1)
    return x * (DATA**2 / (s**2 + DATA**2))


def silent(x: torch.Tensor, level: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
    return torch.zeros_like(x)


def test_a_silent_network_is_the_best_denoiser_of_gaussian_data() -> None:
    x, sigma = (
        torch.randn(4, 1, 8, 8, generator=torch.Generator().manual_seed(0)),
        torch.tensor([0.1, 1, 5, 20]),
    )
    found = edm.denoised(silent, x, sigma, torch.zeros(4), DATA)
    torch.testing.assert_close(found, gaussian(x, sigma))


@pytest.mark.parametrize("sigma", [0.02, 0.5, 10.0])
def test_the_loss_of_a_silent_network_is_one(sigma) -> None:
    rng = torch.Generator().manual_seed(1)
    clean, noise = (torch.randn(64, 1, 32, 32, generator=rng) for _ in range(2))
    found = edm.loss(silent, clean * DATA, noise, torch.full((64,), sigma), torch.zeros(64), DATA)
    # A mean of n squared standard normals has the standard error sqrt(2 / n).
    assert float(found.mean()) == pytest.approx(1, abs=5 * math.sqrt(2 / clean.numel()))


def test_heun_follows_the_known_path_of_gaussian_data_and_converges_with_second_order() -> None:
    noise = torch.randn(2, 1, 8, 8, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    # dx/dσ = xσ / (σ² + d²), so x(0) = x(σ) d / sqrt(σ² + d²).
    exact = noise * edm.NOISE_MOST * DATA / math.sqrt(edm.NOISE_MOST**2 + DATA**2)
    errors = [float((edm.heun(gaussian, noise, levels) - exact).abs().max()) for levels in (12, 24, 48, 96)]
    # The last step, from 0.01 to 0, is one of Euler's and stays: it is worth σ² / 2d² of x.
    floor = float(exact.abs().max()) * edm.NOISE_LEAST**2 / (2 * DATA**2)
    for coarse, fine in pairwise(errors):
        assert fine - floor < (coarse - floor) / 3


def test_noise_levels_are_log_normal() -> None:
    found = edm.noise_levels(20_000, torch.Generator().manual_seed(3), torch.device("cpu")).log()
    assert float(found.mean()) == pytest.approx(edm.NOISE_MEAN, abs=5 * edm.NOISE_SPREAD / math.sqrt(20_000))
    assert float(found.std()) == pytest.approx(edm.NOISE_SPREAD, abs=5 * edm.NOISE_SPREAD / math.sqrt(40_000))
