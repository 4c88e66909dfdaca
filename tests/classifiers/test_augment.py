"""Augmentation against SciPy's resampling and closed forms."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage, stats

from healthgan.classifiers.augment import augment
from healthgan.classifiers.recipes import Augmentation

EVERYTHING = Augmentation(rotate=15, shift=0.1, scale=0.2, brightness=0.2, contrast=0.3, mirror=True)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def images(count=6, channels=1, size=(20, 20), seed=0):
    """Smooth ones, as an X-ray is; (B, C, H, W) in 0…1."""
    rng = np.random.default_rng(seed)
    rough = ndimage.gaussian_filter(rng.random((count, channels, *size)), (0, 0, 2, 2))
    rough -= rough.min()
    return torch.from_numpy((rough / rough.max()).astype(np.float32))


def draws(count, seed=0):
    """(B, 7) from −1 to 1, as they are drawn."""
    return 2 * torch.rand(count, 7, generator=seeded(seed)).double().numpy() - 1


def test_without_strengths_nothing_is_done_and_nothing_drawn():
    rng, x = seeded(), images()
    before = rng.get_state()
    assert augment(x, Augmentation(), rng) is x
    assert torch.equal(before, rng.get_state())


@pytest.mark.parametrize("size", [(20, 20), (16, 29)])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(
    "strengths",
    [
        Augmentation(rotate=40),
        Augmentation(shift=0.4),
        Augmentation(scale=0.5),
        Augmentation(rotate=30, shift=0.2, scale=0.3, mirror=True),
    ],
)
def test_geometry_is_scipys(strengths, channels, size):
    """Turned and scaled about the middle, bilinear, reflected at the edges; pixels' places computed here in pixels.

    float32 places are known to about size · 2⁻²³ pixels, and no two neighbours differ by more than 1: 1e-5.
    """
    x = images(channels=channels, size=size)
    found = augment(x, strengths, seeded()).numpy()
    height, width = size
    rows, columns = np.indices(size, float)
    down, right = rows - (height - 1) / 2, columns - (width - 1) / 2
    for image, ours, drawn in zip(x.numpy(), found, draws(len(x)), strict=True):
        angle, factor = np.radians(strengths.rotate * drawn[0]), 1 + strengths.scale * drawn[3]
        across = (np.cos(angle) * right - np.sin(angle) * down) / factor
        along = (np.sin(angle) * right + np.cos(angle) * down) / factor
        across *= -1 if strengths.mirror and drawn[4] < 0 else 1
        places = [
            along + strengths.shift * drawn[2] * height + (height - 1) / 2,
            across + strengths.shift * drawn[1] * width + (width - 1) / 2,
        ]
        for channel in range(channels):
            expected = ndimage.map_coordinates(image[channel].astype(float), places, order=1, mode="reflect")
            np.testing.assert_allclose(ours[channel], expected, rtol=0, atol=1e-5)


def test_light_is_the_formula():
    """Three float32 operations on values to about 2: 1e-6."""
    x = images(channels=3)
    strengths = Augmentation(brightness=0.4, contrast=0.5)
    found = augment(x, strengths, seeded()).numpy()
    for image, ours, drawn in zip(x.double().numpy(), found, draws(len(x)), strict=True):
        mean = image.mean()
        expected = mean + (image - mean) * (1 + 0.5 * drawn[6]) + 0.4 * drawn[5]
        np.testing.assert_allclose(ours, expected.clip(0, 1), rtol=0, atol=1e-6)


def test_the_mirror_is_exact_and_turns_half_of_the_images():
    x = images(count=1000, size=(4, 5))
    found = augment(x, Augmentation(mirror=True), seeded())
    swapped = (found == x.flip(3)).all(dim=(1, 2, 3))
    assert bool((swapped | (found == x).all(dim=(1, 2, 3))).all())
    assert stats.binomtest(int(swapped.sum()), 1000).pvalue > 0.001


def test_brightness_is_uniform():
    x = torch.full((2000, 1, 2, 2), 0.5)
    added = augment(x, Augmentation(brightness=0.3), seeded())[:, 0, 0, 0].double().numpy() - 0.5
    assert stats.kstest(added, stats.uniform(-0.3, 0.6).cdf).pvalue > 0.001


@given(
    st.builds(
        Augmentation,
        rotate=st.floats(0, 180),
        shift=st.floats(0, 0.99),
        scale=st.floats(0, 0.99),
        brightness=st.floats(0, 1),
        contrast=st.floats(0, 1),
        mirror=st.booleans(),
    ),
    st.integers(0, 2**32),
)
def test_whatever_the_strengths_pixels_stay_in_range(strengths, seed):
    found = augment(images(), strengths, seeded(seed))
    assert found.shape == (6, 1, 20, 20)
    assert found.dtype == torch.float32
    assert bool(((found >= 0) & (found <= 1)).all())
    assert torch.equal(found, augment(images(), strengths, seeded(seed)))


@given(st.floats(0, 180), st.floats(0, 0.99), st.floats(0, 0.99), st.integers(0, 2**32))
def test_geometry_brings_in_nothing_new(rotate, shift, scale, seed):
    """Every pixel is a mean of old ones: no black wedges. A mean's weights add up to 1 within 4 ulp."""
    x = images() * 0.5 + 0.3
    found = augment(x, Augmentation(rotate=rotate, shift=shift, scale=scale), seeded(seed))
    assert float(found.min()) >= float(x.min()) - 1e-6
    assert float(found.max()) <= float(x.max()) + 1e-6


def test_one_more_strength_leaves_the_others_draws():
    x = torch.full((50, 1, 4, 4), 0.5)
    alone = augment(x, Augmentation(brightness=0.3), seeded())
    beside = augment(x, Augmentation(rotate=20, shift=0.1, brightness=0.3), seeded())
    torch.testing.assert_close(alone, beside, rtol=0, atol=1e-6)


@pytest.mark.parametrize("strengths", [EVERYTHING, Augmentation(rotate=5), Augmentation(mirror=True)])
def test_the_memory_layout_is_kept(strengths):
    x = images(channels=3)
    assert augment(x, strengths, seeded()).is_contiguous()
    last = x.contiguous(memory_format=torch.channels_last)
    found = augment(last, strengths, seeded())
    assert found.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(found, augment(x, strengths, seeded()), rtol=0, atol=1e-6)
