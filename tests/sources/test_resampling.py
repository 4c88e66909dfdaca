"""Pictures brought to one size."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from healthgan.sources.resampling import how_resampled, resample, resample_all


@given(
    st.integers(1, 40), st.integers(1, 40), st.sampled_from([1, 3]), st.integers(16, 50), st.integers(0, 255)
)
def test_shape_and_range_hold_for_any_size(height, width, channels, size, value):
    found = resample(np.full((height, width, channels), value, np.uint8), size)
    assert found.shape == (size, size, channels)
    assert found.dtype == np.uint8
    assert found.max() <= value
    if height == width:
        assert (found == value).all()


@given(st.integers(2, 6), st.integers(0, 2**32))
def test_whole_factors_give_area_means(factor, seed):
    picture = np.random.default_rng(seed).integers(0, 256, (16 * factor, 16 * factor, 3), dtype=np.uint8)
    means = picture.reshape(16, factor, 16, factor, 3).mean((1, 3))
    # Pillow rounds after each of its two passes: at most half a grey level each
    assert np.abs(resample(picture, 16) - means).max() <= 1.0 + 1e-9


@pytest.mark.parametrize("shape", [(20, 40, 1), (40, 20, 1)])
def test_narrow_pictures_are_padded_with_black_on_both_sides(shape):
    found = resample(np.full(shape, 200, np.uint8), 20)[..., 0]
    strip = found if shape[0] < shape[1] else found.T
    assert (strip[:5] == 0).all()
    assert (strip[5:15] == 200).all()
    assert (strip[15:] == 0).all()


def test_equal_size_is_left_as_it_is():
    pictures = np.random.default_rng(0).integers(0, 256, (3, 24, 24, 1), dtype=np.uint8)
    assert resample_all(pictures, 24) is pictures
    np.testing.assert_array_equal(resample(pictures[0], 24), pictures[0])


def test_note_says_what_was_done():
    assert how_resampled(64, 64, 28) == "64×64 pixels averaged by area to 28×28"
    assert how_resampled(20, 24, 28) == (
        "20×24 pixels padded to a square with black, then interpolated linearly to 28×28"
    )
    assert how_resampled(20, 28, 28) == "20×28 pixels padded to a square with black to 28×28"
